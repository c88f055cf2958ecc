#include "common/engine/net.h"
#include "common/base/arena.h"
#include "common/engine/net_state.h"
#include "common/engine/rope.h"
#include <assert.h>
#include <stdlib.h>

static float *take_matrix(struct net *net, size_t rows, size_t cols) {
    return arena_take(&net->arena, rows * cols * sizeof(float));
}

static void lay_out_layer(struct net *net, struct layer_state *s) {
    const struct model_config *c = &net->model->config;
    size_t N = net->limits.rows, HD = c->heads * c->head_dim;
    s->qkv = take_matrix(net, N, model_qkv_width(c));
    bool raw = c->qk_norm && net->limits.backward;
    s->raw = raw ? take_matrix(net, N, (c->heads + c->kv_heads) * c->head_dim) : NULL;
    s->lse = take_matrix(net, N, c->heads);
    s->att = take_matrix(net, N, HD);
    s->mid = net->limits.backward ? take_matrix(net, N, c->width) : NULL;
    s->gate_up = take_matrix(net, N, 2 * c->hidden);
    bool after = c->norms != NORMS_BEFORE;
    s->att_out = after ? take_matrix(net, N, c->width) : NULL;
    s->mlp_out = after ? take_matrix(net, N, c->width) : NULL;
}

static bool keeps_bf16(const struct net *net) {
    return net->limits.backward && !net->limits.recompute && net->model->rounded;
}

// Without a backward one state serves all layers, and one residual stream; with recompute each
// keeps its input only; what is kept in bf16 needs two inputs, one of which is the output of the
// layer before.
static void lay_out_layers(struct net *net) {
    const struct net_limits *l = &net->limits;
    size_t layers = net->model->config.layers;
    bool bf16 = keeps_bf16(net), shared = !l->backward || l->recompute || bf16;
    for (size_t i = 0; i < layers; i++) {
        struct layer_state *s = &net->layer[i];
        if (i && shared)
            *s = net->layer[0];
        else
            lay_out_layer(net, s);
        if (bf16 && i) s->lse = take_matrix(net, l->rows, net->model->config.heads);
        if (bf16 && i > 1)
            s->in = net->layer[i - 2].in;
        else if (!i || l->backward)
            s->in = take_matrix(net, l->rows, net->model->config.width);
        if (!l->backward) s->mid = s->in;
    }
    if (bf16)
        net->kept = arena_take(&net->arena, layers * l->rows * sizeof *net->kept *
                                                net_kept_width(&net->model->config));
}

// The adapter's low rows: kept for the backward as the float32 states of the layers are.
static void lay_out_low(struct net *net) {
    const struct net_limits *l = &net->limits;
    bool kept = l->backward && !l->recompute && !keeps_bf16(net) && net->model->adapter;
    size_t width = linear_low_width(net->model);
    if (kept) width = net->model->config.layers * linear_low_kept(net->model);
    net->rows.linear.low = take_matrix(net, l->rows, width);
    net->rows.linear.kept = kept ? l->rows : 0;
}

static void lay_out_backward(struct net *net) {
    const struct model_config *c = &net->model->config;
    size_t N = net->limits.rows, C = c->width;
    net->dhidden = take_matrix(net, net->limits.positions, C);
    net->dx = take_matrix(net, N, C);
    net->dnorm = take_matrix(net, N, C);
    net->dadded = c->norms == NORMS_BEFORE ? NULL : take_matrix(net, N, C);
    net->datt = take_matrix(net, N, c->heads * c->head_dim);
    net->dqkv = take_matrix(net, N, model_qkv_width(c));
    net->dact = take_matrix(net, N, c->hidden);
    net->rows.linear.dlow = take_matrix(net, N, linear_low_width(net->model));
    if (c->tied && !net->model->adapter) net->dembed = take_matrix(net, c->vocab, C);
}

// Measures where the arena has no base, hands out where it has.
static void lay_out(struct net *net) {
    const struct model_config *c = &net->model->config;
    const struct net_limits *l = &net->limits;
    lay_out_layers(net);
    rope_lay_out(&net->arena, c, l->trees_tokens, net->rope);
    net->place = arena_take(&net->arena, l->rows * sizeof *net->place);
    net->out = l->backward ? take_matrix(net, l->rows, c->width) : net->layer[0].in;
    net->hidden = take_matrix(net, l->positions, c->width);
    net->logits = take_matrix(net, CHUNK_POSITIONS, model_outputs(c));
    net->rows.norm = take_matrix(net, l->rows, c->width);
    net->rows.act = take_matrix(net, l->rows, c->hidden);
    lay_out_low(net);
    net->rows.linear.wide = take_matrix(net, l->rows, linear_wide(net->model));
    net->attention = (struct attention){.heads = c->heads,
                                        .kv_heads = c->kv_heads,
                                        .dim = c->head_dim,
                                        .span = l->trees_tokens,
                                        .scale = model_score_scale(c)};
    net->attention.scratch = take_matrix(net, 1, attention_scratch(l->trees_tokens, c->head_dim));
    if (l->backward) lay_out_backward(net);
}

size_t net_plan(const struct model *m, const struct net_limits *l) {
    struct net net = {.model = m, .limits = *l};
    net.layer = xcalloc(m->config.layers, sizeof *net.layer);
    lay_out(&net);
    free(net.layer);
    return net.arena.peak;
}

struct net *net_new(const struct model *m, const struct net_limits *l) {
    struct net *net = xcalloc(1, sizeof *net);
    net->model = m;
    net->limits = *l;
    net->layer = xcalloc(m->config.layers, sizeof *net->layer);
    arena_init(&net->arena, net_plan(m, l));
    lay_out(net);
    rope_fill(&m->config, l->trees_tokens, net->rope);
    return net;
}

void net_free(struct net *net) {
    if (!net) return;
    arena_release(&net->arena);
    free(net->layer);
    free(net);
}

float *net_logits_buffer(struct net *net) {
    return net->logits;
}

size_t net_vocab(const struct net *net) {
    return model_outputs(&net->model->config);
}

// ---- forward ----

struct attention net_attention(const struct net *net, size_t l) {
    struct attention a = net->attention;
    a.window = model_window(&net->model->config, l);
    a.rounded = net->model->rounded;
    return a;
}

static void attend(void *self, size_t l, const struct layer_state *s) {
    const struct net *net = self;
    struct attention a = net_attention(net, l);
    attention_forward(&a, s->qkv, s->att, s->lse);
}

static void place_rows(struct net *net, const struct batch *b) {
    for (size_t s = 0; s < b->segments; s++)
        for (size_t i = 0; i < b->segment[s].count; i++)
            net->place[b->segment[s].first + i] = (uint32_t)(b->segment[s].prefix_count + i);
}

static void begin_batch(struct net *net, const struct batch *b) {
    struct layer_rows *r = &net->rows;
    assert(b->n <= net->limits.rows && b->positions <= net->limits.positions);
    r->model = net->model;
    r->n = b->n;
    r->linear.plan = batch_rows(b);
    r->linear.dropout = net->drops ? &net->dropout : NULL;
    net->dropout.first_row += net->batch_rows;
    net->batch_rows = b->n;
    r->rope = net->rope;
    r->place = net->place;
    r->self = net;
    r->attend = attend;
    net->attention.batch = b;
    place_rows(net, b);
}

void net_begin_step(struct net *net, uint64_t seed, uint64_t step) {
    net->drops = true;
    net->dropout = (struct linear_dropout){.seed = seed, .step = step};
    net->batch_rows = 0;
}

void net_begin_rows(struct net *net, size_t before) {
    net->dropout.first_row = before;
    net->batch_rows = 0;
}

void net_forward(struct net *net, const struct batch *b) {
    const struct model *m = net->model;
    size_t L = m->config.layers;
    begin_batch(net, b);
    layer_embed(&net->rows, b->ids, net->layer[0].in);
    for (size_t l = 0; l < L; l++) {
        layer_forward(&net->rows, l, &net->layer[l], l + 1 == L ? net->out : net->layer[l + 1].in);
        net_keep(net, l, b->n);
    }
    layer_norm(m, net->hidden, net->out, b->row, b->positions, m->norm);
}

// ---- chunks of positions ----

void net_logits(struct net *net, struct chunk c, float *logits) {
    size_t rows[2] = {0, c.count};
    struct linear_rows r = {.plan = {.units = 1, .first = rows}};
    layer_logits(net->model, &r, net->hidden + c.first * net->model->config.width, logits);
}

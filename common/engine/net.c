#include "common/engine/net.h"
#include "common/engine/kernels.h"
#include "common/engine/net_state.h"
#include "common/base/parallel.h"
#include "common/engine/rope.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAIN = 16 }; // rows a thread takes at least

static float *take(struct net *net, size_t rows, size_t cols) {
    return arena_take(&net->arena, rows * cols * sizeof(float));
}

static void lay_out_layer(struct net *net, struct layer_state *s) {
    const struct model_config *c = &net->model->config;
    size_t N = net->limits.rows, HD = c->heads * c->head_dim;
    s->qkv = take(net, N, net_qkv_width(c));
    s->raw = c->qk_norm ? take(net, N, (c->heads + c->kv_heads) * c->head_dim) : NULL;
    s->lse = take(net, N, c->heads);
    s->att = take(net, N, HD);
    s->mid = take(net, N, c->width);
    s->gate_up = take(net, N, 2 * c->hidden);
}

// Without a backward one state serves all layers; with recompute each keeps its input only.
static void lay_out_layers(struct net *net) {
    const struct net_limits *l = &net->limits;
    for (size_t i = 0; i < net->model->config.layers; i++) {
        struct layer_state *s = &net->layer[i];
        if (i && (!l->backward || l->recompute))
            *s = net->layer[0];
        else
            lay_out_layer(net, s);
        if (!i || l->backward) s->in = take(net, l->rows, net->model->config.width);
    }
}

static void lay_out_backward(struct net *net) {
    const struct model_config *c = &net->model->config;
    size_t N = net->limits.rows, C = c->width;
    net->dhidden = take(net, net->limits.positions, C);
    net->dx = take(net, N, C);
    net->dnorm = take(net, N, C);
    net->datt = take(net, N, c->heads * c->head_dim);
    net->dqkv = take(net, N, net_qkv_width(c));
    net->dact = take(net, N, c->hidden);
    if (c->tied) net->dembed = take(net, c->vocab, C);
}

// Measures where the arena has no base, hands out where it has.
static void lay_out(struct net *net) {
    const struct model_config *c = &net->model->config;
    const struct net_limits *l = &net->limits;
    size_t half = c->head_dim / 2;
    lay_out_layers(net);
    net->cosine = take(net, l->trees_tokens, half);
    net->sine = take(net, l->trees_tokens, half);
    net->place = arena_take(&net->arena, l->rows * sizeof *net->place);
    net->out = take(net, l->rows, c->width);
    net->hidden = take(net, l->positions, c->width);
    net->logits = take(net, CHUNK_POSITIONS, c->vocab);
    net->norm = take(net, l->rows, c->width);
    net->act = take(net, l->rows, c->hidden);
    net->attention = (struct attention){
        .heads = c->heads, .kv_heads = c->kv_heads, .dim = c->head_dim, .span = l->trees_tokens};
    net->attention.scratch = take(net, 1, attention_scratch(l->trees_tokens, c->head_dim));
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
    rope_table(&m->config, l->trees_tokens, net->cosine, net->sine);
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
    return net->model->config.vocab;
}

const float *net_hidden(const struct net *net) {
    return net->hidden;
}

// ---- forward ----

struct rows_job { // one pass over rows
    struct net *net;
    const struct batch *batch;
    const struct layer_state *state;
    const struct layer_offsets *offsets;
    float *y;
    const float *x, *w;
};

static void norm_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model_config *c = &j->net->model->config;
    for (size_t i = first; i < last; i++)
        kernels()->rmsnorm(j->y + i * c->width, j->x + i * c->width, j->w, c->width,
                           (float)c->norm_eps);
}

void net_norm_rows(const struct net *net, float *y, const float *x, size_t offset, size_t n) {
    struct rows_job j = {
        .net = (struct net *)net, .y = y, .x = x, .w = model_vector(net->model, offset)};
    parallel_range(n, GRAIN, norm_rows, &j);
}

static void embed_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model *m = j->net->model;
    size_t C = m->config.width;
    for (size_t i = first; i < last; i++) model_embedding(m, j->batch->ids[i], j->y + i * C);
}

// Bias, q/k norm and RoPE of the fresh products; `mid` starts as the residual stream.
static void finish_qkv(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model *m = j->net->model;
    const struct model_config *c = &m->config;
    const struct kernels *k = kernels();
    size_t D = c->head_dim, W = net_qkv_width(c), turned = c->heads + c->kv_heads;
    for (size_t i = first; i < last; i++) {
        float *x = j->state->qkv + i * W;
        memcpy(j->state->mid + i * c->width, j->state->in + i * c->width, c->width * sizeof *x);
        if (c->qkv_bias) k->axpy(x, 1, model_vector(m, j->offsets->q_bias), W);
        if (c->qk_norm) memcpy(j->state->raw + i * turned * D, x, turned * D * sizeof *x);
        const float *cosine = j->net->cosine + j->net->place[i] * (D / 2);
        const float *sine = j->net->sine + j->net->place[i] * (D / 2);
        for (size_t h = 0; h < turned; h++) {
            size_t w = h < c->heads ? j->offsets->q_norm : j->offsets->k_norm;
            if (c->qk_norm)
                k->rmsnorm(x + h * D, x + h * D, model_vector(m, w), D, (float)c->norm_eps);
            k->rope(x + h * D, cosine, sine, 1, D);
        }
    }
}

// act = silu(gate) up; y, where there is one, starts as the residual stream.
static void swiglu_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    size_t F = j->net->model->config.hidden, C = j->net->model->config.width;
    for (size_t i = first; i < last; i++) {
        const float *g = j->state->gate_up + i * 2 * F;
        kernels()->swiglu(j->net->act + i * F, g, g + F, F);
        if (j->y) memcpy(j->y + i * C, j->state->mid + i * C, C * sizeof *g);
    }
}

void net_swiglu(struct net *net, const struct layer_state *s, float *y, size_t n) {
    struct rows_job j = {.net = net, .state = s, .y = y};
    parallel_range(n, GRAIN, swiglu_rows, &j);
}

void net_layer_inside(struct net *net, const struct batch *b, size_t l) {
    const struct model *m = net->model;
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[l];
    struct layer_state *s = &net->layer[l];
    size_t N = b->n, C = c->width, F = c->hidden, W = net_qkv_width(c), HD = c->heads * c->head_dim;
    struct rows_job j = {.net = net, .batch = b, .state = s, .offsets = o};
    net_norm_rows(net, net->norm, s->in, o->norm1, N);
    gemm_forward(&net->rows, s->qkv, W, net->norm, C, model_matrix(m, o->q), W, C, false);
    parallel_range(N, GRAIN, finish_qkv, &j);
    attention_forward(&net->attention, s->qkv, s->att, s->lse);
    gemm_forward(&net->rows, s->mid, C, s->att, HD, model_matrix(m, o->o), C, HD, true);
    net_norm_rows(net, net->norm, s->mid, o->norm2, N);
    gemm_forward(&net->rows, s->gate_up, 2 * F, net->norm, C, model_matrix(m, o->gate), 2 * F, C,
                 false);
}

// in -> the next residual stream in `out`
static void forward_layer(struct net *net, const struct batch *b, size_t l, float *out) {
    size_t C = net->model->config.width, F = net->model->config.hidden;
    net_layer_inside(net, b, l);
    net_swiglu(net, &net->layer[l], out, b->n);
    gemm_forward(&net->rows, out, C, net->act, F,
                 model_matrix(net->model, net->model->layer[l].down), C, F, true);
}

static void place_rows(struct net *net, const struct batch *b) {
    for (size_t s = 0; s < b->segments; s++)
        for (size_t i = 0; i < b->segment[s].count; i++)
            net->place[b->segment[s].first + i] = (uint32_t)(b->segment[s].prefix_count + i);
}

static void hidden_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model_config *c = &j->net->model->config;
    for (size_t i = first; i < last; i++)
        kernels()->rmsnorm(j->y + i * c->width, j->x + j->batch->row[i] * c->width, j->w, c->width,
                           (float)c->norm_eps);
}

void net_forward(struct net *net, const struct batch *b) {
    const struct model *m = net->model;
    size_t L = m->config.layers;
    assert(b->n <= net->limits.rows && b->positions <= net->limits.positions);
    net->rows = batch_rows(b);
    net->attention.batch = b;
    place_rows(net, b);
    struct rows_job j = {.net = net, .batch = b, .y = net->layer[0].in};
    parallel_range(b->n, GRAIN, embed_rows, &j);
    for (size_t l = 0; l < L; l++) {
        bool last = l + 1 == L;
        forward_layer(net, b, l, last ? net->out : net->layer[l + 1].in);
    }
    j = (struct rows_job){
        .net = net, .batch = b, .y = net->hidden, .x = net->out, .w = model_vector(m, m->norm)};
    parallel_range(b->positions, GRAIN, hidden_rows, &j);
}

// ---- chunks of positions ----

size_t net_chunks(const struct net *net, const struct batch *b) {
    (void)net;
    size_t n = 0;
    for (size_t u = 0; u < b->units; u++)
        n +=
            (b->unit_position[u + 1] - b->unit_position[u] + CHUNK_POSITIONS - 1) / CHUNK_POSITIONS;
    return n;
}

struct chunk net_chunk(const struct net *net, const struct batch *b, size_t i) {
    (void)net;
    for (size_t u = 0;; u++) {
        size_t first = b->unit_position[u], count = b->unit_position[u + 1] - first;
        size_t n = (count + CHUNK_POSITIONS - 1) / CHUNK_POSITIONS;
        if (i < n) {
            size_t left = count - i * CHUNK_POSITIONS;
            return (struct chunk){first + i * CHUNK_POSITIONS,
                                  left < CHUNK_POSITIONS ? left : CHUNK_POSITIONS};
        }
        i -= n;
    }
}

void net_logits(struct net *net, const struct batch *b, struct chunk c, float *logits) {
    (void)b;
    const struct model *m = net->model;
    size_t C = m->config.width, V = m->config.vocab, used = m->config.vocab_used;
    size_t rows[2] = {0, c.count};
    struct rowplan plan = {.units = 1, .first = rows};
    gemm_forward(&plan, logits, V, net->hidden + c.first * C, C, model_matrix(m, m->head), V, C,
                 false);
    for (size_t i = 0; i < c.count; i++)
        for (size_t v = used; v < V; v++) logits[i * V + v] = -INFINITY;
}

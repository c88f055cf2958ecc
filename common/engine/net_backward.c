#include "common/engine/adapter.h"
#include "common/engine/kernels.h"
#include "common/engine/net_state.h"
#include "common/base/parallel.h"
#include <math.h>
#include <string.h>

enum { GRAIN = 16, COLUMNS = 64 };

void net_head_backward(struct net *net, struct chunk c, const float *dlogits, float *grads) {
    size_t at = c.first * net->model->config.width, rows[2] = {0, c.count};
    struct linear_rows r = {.plan = {.units = 1, .first = rows}};
    linear_backward(net->model, &r, 0, PROJECT_HEAD, net->dhidden + at, dlogits, net->hidden + at,
                    grads);
}

struct back_job {
    struct net *net;
    const struct batch *batch;
    const struct layer_state *state;
    const struct layer_offsets *offsets;
    const struct rope *rope;
    const float *x, *dy; // input rows of a norm, gradient of its output
    const size_t *row;   // NULL: row i is i, else x and dx are indexed through it
    const float *w;
    float *dx, *dw;
    size_t rows, ld;
};

// The gradients of the model's own weights; NULL where an adapter is trained in their place.
static float *own(const struct net *net, float *grads, size_t offset) {
    return net->model->adapter ? NULL : grads + offset;
}

static float inverse_rms(const float *x, size_t n, double eps) {
    return 1 / sqrtf(kernels()->dot(x, x, n) / (float)n + (float)eps);
}

static void norm_dx(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    const struct model_config *c = &j->net->model->config;
    size_t C = c->width;
    for (size_t i = first; i < last; i++) {
        size_t at = j->row ? j->row[i] : i;
        const float *x = j->x + at * C;
        kernels()->rmsnorm_backward(j->dx + at * C, j->dy + i * C, x, j->w, c->norm_plus_one,
                                    inverse_rms(x, C, c->norm_eps), C);
    }
}

// Columns first .. last-1 of dw += sum over rows, in order, of dy x r. The rows' r are in
// net->rows.act.
static void norm_dw(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    size_t C = j->net->model->config.width;
    const float *r = j->net->rows.act;
    for (size_t i = 0; i < j->rows; i++) {
        const float *x = j->x + (j->row ? j->row[i] : i) * C, *dy = j->dy + i * C;
        for (size_t c = first; c < last; c++) j->dw[c] += dy[c] * x[c] * r[i];
    }
}

static void norm_scale(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    const struct model_config *c = &j->net->model->config;
    for (size_t i = first; i < last; i++)
        j->net->rows.act[i] =
            inverse_rms(j->x + (j->row ? j->row[i] : i) * c->width, c->width, c->norm_eps);
}

// dx += RMSNorm's gradient for dy (rows,C); dw += its weights'. Uses net->rows.act as scratch.
static void norm_backward(struct net *net, const float *x, const float *dy, const size_t *row,
                          size_t rows, size_t offset, float *dx, float *grads) {
    struct back_job j = {.net = net,
                         .x = x,
                         .dy = dy,
                         .row = row,
                         .rows = rows,
                         .w = model_vector(net->model, offset),
                         .dx = dx,
                         .dw = own(net, grads, offset)};
    if (j.dw) parallel_range(rows, GRAIN, norm_scale, &j);
    if (j.dw) parallel_range(net->model->config.width, COLUMNS, norm_dw, &j);
    parallel_range(rows, GRAIN, norm_dx, &j);
}

static void add_rows(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    size_t C = j->net->model->config.width;
    kernels()->axpy(j->dx + first * C, 1, j->dy + first * C, (last - first) * C);
}

// net->dx += the gradient of the stream x, from that of what layer_input made of it, net->dnorm.
static void input_backward(struct net *net, const float *x, size_t rows, size_t offset,
                           float *grads) {
    struct back_job j = {.net = net, .dy = net->dnorm, .dx = net->dx};
    if (offset != SIZE_MAX)
        norm_backward(net, x, net->dnorm, NULL, rows, offset, net->dx, grads);
    else
        parallel_range(rows, GRAIN, add_rows, &j);
}

// The gradient of what is added to the stream, x before its norm, from the stream's.
static const float *added_backward(struct net *net, const float *x, size_t rows, size_t offset,
                                   float *grads) {
    if (offset == SIZE_MAX) return net->dx;
    memset(net->dadded, 0, rows * net->model->config.width * sizeof *net->dadded);
    norm_backward(net, x, net->dx, NULL, rows, offset, net->dadded, grads);
    return net->dadded;
}

static void gated_back(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    size_t F = j->net->model->config.hidden;
    bool gelu = j->net->model->config.gelu;
    for (size_t i = first; i < last; i++) {
        float *g = j->state->gate_up + i * 2 * F;
        (gelu ? kernels()->geglu_backward : kernels()->swiglu_backward)(g, g + F,
                                                                        j->net->dact + i * F, F);
    }
}

// Turns dqkv back through RoPE and the q/k norm (whose inputs are in state->raw).
static void unfinish_qkv(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    const struct model *m = j->net->model;
    const struct model_config *c = &m->config;
    size_t D = c->head_dim, W = model_qkv_width(c), turned = c->heads + c->kv_heads;
    size_t R = model_rope_width(c);
    for (size_t i = first; i < last; i++) {
        const float *cosine = j->rope->cosine + j->net->place[i] * (R / 2);
        const float *sine = j->rope->sine + j->net->place[i] * (R / 2);
        for (size_t h = 0; h < turned; h++)
            kernels()->rope(j->net->dqkv + i * W + h * D, cosine, sine, -1, R);
    }
}

// The q/k norm's weights; dw in the order of rows and heads, so one task does it all.
static void qk_norm_weights(struct net *net, const struct layer_state *s, size_t n,
                            const struct layer_offsets *o, float *grads) {
    const struct model_config *c = &net->model->config;
    size_t W = model_qkv_width(c), turned = (c->heads + c->kv_heads) * c->head_dim;
    struct normed_heads part[2];
    layer_qk_norms(c, o, part);
    for (size_t i = 0; i < n; i++)
        for (const struct normed_heads *p = part; p < part + 2; p++)
            for (size_t at = p->first; at < p->end; at += p->width) {
                const float *x = s->raw + i * turned + at, *dy = net->dqkv + i * W + at;
                float *dw = grads + p->weights, r = inverse_rms(x, p->width, c->norm_eps);
                for (size_t d = 0; d < p->width; d++) dw[d] += dy[d] * x[d] * r;
            }
}

static void qk_norm_dx(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    const struct model *m = j->net->model;
    const struct model_config *c = &m->config;
    size_t D = c->head_dim, W = model_qkv_width(c), turned = (c->heads + c->kv_heads) * D;
    struct normed_heads part[2];
    layer_qk_norms(c, j->offsets, part);
    for (size_t i = first; i < last; i++)
        for (const struct normed_heads *p = part; p < part + 2; p++)
            for (size_t at = p->first; at < p->end; at += p->width) {
                const float *x = j->state->raw + i * turned + at;
                float *dx = j->net->dqkv + i * W + at, *dy = j->net->datt + i * c->heads * D;
                memcpy(dy, dx, p->width * sizeof *dy); // datt is free; no part is wider
                memset(dx, 0, p->width * sizeof *dx);
                kernels()->rmsnorm_backward(dx, dy, x, model_vector(m, p->weights),
                                            c->norm_plus_one, inverse_rms(x, p->width, c->norm_eps),
                                            p->width);
            }
}

static void bias_columns(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    for (size_t i = 0; i < j->rows; i++)
        for (size_t c = first; c < last; c++) j->dw[c] += j->dy[i * j->ld + c];
}

static void backward_qkv(struct net *net, const struct batch *b, size_t l, float *grads) {
    const struct model *m = net->model;
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[l];
    const struct layer_state *s = &net->layer[l];
    size_t W = model_qkv_width(c);
    struct back_job j = {.net = net, .state = s, .offsets = o};
    j.rope = rope_of_layer(c, net->rope, l);
    parallel_range(b->n, GRAIN, unfinish_qkv, &j);
    if (c->qk_norm) {
        if (!m->adapter) qk_norm_weights(net, s, b->n, o, grads);
        parallel_range(b->n, GRAIN, qk_norm_dx, &j);
    }
    if (c->qkv_bias && !m->adapter) {
        struct back_job k = {
            .net = net, .dy = net->dqkv, .dw = grads + o->q_bias, .rows = b->n, .ld = W};
        parallel_range(W, COLUMNS, bias_columns, &k);
    }
    const float *x = layer_input(&net->rows, s->in, o->norm1);
    bool last = l == 0 && m->adapter; // nothing below is trained
    linear_backward(m, &net->rows.linear, l, PROJECT_QKV, last ? NULL : net->dnorm, net->dqkv, x,
                    grads);
    if (!last) input_backward(net, s->in, b->n, o->norm1, grads);
}

// What the backward needs of a layer that kept its input only (the last layer's is still there).
static void make_again(struct net *net, size_t l) {
    if (net->model->layer[l].post2 == SIZE_MAX)
        layer_inside(&net->rows, l, &net->layer[l]);
    else
        layer_forward(&net->rows, l, &net->layer[l], net->dnorm); // mlp_out too
}

static void backward_layer(struct net *net, const struct batch *b, size_t l, float *grads) {
    const struct model *m = net->model;
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[l];
    const struct layer_state *s = &net->layer[l];
    const struct layer_rows *r = &net->rows;
    struct back_job j = {.net = net, .state = s, .offsets = o};
    if (net->limits.recompute && l + 1 < c->layers) make_again(net, l);
    net_recall(net, l, b->n);
    // feed-forward part
    const float *dy = added_backward(net, s->mlp_out, b->n, o->post2, grads);
    layer_gated(r, s, NULL);
    linear_backward(m, &r->linear, l, PROJECT_DOWN, net->dact, dy, r->act, grads);
    parallel_range(b->n, GRAIN, gated_back, &j);
    const float *x = layer_input(r, s->mid, o->norm2);
    linear_backward(m, &r->linear, l, PROJECT_GATE_UP, net->dnorm, s->gate_up, x, grads);
    input_backward(net, s->mid, b->n, o->norm2, grads);
    // attention part
    dy = added_backward(net, s->att_out, b->n, o->post1, grads);
    linear_backward(m, &r->linear, l, PROJECT_OUT, net->datt, dy, s->att, grads);
    struct attention a = net_attention(net, l);
    attention_backward(&a, s->qkv, s->att, s->lse, net->datt, net->dqkv);
    backward_qkv(net, b, l, grads);
}

static void embed_columns(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    size_t C = j->net->model->config.width;
    for (size_t i = 0; i < j->rows; i++) {
        float *to = j->dw + (size_t)j->batch->ids[i] * C;
        const float *dx = j->dx + i * C;
        for (size_t c = first; c < last; c++) to[c] += dx[c];
    }
}

void net_watch(struct net *net, void (*watch)(void *self, size_t from), void *self) {
    net->watch = watch;
    net->watcher = self;
}

// The first gradient of a layer; those of later ones and of the final norm and head lie behind.
static size_t layer_begin(const struct model *m, size_t l) {
    const struct layer_offsets *o = &m->layer[l];
    size_t first = SIZE_MAX;
    if (!m->adapter) return o->norm1 < o->q ? o->norm1 : o->q; // or it has no norm there
    for (size_t t = 0; t < ADAPTER_TARGETS; t++)
        if (m->adapter->layer[l][t].a < first) first = m->adapter->layer[l][t].a;
    return first;
}

void net_backward(struct net *net, const struct batch *b, float *grads) {
    const struct model *m = net->model;
    size_t C = m->config.width;
    memset(net->dx, 0, b->n * C * sizeof *net->dx);
    struct back_job j = {.net = net,
                         .x = net->out,
                         .dy = net->dhidden,
                         .row = b->row,
                         .rows = b->positions,
                         .w = model_vector(m, m->norm),
                         .dw = own(net, grads, m->norm),
                         .dx = net->dx};
    // Positions may share a row (two responses at the prompt's last token): one thread adds them.
    for (size_t i = 0; j.dw && i < b->positions; i++)
        net->rows.act[i] = inverse_rms(net->out + b->row[i] * C, C, m->config.norm_eps);
    if (j.dw) parallel_range(C, COLUMNS, norm_dw, &j);
    norm_dx(&j, 0, b->positions);
    for (size_t l = m->config.layers; l-- > 0;) {
        backward_layer(net, b, l, grads);
        if (net->watch) net->watch(net->watcher, layer_begin(m, l));
    }
    if (m->adapter) return;
    float scale = (float)m->config.embed_scale; // of what the embedding gave
    if (scale > 0) kernels()->scale(net->dx, net->dx, scale, b->n * C);
    j = (struct back_job){.net = net,
                          .batch = b,
                          .rows = b->n,
                          .dx = net->dx,
                          .dw = m->config.tied ? net->dembed : grads + m->embed};
    parallel_range(C, COLUMNS, embed_columns, &j);
}

static void add_and_clear(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    size_t C = j->net->model->config.width;
    for (size_t i = first * C; i < last * C; i++) {
        j->dw[i] += j->dx[i];
        j->dx[i] = 0;
    }
}

void net_end_step(struct net *net, float *grads) {
    const struct model *m = net->model;
    if (!m->config.tied || m->adapter) return;
    struct back_job j = {.net = net, .dw = grads + m->head, .dx = net->dembed};
    parallel_range(m->config.vocab, 64, add_and_clear, &j);
}

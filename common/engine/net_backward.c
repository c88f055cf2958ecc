#include "common/engine/kernels.h"
#include "common/engine/net_state.h"
#include "common/base/parallel.h"
#include <math.h>
#include <string.h>

enum { GRAIN = 16, COLUMNS = 64 };

void net_head_backward(struct net *net, const struct batch *b, struct chunk c, const float *dlogits,
                       float *grads) {
    (void)b;
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
        kernels()->rmsnorm_backward(j->dx + at * C, j->dy + i * C, x, j->w,
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

static void swiglu_back(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    size_t F = j->net->model->config.hidden;
    for (size_t i = first; i < last; i++) {
        float *g = j->state->gate_up + i * 2 * F;
        kernels()->swiglu_backward(g, g + F, j->net->dact + i * F, F);
    }
}

// Turns dqkv back through RoPE and the q/k norm (whose inputs are in state->raw).
static void unfinish_qkv(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    const struct model *m = j->net->model;
    const struct model_config *c = &m->config;
    size_t D = c->head_dim, W = model_qkv_width(c), turned = c->heads + c->kv_heads;
    for (size_t i = first; i < last; i++) {
        const float *cosine = j->net->cosine + j->net->place[i] * (D / 2);
        const float *sine = j->net->sine + j->net->place[i] * (D / 2);
        for (size_t h = 0; h < turned; h++)
            kernels()->rope(j->net->dqkv + i * W + h * D, cosine, sine, -1, D);
    }
}

// One head's share of the q/k norm's backward; dw in row, head order, so one task does it all.
static void qk_norm_weights(struct net *net, const struct layer_state *s, size_t n,
                            const struct layer_offsets *o, float *grads) {
    const struct model_config *c = &net->model->config;
    size_t D = c->head_dim, W = model_qkv_width(c), turned = c->heads + c->kv_heads;
    for (size_t i = 0; i < n; i++)
        for (size_t h = 0; h < turned; h++) {
            const float *x = s->raw + (i * turned + h) * D, *dy = net->dqkv + i * W + h * D;
            float *dw = grads + (h < c->heads ? o->q_norm : o->k_norm);
            float r = inverse_rms(x, D, c->norm_eps);
            for (size_t d = 0; d < D; d++) dw[d] += dy[d] * x[d] * r;
        }
}

static void qk_norm_dx(void *self, size_t first, size_t last) {
    const struct back_job *j = self;
    const struct model *m = j->net->model;
    const struct model_config *c = &m->config;
    size_t D = c->head_dim, W = model_qkv_width(c), turned = c->heads + c->kv_heads;
    float *dy = j->net->datt; // (HD) a row at least as wide as one head; scratch of this row
    for (size_t i = first; i < last; i++)
        for (size_t h = 0; h < turned; h++) {
            const float *x = j->state->raw + (i * turned + h) * D;
            float *dx = j->net->dqkv + i * W + h * D, *t = dy + i * c->heads * D;
            memcpy(t, dx, D * sizeof *t);
            memset(dx, 0, D * sizeof *dx);
            kernels()->rmsnorm_backward(
                dx, t, x, model_vector(m, h < c->heads ? j->offsets->q_norm : j->offsets->k_norm),
                inverse_rms(x, D, c->norm_eps), D);
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
    struct back_job j = {.net = net, .batch = b, .state = s, .offsets = o};
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
    layer_norm(m, net->rows.norm, s->in, NULL, b->n, o->norm1);
    bool last = l == 0 && m->adapter; // nothing below is trained
    linear_backward(m, &net->rows.linear, l, PROJECT_QKV, last ? NULL : net->dnorm, net->dqkv,
                    net->rows.norm, grads);
    if (!last) norm_backward(net, s->in, net->dnorm, NULL, b->n, o->norm1, net->dx, grads);
}

static void backward_layer(struct net *net, const struct batch *b, size_t l, float *grads) {
    const struct model *m = net->model;
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[l];
    const struct layer_state *s = &net->layer[l];
    const struct layer_rows *r = &net->rows;
    struct back_job j = {.net = net, .batch = b, .state = s, .offsets = o};
    // the last layer's state is still there
    if (net->limits.recompute && l + 1 < c->layers) layer_inside(r, l, s);
    // feed-forward part
    layer_swiglu(r, s, NULL);
    linear_backward(m, &r->linear, l, PROJECT_DOWN, net->dact, net->dx, r->act, grads);
    parallel_range(b->n, GRAIN, swiglu_back, &j);
    layer_norm(m, r->norm, s->mid, NULL, b->n, o->norm2);
    linear_backward(m, &r->linear, l, PROJECT_GATE_UP, net->dnorm, s->gate_up, r->norm, grads);
    norm_backward(net, s->mid, net->dnorm, NULL, b->n, o->norm2, net->dx, grads);
    // attention part
    linear_backward(m, &r->linear, l, PROJECT_OUT, net->datt, net->dx, s->att, grads);
    attention_backward(&net->attention, s->qkv, s->att, s->lse, net->datt, net->dqkv);
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
    for (size_t l = m->config.layers; l-- > 0;) backward_layer(net, b, l, grads);
    if (m->adapter) return;
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

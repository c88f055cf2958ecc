#include "common/engine/layer.h"
#include "common/base/parallel.h"
#include "common/engine/kernels.h"
#include <string.h>

enum { GRAIN = 16 }; // rows a thread takes at least

struct rows_job { // one pass over rows
    const struct layer_rows *rows;
    const struct model *model;
    const struct layer_state *state;
    const struct layer_offsets *offsets;
    const int32_t *ids;
    const size_t *row;
    float *y;
    const float *x, *w;
};

static void embed_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    for (size_t i = first; i < last; i++)
        model_embedding(j->model, j->ids[i], j->y + i * j->model->config.width);
}

void layer_embed(const struct layer_rows *r, const int32_t *ids, float *x) {
    struct rows_job j = {.model = r->model, .ids = ids, .y = x};
    parallel_range(r->n, GRAIN, embed_rows, &j);
}

static void norm_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model_config *c = &j->model->config;
    for (size_t i = first; i < last; i++) {
        const float *x = j->x + (j->row ? j->row[i] : i) * c->width;
        kernels()->rmsnorm(j->y + i * c->width, x, j->w, c->width, (float)c->norm_eps);
    }
}

void layer_norm(const struct model *m, float *y, const float *x, const size_t *row, size_t count,
                size_t offset) {
    struct rows_job j = {.model = m, .y = y, .x = x, .row = row, .w = model_vector(m, offset)};
    parallel_range(count, GRAIN, norm_rows, &j);
}

// Bias, q/k norm and RoPE of the fresh products; `mid` starts as the residual stream.
static void finish_qkv(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model *m = j->model;
    const struct model_config *c = &m->config;
    const struct layer_state *s = j->state;
    const struct kernels *k = kernels();
    size_t C = c->width, D = c->head_dim, W = model_qkv_width(c), turned = c->heads + c->kv_heads;
    for (size_t i = first; i < last; i++) {
        float *x = s->qkv + i * W;
        size_t at = j->rows->place[i] * (D / 2);
        if (s->mid != s->in) memcpy(s->mid + i * C, s->in + i * C, C * sizeof *x);
        if (c->qkv_bias) k->axpy(x, 1, model_vector(m, j->offsets->q_bias), W);
        if (s->raw) memcpy(s->raw + i * turned * D, x, turned * D * sizeof *x);
        for (size_t h = 0; h < turned; h++) {
            size_t w = h < c->heads ? j->offsets->q_norm : j->offsets->k_norm;
            if (c->qk_norm)
                k->rmsnorm(x + h * D, x + h * D, model_vector(m, w), D, (float)c->norm_eps);
            k->rope(x + h * D, j->rows->cosine + at, j->rows->sine + at, 1, D);
        }
    }
}

static void swiglu_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    size_t F = j->model->config.hidden, C = j->model->config.width;
    for (size_t i = first; i < last; i++) {
        const float *g = j->state->gate_up + i * 2 * F;
        kernels()->swiglu(j->rows->act + i * F, g, g + F, F);
        if (j->y) memcpy(j->y + i * C, j->state->mid + i * C, C * sizeof *g);
    }
}

void layer_swiglu(const struct layer_rows *r, const struct layer_state *s, float *out) {
    struct rows_job j = {.rows = r, .model = r->model, .state = s, .y = out == s->mid ? NULL : out};
    parallel_range(r->n, GRAIN, swiglu_rows, &j);
}

void layer_inside(const struct layer_rows *r, size_t l, const struct layer_state *s) {
    const struct model *m = r->model;
    const struct layer_offsets *o = &m->layer[l];
    struct rows_job j = {.rows = r, .model = m, .state = s, .offsets = o};
    layer_norm(m, r->norm, s->in, NULL, r->n, o->norm1);
    linear_forward(m, &r->linear, l, PROJECT_QKV, s->qkv, r->norm, false);
    parallel_range(r->n, GRAIN, finish_qkv, &j);
    r->attend(r->self, l, s);
    linear_forward(m, &r->linear, l, PROJECT_OUT, s->mid, s->att, true);
    layer_norm(m, r->norm, s->mid, NULL, r->n, o->norm2);
    linear_forward(m, &r->linear, l, PROJECT_GATE_UP, s->gate_up, r->norm, false);
}

void layer_forward(const struct layer_rows *r, size_t l, const struct layer_state *s, float *out) {
    layer_inside(r, l, s);
    layer_swiglu(r, s, out);
    linear_forward(r->model, &r->linear, l, PROJECT_DOWN, out, r->act, true);
}

void layer_logits(const struct model *m, const struct linear_rows *r, const float *x,
                  float *logits) {
    linear_forward(m, r, 0, PROJECT_HEAD, logits, x, false);
}

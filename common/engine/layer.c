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
    const struct rope *rope;
};

static void embed_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model_config *c = &j->model->config;
    for (size_t i = first; i < last; i++) {
        float *y = j->y + i * c->width;
        model_embedding(j->model, j->ids[i], y);
        if (c->embed_scale > 0) kernels()->scale(y, y, (float)c->embed_scale, c->width);
    }
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
        kernels()->rmsnorm(j->y + i * c->width, x, j->w, c->norm_plus_one, c->width,
                           (float)c->norm_eps);
    }
}

void layer_norm(const struct model *m, float *y, const float *x, const size_t *row, size_t count,
                size_t offset) {
    struct rows_job j = {.model = m, .y = y, .x = x, .row = row, .w = model_vector(m, offset)};
    parallel_range(count, GRAIN, norm_rows, &j);
}

const float *layer_input(const struct layer_rows *r, const float *x, size_t offset) {
    if (offset == SIZE_MAX) return x;
    layer_norm(r->model, r->norm, x, NULL, r->n, offset);
    return r->norm;
}

void layer_qk_norms(const struct model_config *c, const struct layer_offsets *o,
                    struct normed_heads part[2]) {
    size_t D = c->head_dim, HD = c->heads * D, GD = c->kv_heads * D;
    bool whole = c->qk_norm_whole;
    part[0] = (struct normed_heads){0, HD, whole ? HD : D, o->q_norm};
    part[1] = (struct normed_heads){HD, HD + GD, whole ? GD : D, o->k_norm};
}

static void norm_heads(const struct model *m, const struct layer_offsets *o, float *qkv) {
    struct normed_heads part[2];
    layer_qk_norms(&m->config, o, part);
    for (const struct normed_heads *p = part; p < part + 2; p++)
        for (size_t at = p->first; at < p->end; at += p->width)
            kernels()->rmsnorm(qkv + at, qkv + at, model_vector(m, p->weights),
                               m->config.norm_plus_one, p->width, (float)m->config.norm_eps);
}

// Bias, q/k norm and RoPE of the fresh products; `mid` starts as the residual stream.
static void finish_qkv(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model *m = j->model;
    const struct model_config *c = &m->config;
    const struct layer_state *s = j->state;
    const struct kernels *k = kernels();
    size_t C = c->width, D = c->head_dim, W = model_qkv_width(c), turned = c->heads + c->kv_heads;
    size_t R = model_rope_width(c);
    for (size_t i = first; i < last; i++) {
        float *x = s->qkv + i * W;
        size_t at = j->rows->place[i] * (R / 2);
        if (s->mid != s->in) memcpy(s->mid + i * C, s->in + i * C, C * sizeof *x);
        if (c->qkv_bias) k->axpy(x, 1, model_vector(m, j->offsets->q_bias), W);
        if (m->rounded) k->round(x, x, W);
        if (s->raw) memcpy(s->raw + i * turned * D, x, turned * D * sizeof *x);
        if (c->qk_norm) norm_heads(m, j->offsets, x);
        for (size_t h = 0; h < turned; h++)
            k->rope(x + h * D, j->rope->cosine + at, j->rope->sine + at, 1, R);
        if (m->rounded) k->round(x, x, W);
    }
}

static void gated_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    size_t F = j->model->config.hidden, C = j->model->config.width;
    bool gelu = j->model->config.gelu;
    for (size_t i = first; i < last; i++) {
        float *g = j->state->gate_up + i * 2 * F;
        if (j->model->rounded) kernels()->round(g, g, 2 * F);
        (gelu ? kernels()->geglu : kernels()->swiglu)(j->rows->act + i * F, g, g + F, F);
        if (j->y) memcpy(j->y + i * C, j->state->mid + i * C, C * sizeof *g);
    }
}

void layer_gated(const struct layer_rows *r, const struct layer_state *s, float *out) {
    struct rows_job j = {.rows = r, .model = r->model, .state = s, .y = out == s->mid ? NULL : out};
    parallel_range(r->n, GRAIN, gated_rows, &j);
}

static void add_normed(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct model_config *c = &j->model->config;
    for (size_t i = first; i < last; i++) {
        float *normed = j->rows->norm + i * c->width;
        kernels()->rmsnorm(normed, j->x + i * c->width, j->w, c->norm_plus_one, c->width,
                           (float)c->norm_eps);
        kernels()->axpy(j->y + i * c->width, 1, normed, c->width);
    }
}

// The stream y (n,C) += the projection of x, through the norm at `offset` unless that is SIZE_MAX.
static void add_to_stream(const struct layer_rows *r, size_t l, enum projection which, float *y,
                          const float *x, size_t offset, float *raw) {
    const struct model *m = r->model;
    bool straight = offset == SIZE_MAX;
    linear_forward(m, &r->linear, l, which, straight ? y : raw, x, straight);
    if (straight) return;
    struct rows_job j = {.rows = r, .model = m, .y = y, .x = raw, .w = model_vector(m, offset)};
    parallel_range(r->n, GRAIN, add_normed, &j);
}

void layer_inside(const struct layer_rows *r, size_t l, const struct layer_state *s) {
    const struct model *m = r->model;
    const struct layer_offsets *o = &m->layer[l];
    struct rows_job j = {.rows = r, .model = m, .state = s, .offsets = o};
    j.rope = rope_of_layer(&m->config, r->rope, l);
    const float *x = layer_input(r, s->in, o->norm1);
    linear_forward(m, &r->linear, l, PROJECT_QKV, s->qkv, x, false);
    parallel_range(r->n, GRAIN, finish_qkv, &j);
    r->attend(r->self, l, s);
    add_to_stream(r, l, PROJECT_OUT, s->mid, s->att, o->post1, s->att_out);
    x = layer_input(r, s->mid, o->norm2);
    linear_forward(m, &r->linear, l, PROJECT_GATE_UP, s->gate_up, x, false);
}

void layer_forward(const struct layer_rows *r, size_t l, const struct layer_state *s, float *out) {
    layer_inside(r, l, s);
    layer_gated(r, s, out);
    add_to_stream(r, l, PROJECT_DOWN, out, r->act, r->model->layer[l].post2, s->mlp_out);
}

void layer_logits(const struct model *m, const struct linear_rows *r, const float *x,
                  float *logits) {
    linear_forward(m, r, 0, PROJECT_HEAD, logits, x, false);
}

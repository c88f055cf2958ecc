#include "common/engine/decoder.h"
#include "common/engine/gemm.h"
#include "common/engine/kernels.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/engine/rope.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct place {
    uint32_t slot, position;
};

struct decoder {
    const struct model *model;
    size_t slots, length, rows; // rows: most of one pass
    struct arena arena;
    float *cosine, *sine; // (length, D/2)
    float *cache;         // (L, S, G, 2, length, D): keys, then values, of a key-value head
    uint32_t *used;       // (S) positions that a slot holds
    struct place *place;  // (rows)
    float *x, *norm, *qkv, *att, *gate_up, *act; // (rows, ...)
    float *score;                                // (threads, H/G, length)
};

static size_t kv_width(const struct model_config *c) {
    return 2 * c->kv_heads * c->head_dim;
}

static size_t qkv_width(const struct model_config *c) {
    return c->heads * c->head_dim + kv_width(c);
}

static void lay_out(struct decoder *d) {
    const struct model_config *c = &d->model->config;
    size_t f = sizeof(float), half = c->head_dim / 2, N = d->rows;
    d->cosine = arena_take(&d->arena, d->length * half * f);
    d->sine = arena_take(&d->arena, d->length * half * f);
    d->cache = arena_take(&d->arena, c->layers * d->slots * d->length * kv_width(c) * f);
    d->used = arena_take(&d->arena, d->slots * sizeof *d->used);
    d->place = arena_take(&d->arena, N * sizeof *d->place);
    d->x = arena_take(&d->arena, N * c->width * f);
    d->norm = arena_take(&d->arena, N * c->width * f);
    d->qkv = arena_take(&d->arena, N * qkv_width(c) * f);
    d->att = arena_take(&d->arena, N * c->heads * c->head_dim * f);
    d->gate_up = arena_take(&d->arena, N * 2 * c->hidden * f);
    d->act = arena_take(&d->arena, N * c->hidden * f);
    d->score = arena_take(&d->arena,
                          (size_t)parallel_threads() * (c->heads / c->kv_heads) * d->length * f);
}

static struct decoder sized(const struct model *m, size_t slots, size_t length) {
    return (struct decoder){
        .model = m, .slots = slots, .length = length, .rows = length > slots ? length : slots};
}

size_t decoder_plan(const struct model *m, size_t slots, size_t length) {
    struct decoder d = sized(m, slots, length);
    lay_out(&d);
    return d.arena.peak;
}

struct decoder *decoder_new(const struct model *m, size_t slots, size_t length) {
    struct decoder *d = xmalloc(sizeof *d);
    *d = sized(m, slots, length);
    arena_init(&d->arena, decoder_plan(m, slots, length));
    lay_out(d);
    rope_table(&m->config, length, d->cosine, d->sine);
    return d;
}

void decoder_free(struct decoder *d) {
    if (!d) return;
    arena_release(&d->arena);
    free(d);
}

const struct model *decoder_model(const struct decoder *d) {
    return d->model;
}

// Keys of a key-value head's positions 0 .. length-1; its values follow, length * D floats on.
static float *cached(const struct decoder *d, size_t layer, size_t slot, size_t g) {
    const struct model_config *c = &d->model->config;
    return d->cache + ((layer * d->slots + slot) * c->kv_heads + g) * 2 * d->length * c->head_dim;
}

// Few rows: outputs one by one; many (a prompt): tiles of one unit.
static void product(float *y, const float *x, size_t n, struct weights w, size_t M, size_t K,
                    bool add) {
    size_t rows[2] = {0, n};
    struct rowplan plan = {.units = 1, .first = rows};
    gemm_forward(&plan, y, M, x, K, w, M, K, add);
}

struct pass {
    struct decoder *d;
    size_t n, layer;
    bool few;
};

static void multiply(const struct pass *p, float *y, const float *x, size_t w, size_t M, size_t K,
                     bool add) {
    struct weights weights = model_matrix(p->d->model, w);
    if (p->few)
        gemm_rows(y, M, x, K, p->n, weights, M, K, add);
    else
        product(y, x, p->n, weights, M, K, add);
}

static void norm_rows(const struct pass *p, size_t w) {
    const struct model_config *c = &p->d->model->config;
    for (size_t i = 0; i < p->n; i++)
        kernels()->rmsnorm(p->d->norm + i * c->width, p->d->x + i * c->width,
                           model_vector(p->d->model, w), c->width, (float)c->norm_eps);
}

// Bias, q/k norm, RoPE of row i; its keys and values go to the cache.
static void finish_row(void *self, size_t i) {
    const struct pass *p = self;
    struct decoder *d = p->d;
    const struct model *m = d->model;
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[p->layer];
    const struct kernels *k = kernels();
    size_t D = c->head_dim, turned = c->heads + c->kv_heads, at = d->place[i].position;
    float *x = d->qkv + i * qkv_width(c);
    if (c->qkv_bias) k->axpy(x, 1, model_vector(m, o->q_bias), qkv_width(c));
    for (size_t h = 0; h < turned; h++) {
        size_t w = h < c->heads ? o->q_norm : o->k_norm;
        if (c->qk_norm) k->rmsnorm(x + h * D, x + h * D, model_vector(m, w), D, (float)c->norm_eps);
        k->rope(x + h * D, d->cosine + at * (D / 2), d->sine + at * (D / 2), 1, D);
    }
    for (size_t g = 0; g < c->kv_heads; g++) {
        float *key = cached(d, p->layer, d->place[i].slot, g) + at * D;
        memcpy(key, x + (c->heads + g) * D, D * sizeof *x);
        memcpy(key + d->length * D, x + (turned + g) * D, D * sizeof *x);
    }
}

// One row and key-value head, with the query heads that share it.
static void attend(void *self, size_t task) {
    const struct pass *p = self;
    struct decoder *d = p->d;
    const struct model_config *c = &d->model->config;
    const struct kernels *k = kernels();
    size_t i = task / c->kv_heads, g = task % c->kv_heads, D = c->head_dim;
    size_t heads = c->heads / c->kv_heads, seen = d->place[i].position + 1;
    const float *q = d->qkv + i * qkv_width(c) + g * heads * D;
    const float *key = cached(d, p->layer, d->place[i].slot, g), *value = key + d->length * D;
    float *score = d->score + (size_t)parallel_self() * heads * d->length;
    float *out = d->att + (i * c->heads + g * heads) * D, scale = 1 / sqrtf((float)D);
    k->rows(score, d->length, q, D, heads, key, seen, D, false);
    for (size_t h = 0; h < heads; h++) {
        float *s = score + h * d->length, *to = out + h * D;
        k->scale(s, s, scale, seen);
        float sum = k->exp_sum(s, s, seen, k->max(s, seen));
        k->mix(to, s, value, D, seen, D);
        k->scale(to, to, 1 / sum, D);
    }
}

static void swiglu_row(void *self, size_t i) {
    const struct pass *p = self;
    size_t F = p->d->model->config.hidden;
    const float *g = p->d->gate_up + i * 2 * F;
    kernels()->swiglu(p->d->act + i * F, g, g + F, F);
}

// The residual stream of n rows (tokens, places) through all layers, into d->x.
static void run_layers(struct pass *p, const int32_t *token) {
    struct decoder *d = p->d;
    const struct model *m = d->model;
    const struct model_config *c = &m->config;
    size_t C = c->width, F = c->hidden, HD = c->heads * c->head_dim;
    for (size_t i = 0; i < p->n; i++) model_embedding(m, token[i], d->x + i * C);
    for (p->layer = 0; p->layer < c->layers; p->layer++) {
        const struct layer_offsets *o = &m->layer[p->layer];
        norm_rows(p, o->norm1);
        multiply(p, d->qkv, d->norm, o->q, qkv_width(c), C, false);
        parallel_for(p->n, finish_row, p);
        parallel_for(p->n * c->kv_heads, attend, p);
        multiply(p, d->x, d->att, o->o, C, HD, true);
        norm_rows(p, o->norm2);
        multiply(p, d->gate_up, d->norm, o->gate, 2 * F, C, false);
        parallel_for(p->n, swiglu_row, p);
        multiply(p, d->x, d->act, o->down, C, F, true);
    }
}

static void head(struct decoder *d, const float *x, size_t n, float *logits) {
    const struct model *m = d->model;
    const struct model_config *c = &m->config;
    size_t C = c->width, V = c->vocab;
    for (size_t i = 0; i < n; i++)
        kernels()->rmsnorm(d->norm + i * C, x + i * C, model_vector(m, m->norm), C,
                           (float)c->norm_eps);
    gemm_rows(logits, V, d->norm, C, n, model_matrix(m, m->head), V, C, false);
    for (size_t i = 0; i < n; i++)
        for (size_t v = c->vocab_used; v < V; v++) logits[i * V + v] = -INFINITY;
}

void decoder_start(struct decoder *d, size_t slot, const int32_t *ids, size_t n, float *logits) {
    assert(slot < d->slots && n >= 1 && n <= d->length);
    for (size_t i = 0; i < n; i++) d->place[i] = (struct place){(uint32_t)slot, (uint32_t)i};
    d->used[slot] = (uint32_t)n;
    struct pass p = {.d = d, .n = n, .few = n < 16};
    run_layers(&p, ids);
    head(d, d->x + (n - 1) * d->model->config.width, 1, logits);
}

void decoder_step(struct decoder *d, size_t n, const size_t *slot, const int32_t *token,
                  float *logits) {
    for (size_t i = 0; i < n; i++) {
        assert(d->used[slot[i]] < d->length);
        d->place[i] = (struct place){(uint32_t)slot[i], d->used[slot[i]]++};
    }
    struct pass p = {.d = d, .n = n, .few = true};
    run_layers(&p, token);
    head(d, d->x, n, logits);
}

#include "common/engine/decoder.h"
#include "common/engine/kernels.h"
#include "common/engine/layer.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/engine/rope.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    const struct model *model;
    size_t slots, length, rows; // rows: most of one pass
    struct arena arena;
    struct rope rope[2]; // (length, R/2) by kind of layer
    bool half;           // the cache is in bf16: keys and values are rounded anyway
    char *cache;         // (L, S, G, 2, length, D): keys, then values, of a key-value head
    uint32_t *used;      // (S) positions that a slot holds
    uint32_t *slot;      // (rows) of each row
    uint32_t *place;     // (rows) its position
    struct layer_rows pass;
    struct layer_state state; // `in`, `mid` and what a layer puts out are one: x (rows,C)
    float *score;             // (threads, H/G, length)
};

static size_t kv_width(const struct model_config *c) {
    return 2 * c->kv_heads * c->head_dim;
}

static size_t number_size(const struct decoder *d) { // of the cache
    return d->half ? sizeof(uint16_t) : sizeof(float);
}

static void lay_out(struct decoder *d) {
    const struct model_config *c = &d->model->config;
    size_t f = sizeof(float), N = d->rows;
    rope_lay_out(&d->arena, c, d->length, d->rope);
    d->cache =
        arena_take(&d->arena, c->layers * d->slots * d->length * kv_width(c) * number_size(d));
    d->used = arena_take(&d->arena, d->slots * sizeof *d->used);
    d->slot = arena_take(&d->arena, N * sizeof *d->slot);
    d->place = arena_take(&d->arena, N * sizeof *d->place);
    d->state.in = d->state.mid = arena_take(&d->arena, N * c->width * f);
    d->pass.norm = arena_take(&d->arena, N * c->width * f);
    d->state.qkv = arena_take(&d->arena, N * model_qkv_width(c) * f);
    d->state.att = arena_take(&d->arena, N * c->heads * c->head_dim * f);
    d->state.gate_up = arena_take(&d->arena, N * 2 * c->hidden * f);
    size_t added = c->norms == NORMS_BEFORE ? 0 : N * c->width * f;
    d->state.att_out = d->state.mlp_out = arena_take(&d->arena, added);
    d->pass.act = arena_take(&d->arena, N * c->hidden * f);
    d->pass.linear.low = arena_take(&d->arena, N * linear_low_width(d->model) * f);
    d->score = arena_take(&d->arena,
                          (size_t)parallel_threads() * (c->heads / c->kv_heads) * d->length * f);
}

static struct decoder sized(const struct model *m, size_t slots, size_t length) {
    return (struct decoder){.model = m,
                            .slots = slots,
                            .length = length,
                            .rows = length > slots ? length : slots,
                            .half = m->rounded};
}

size_t decoder_plan(const struct model *m, size_t slots, size_t length) {
    struct decoder d = sized(m, slots, length);
    lay_out(&d);
    return d.arena.peak;
}

static void attend(void *self, size_t l, const struct layer_state *s);

struct decoder *decoder_new(const struct model *m, size_t slots, size_t length) {
    struct decoder *d = xmalloc(sizeof *d);
    *d = sized(m, slots, length);
    arena_init(&d->arena, decoder_plan(m, slots, length));
    lay_out(d);
    rope_fill(&m->config, length, d->rope);
    d->pass.model = m;
    d->pass.rope = d->rope;
    d->pass.place = d->place;
    d->pass.self = d;
    d->pass.attend = attend;
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

// Keys of a key-value head's positions 0 .. length-1; its values follow, length * D numbers on.
static char *cached(const struct decoder *d, size_t layer, size_t slot, size_t g) {
    const struct model_config *c = &d->model->config;
    size_t head = (layer * d->slots + slot) * c->kv_heads + g;
    return d->cache + head * 2 * d->length * c->head_dim * number_size(d);
}

struct attend {
    struct decoder *d;
    size_t layer;
    bool apart; // each row is of a sequence of its own
};

static void keep(const struct decoder *d, char *to, const float *x) {
    size_t D = d->model->config.head_dim;
    if (d->half)
        kernels()->narrow((uint16_t *)(void *)to, x, D);
    else
        memcpy(to, x, D * sizeof *x);
}

// Row i's keys and values of a key-value head go to the cache.
static void keep_head(const struct attend *a, size_t i, size_t g) {
    const struct decoder *d = a->d;
    const struct model_config *c = &d->model->config;
    size_t D = c->head_dim, turned = c->heads + c->kv_heads, size = D * number_size(d);
    const float *x = d->state.qkv + i * model_qkv_width(c);
    char *key = cached(d, a->layer, d->slot[i], g) + d->place[i] * size;
    keep(d, key, x + (c->heads + g) * D);
    keep(d, key + d->length * size, x + (turned + g) * D);
}

static void keep_row(void *self, size_t i) {
    const struct attend *a = self;
    for (size_t g = 0; g < a->d->model->config.kv_heads; g++) keep_head(a, i, g);
}

struct seen {            // what a row sees of a key-value head
    size_t row, head, n; // n: keys
    const char *key, *value;
};

static struct seen seen_by(const struct attend *a, size_t task) {
    const struct decoder *d = a->d;
    const struct model_config *c = &d->model->config;
    struct seen s = {.row = task / c->kv_heads, .head = task % c->kv_heads};
    size_t place = d->place[s.row], window = model_window(c, a->layer);
    size_t first = window && place >= window ? place + 1 - window : 0;
    size_t size = c->head_dim * number_size(d);
    s.n = place + 1 - first;
    s.key = cached(d, a->layer, d->slot[s.row], s.head) + first * size;
    s.value = s.key + d->length * size;
    return s;
}

// to (D) = the n values, by their weights p (n)
static void mix_values(const struct decoder *d, float *to, const float *p, const struct seen *s,
                       const char *next) {
    size_t D = d->model->config.head_dim;
    if (d->half)
        kernels()->mix_half(to, p, (const uint16_t *)(const void *)s->value, D, s->n, D, next);
    else
        kernels()->mix(to, p, (const float *)(const void *)s->value, D, s->n, D, next);
}

// score (heads, length) = q (heads, D) times the n keys
static void score_keys(const struct decoder *d, float *score, const float *q, size_t heads,
                       const struct seen *s, const char *next) {
    size_t D = d->model->config.head_dim;
    if (d->half)
        kernels()->rows_half(score, d->length, q, D, heads, (const uint16_t *)(const void *)s->key,
                             s->n, D, next);
    else
        kernels()->rows(score, d->length, q, D, heads, (const float *)(const void *)s->key, s->n, D,
                        next);
}

// One row and key-value head, with the query heads that share it. The cache comes from memory:
// with each line of keys one of the keys that come `next` is fetched, and so with values.
static void attend_row(const struct attend *a, const struct seen *s, const struct seen *next) {
    struct decoder *d = a->d;
    const struct model_config *c = &d->model->config;
    const struct kernels *k = kernels();
    size_t heads = c->heads / c->kv_heads, D = c->head_dim;
    const float *q = d->state.qkv + s->row * model_qkv_width(c) + s->head * heads * D;
    float *score = d->score + (size_t)parallel_self() * heads * d->length;
    float *out = d->state.att + (s->row * c->heads + s->head * heads) * D;
    float scale = model_score_scale(c);
    if (a->apart) keep_head(a, s->row, s->head);
    score_keys(d, score, q, heads, s, next->key);
    for (size_t h = 0; h < heads; h++) {
        float *x = score + h * d->length, *to = out + h * D;
        k->scale(x, x, scale, s->n);
        float sum = k->exp_sum(x, x, s->n, k->max(x, s->n));
        mix_values(d, to, x, s, h ? s->value : next->value);
        k->scale(to, to, 1 / sum, D);
        if (d->model->rounded) k->round(to, to, D);
    }
}

static void attend_rows(void *self, size_t first, size_t last) {
    const struct attend *a = self;
    size_t end = a->d->pass.n * a->d->model->config.kv_heads;
    struct seen next = seen_by(a, first);
    for (size_t task = first; task < last; task++) {
        struct seen s = next;
        if (task + 1 < end) next = seen_by(a, task + 1);
        attend_row(a, &s, &next);
    }
}

static void attend(void *self, size_t l, const struct layer_state *s) {
    (void)s;
    struct decoder *d = self;
    struct attend a = {d, l, d->pass.linear.plan.apart};
    size_t n = d->pass.n;
    if (!a.apart) parallel_for(n, keep_row, &a);
    parallel_range(n * d->model->config.kv_heads, 1, attend_rows, &a);
}

// The residual stream of n rows (ids, slots, places) through all layers.
static void run_layers(struct decoder *d, size_t n, const int32_t *ids, bool apart) {
    size_t rows[2] = {0, n};
    struct layer_rows *r = &d->pass;
    assert(d->half == d->model->rounded);
    r->n = n;
    r->linear.plan = (struct rowplan){.units = 1, .first = rows, .apart = apart};
    layer_embed(r, ids, d->state.in);
    for (size_t l = 0; l < d->model->config.layers; l++)
        layer_forward(r, l, &d->state, d->state.mid);
}

static void head(struct decoder *d, const float *x, size_t n, float *logits) {
    size_t rows[2] = {0, n};
    struct linear_rows r = {.plan = {.units = 1, .first = rows, .apart = true}};
    layer_norm(d->model, d->pass.norm, x, NULL, n, d->model->norm);
    layer_logits(d->model, &r, d->pass.norm, logits);
}

void decoder_start(struct decoder *d, size_t slot, const int32_t *ids, size_t n, float *logits) {
    assert(slot < d->slots && n >= 1 && n <= d->length);
    for (size_t i = 0; i < n; i++) {
        d->slot[i] = (uint32_t)slot;
        d->place[i] = (uint32_t)i;
    }
    d->used[slot] = (uint32_t)n;
    run_layers(d, n, ids, false);
    head(d, d->state.in + (n - 1) * d->model->config.width, 1, logits);
}

void decoder_step(struct decoder *d, size_t n, const size_t *slot, const int32_t *token,
                  float *logits) {
    for (size_t i = 0; i < n; i++) {
        assert(d->used[slot[i]] < d->length);
        d->slot[i] = (uint32_t)slot[i];
        d->place[i] = d->used[slot[i]]++;
    }
    run_layers(d, n, token, true);
    head(d, d->state.in, n, logits);
}

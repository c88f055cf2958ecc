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
    struct rope rope[2]; // (length, D/2) by kind of layer
    float *cache;        // (L, S, G, 2, length, D): keys, then values, of a key-value head
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

static void lay_out(struct decoder *d) {
    const struct model_config *c = &d->model->config;
    size_t f = sizeof(float), N = d->rows;
    rope_lay_out(&d->arena, c, d->length, d->rope);
    d->cache = arena_take(&d->arena, c->layers * d->slots * d->length * kv_width(c) * f);
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
    return (struct decoder){
        .model = m, .slots = slots, .length = length, .rows = length > slots ? length : slots};
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

// Keys of a key-value head's positions 0 .. length-1; its values follow, length * D floats on.
static float *cached(const struct decoder *d, size_t layer, size_t slot, size_t g) {
    const struct model_config *c = &d->model->config;
    return d->cache + ((layer * d->slots + slot) * c->kv_heads + g) * 2 * d->length * c->head_dim;
}

struct attend {
    struct decoder *d;
    size_t layer;
};

// The keys and values of row i go to the cache.
static void keep_row(void *self, size_t i) {
    const struct attend *a = self;
    struct decoder *d = a->d;
    const struct model_config *c = &d->model->config;
    size_t D = c->head_dim, turned = c->heads + c->kv_heads;
    const float *x = d->state.qkv + i * model_qkv_width(c);
    for (size_t g = 0; g < c->kv_heads; g++) {
        float *key = cached(d, a->layer, d->slot[i], g) + d->place[i] * D;
        memcpy(key, x + (c->heads + g) * D, D * sizeof *x);
        memcpy(key + d->length * D, x + (turned + g) * D, D * sizeof *x);
    }
}

struct seen { // what a row sees of a key-value head
    size_t row, head, n;
    const float *key, *value;
};

static struct seen seen_by(const struct attend *a, size_t task) {
    const struct decoder *d = a->d;
    const struct model_config *c = &d->model->config;
    struct seen s = {.row = task / c->kv_heads, .head = task % c->kv_heads};
    size_t place = d->place[s.row], window = model_window(c, a->layer);
    size_t first = window && place >= window ? place + 1 - window : 0;
    s.n = place + 1 - first;
    s.key = cached(d, a->layer, d->slot[s.row], s.head) + first * c->head_dim;
    s.value = s.key + d->length * c->head_dim;
    return s;
}

static void fetch(const float *x, size_t n) {
    for (size_t i = 0; i < n; i += 64 / sizeof *x) __builtin_prefetch(x + i, 0, 2);
}

// One row and key-value head, with the query heads that share it. The cache comes from memory:
// values are fetched while keys are multiplied, and the keys that this thread most likely needs
// next.
static void attend_row(void *self, size_t task) {
    const struct attend *a = self;
    struct decoder *d = a->d;
    const struct model_config *c = &d->model->config;
    const struct kernels *k = kernels();
    const struct seen s = seen_by(a, task);
    size_t heads = c->heads / c->kv_heads, D = c->head_dim;
    size_t next = task + (size_t)parallel_threads();
    const float *q = d->state.qkv + s.row * model_qkv_width(c) + s.head * heads * D;
    float *score = d->score + (size_t)parallel_self() * heads * d->length;
    float *out = d->state.att + (s.row * c->heads + s.head * heads) * D;
    float scale = model_score_scale(c);
    fetch(s.value, s.n * D);
    if (next < d->pass.n * c->kv_heads) fetch(seen_by(a, next).key, seen_by(a, next).n * D);
    k->rows(score, d->length, q, D, heads, s.key, s.n, D, false);
    for (size_t h = 0; h < heads; h++) {
        float *x = score + h * d->length, *to = out + h * D;
        k->scale(x, x, scale, s.n);
        float sum = k->exp_sum(x, x, s.n, k->max(x, s.n));
        k->mix(to, x, s.value, D, s.n, D);
        k->scale(to, to, 1 / sum, D);
    }
}

static void attend(void *self, size_t l, const struct layer_state *s) {
    (void)s;
    struct attend a = {.d = self, .layer = l};
    size_t n = a.d->pass.n;
    parallel_for(n, keep_row, &a);
    parallel_for(n * a.d->model->config.kv_heads, attend_row, &a);
}

// The residual stream of n rows (ids, slots, places) through all layers.
static void run_layers(struct decoder *d, size_t n, const int32_t *ids, bool few) {
    size_t rows[2] = {0, n};
    struct layer_rows *r = &d->pass;
    r->n = n;
    r->linear.plan = (struct rowplan){.units = 1, .first = rows};
    r->linear.few = few;
    layer_embed(r, ids, d->state.in);
    for (size_t l = 0; l < d->model->config.layers; l++)
        layer_forward(r, l, &d->state, d->state.mid);
}

static void head(struct decoder *d, const float *x, size_t n, float *logits) {
    size_t rows[2] = {0, n};
    struct linear_rows r = {.plan = {.units = 1, .first = rows}, .few = true};
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
    run_layers(d, n, ids, n < 16);
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

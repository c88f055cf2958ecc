// Keeps to what net.c, net_backward.c and attention.c call; if they change their products, so must
// this.
#include "tests/bench/engine/bench.h"
#include "common/engine/attention.h"
#include "common/engine/kernels.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <stdlib.h>

struct replay {
    const struct model *m;
    const struct batch *b;
    size_t floats;
    float *in, *out, *scratch; // operands of every product: any numbers do
    float *grads;
};

struct replay *replay_new(const struct model *m, const struct batch *b) {
    const struct model_config *c = &m->config;
    struct replay *r = xcalloc(1, sizeof *r);
    size_t wide = 2 * c->hidden, W = (c->heads + 2 * c->kv_heads) * c->head_dim;
    if (W > wide) wide = W;
    r->m = m;
    r->b = b;
    r->floats = b->n * wide + CHUNK_POSITIONS * c->vocab;
    r->in = big_alloc(r->floats * sizeof(float));
    r->out = big_alloc(r->floats * sizeof(float));
    r->grads = big_alloc(m->n_params * sizeof(float));
    for (size_t i = 0; i < r->floats; i++) r->in[i] = (float)(i % 13) * 1e-3f;
    return r;
}

void replay_free(struct replay *r) {
    big_free(r->in, r->floats * sizeof(float));
    big_free(r->out, r->floats * sizeof(float));
    big_free(r->grads, r->m->n_params * sizeof(float));
    free(r);
}

struct heads { // attention's products of all segments
    struct replay *r;
    bool backward;
};

static void block_of(float *c, size_t ldc, size_t rows, size_t cols, size_t k, const float *a,
                     size_t lda, bool inner, const float *packed, bool add) {
    kernels()->block(&(struct block){.c = c,
                                     .ldc = ldc,
                                     .rows = rows,
                                     .cols = cols,
                                     .k = k,
                                     .a = {.f32 = a, .ld = lda, .inner = inner},
                                     .b = {.packed = packed, .ld = k},
                                     .add = add});
}

// Queries against one block of keys, as attention.c multiplies them. `packed`: any operand.
static void block_products(const struct heads *a, size_t rows, size_t keys, float *packed,
                           float *score) {
    const struct model_config *c = &a->r->m->config;
    const float *x = a->r->in;
    float *wide = score + ATTENTION_ROWS * ATTENTION_KEYS;
    size_t D = c->head_dim, W = (c->heads + 2 * c->kv_heads) * D, S = ATTENTION_KEYS;
    block_of(score, S, rows, keys, D, x, W, true, packed, false);
    block_of(wide, W, rows, D, keys, score, S, true, packed, true);
    if (!a->backward) return;
    block_of(score, S, rows, keys, D, x, W, true, packed, false);
    for (int i = 0; i < 2; i++) {
        kernels()->pack(packed, x, W, D, rows, false);
        block_of(wide, W, keys, D, rows, score, S, false, packed, true);
    }
}

static void head_products(void *self, size_t i) {
    const struct heads *a = self;
    const struct model_config *c = &a->r->m->config;
    const struct segment *s = &a->r->b->segment[i / c->heads];
    float *packed =
        a->r->out + (size_t)parallel_self() * (a->r->floats / (size_t)parallel_threads() / 16 * 16);
    size_t D = c->head_dim, W = (c->heads + 2 * c->kv_heads) * D, all = s->prefix_count + s->count;
    float *score = packed + ATTENTION_KEYS * (D + KERNEL_STRIPS) + D * KERNEL_STRIPS;
    for (size_t at = 0; at < all; at += ATTENTION_KEYS) {
        size_t keys = all - at < ATTENTION_KEYS ? all - at : ATTENTION_KEYS;
        size_t first = at < s->prefix_count ? 0 : (at - s->prefix_count) / ATTENTION_ROWS;
        for (int pack = 0; pack < (a->backward ? 3 : 2); pack++)
            kernels()->pack(packed, a->r->in, W, pack == 1 ? D : keys, pack == 1 ? keys : D,
                            pack != 1);
        for (size_t q = first * ATTENTION_ROWS; q < s->count; q += ATTENTION_ROWS) {
            size_t rows = s->count - q < ATTENTION_ROWS ? s->count - q : ATTENTION_ROWS;
            size_t seen = s->prefix_count + q + rows - at;
            block_products(a, rows, seen < keys ? seen : keys, packed, score);
        }
    }
}

static void attention_products(struct replay *r, bool backward) {
    struct heads a = {r, backward};
    parallel_for(r->b->segments * r->m->config.heads, head_products, &a);
}

static void layer_products(struct replay *r, size_t l, bool backward) {
    const struct model_config *c = &r->m->config;
    const struct layer_offsets *o = &r->m->layer[l];
    const float *in = r->in;
    struct rowplan plan = batch_rows(r->b);
    float *out = r->out, *g = r->grads;
    size_t C = c->width, F = c->hidden, HD = c->heads * c->head_dim;
    size_t W = HD + 2 * c->kv_heads * c->head_dim;
    if (!backward) {
        gemm_forward(&plan, out, W, in, C, model_matrix(r->m, o->q), W, C, false);
        attention_products(r, false);
        gemm_forward(&plan, out, C, in, HD, model_matrix(r->m, o->o), C, HD, true);
        gemm_forward(&plan, out, 2 * F, in, C, model_matrix(r->m, o->gate), 2 * F, C, false);
        gemm_forward(&plan, out, C, in, F, model_matrix(r->m, o->down), C, F, true);
        return;
    }
    gemm_dw(&plan, g + o->down, in, C, in, F, C, F, r->m->rounded);
    gemm_dx(&plan, out, F, in, C, model_matrix(r->m, o->down), C, F, false);
    gemm_dw(&plan, g + o->gate, in, 2 * F, in, C, 2 * F, C, r->m->rounded);
    gemm_dx(&plan, out, C, in, 2 * F, model_matrix(r->m, o->gate), 2 * F, C, false);
    gemm_dw(&plan, g + o->o, in, C, in, HD, C, HD, r->m->rounded);
    gemm_dx(&plan, out, HD, in, C, model_matrix(r->m, o->o), C, HD, false);
    attention_products(r, true);
    gemm_dw(&plan, g + o->q, in, W, in, C, W, C, r->m->rounded);
    gemm_dx(&plan, out, C, in, W, model_matrix(r->m, o->q), W, C, false);
}

static void head_chunks(struct replay *r, bool backward) {
    const struct model *m = r->m;
    size_t C = m->config.width, V = m->config.vocab_used;
    for (size_t i = 0, n = batch_chunks(r->b); i < n; i++) {
        struct chunk c = batch_chunk(r->b, i);
        size_t rows[2] = {0, c.count};
        struct rowplan plan = {.units = 1, .first = rows};
        const float *x = r->in + c.first * C;
        gemm_forward(&plan, r->out, V, x, C, model_matrix(m, m->head), V, C, false);
        if (!backward) continue;
        gemm_dx(&plan, r->out, C, r->in, V, model_matrix(m, m->head), V, C, false);
        gemm_dw(&plan, r->grads + m->head, r->in, V, x, C, V, C, r->m->rounded);
    }
}

void replay_run(struct replay *r, bool backward) {
    size_t L = r->m->config.layers;
    for (size_t l = 0; l < L; l++) layer_products(r, l, false);
    head_chunks(r, backward);
    for (size_t l = L; backward && l-- > 0;) layer_products(r, l, true);
}

double replay_flops(const struct model *m, const struct batch *b, bool backward) {
    const struct model_config *c = &m->config;
    size_t HD = c->heads * c->head_dim, W = HD + 2 * c->kv_heads * c->head_dim;
    double weights = (double)c->width * (double)(W + HD + 3 * c->hidden);
    double rows = (double)b->n * (double)c->layers * weights;
    double head = (double)b->positions * (double)c->width * (double)c->vocab, pairs = 0;
    for (size_t s = 0; s < b->segments; s++) {
        double n = (double)b->segment[s].count, np = (double)b->segment[s].prefix_count;
        pairs += n * np + n * (n + 1) / 2; // of query and key
    }
    double attention = 2 * pairs * (double)HD * (double)c->layers; // scores, values
    return backward ? 6 * (rows + head) + 7 * attention : 2 * (rows + head + attention);
}

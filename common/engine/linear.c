#include "common/engine/linear.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/engine/adapter.h"
#include "common/engine/kernels.h"
#include <assert.h>

enum { GRAIN = 16, MOST_PARTS = 3 };

struct linear linear_of(const struct model *m, size_t layer, enum projection which) {
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[which == PROJECT_HEAD ? 0 : layer];
    size_t C = c->width, F = c->hidden;
    switch (which) {
    case PROJECT_QKV:
        return (struct linear){o->q, model_qkv_width(c), C};
    case PROJECT_OUT:
        return (struct linear){o->o, C, c->heads * c->head_dim};
    case PROJECT_GATE_UP:
        return (struct linear){o->gate, 2 * F, C};
    case PROJECT_DOWN:
        return (struct linear){o->down, C, F};
    default:
        return (struct linear){m->head, model_outputs(c), C};
    }
}

static void pack_projection(const struct model *m, size_t layer, enum projection which) {
    struct linear l = linear_of(m, layer, which);
    void *numbers = m->bf16 ? (void *)(m->half + l.weight) : (void *)(m->params + l.weight);
    gemm_pack(numbers, model_matrix(m, l.weight), l.out, l.in);
}

// A tied head whose numbers products would lose, as an embedding needs them all.
static bool must_stay(const struct model *m) {
    struct linear l = linear_of(m, 0, PROJECT_HEAD);
    return m->config.tied && m->rounded && m->bf16 &&
           gemm_has_small(m->half + l.weight, l.out * l.in);
}

void linear_pack(struct model *m) {
    if (model_packed(m).layers) return;
    struct packed p = {true, !must_stay(m)};
    for (size_t l = 0; l < m->config.layers; l++)
        for (enum projection which = PROJECT_QKV; which <= PROJECT_DOWN; which++)
            pack_projection(m, l, which);
    if (p.head) pack_projection(m, 0, PROJECT_HEAD);
    model_set_packed(m, p);
}

static size_t first_row(const struct linear_rows *r) {
    return r->plan.first[0];
}

static size_t end_row(const struct linear_rows *r) {
    return r->plan.first[r->plan.units];
}

// ---- the adapter of a projection: of each part that is a target

struct part {
    size_t first, out; // its columns of y
    size_t b;          // offset of B
};

struct low { // of one projection; their A's lie side by side
    size_t parts, rank;
    size_t a, out, in; // offset of the first A; the projection's shape
    struct part part[MOST_PARTS];
};

static struct low low_of(const struct model *m, size_t layer, enum projection which) {
    static const struct {
        enum adapter_target first, last;
    } group[] = {[PROJECT_QKV] = {ADAPT_Q, ADAPT_QKV},
                 [PROJECT_OUT] = {ADAPT_O, ADAPT_O},
                 [PROJECT_GATE_UP] = {ADAPT_GATE, ADAPT_GATE_UP},
                 [PROJECT_DOWN] = {ADAPT_DOWN, ADAPT_DOWN}};
    const struct adapter *a = m->adapter;
    struct low low = {0};
    if (!a || which == PROJECT_HEAD) return low;
    low.rank = a->config.rank;
    for (enum adapter_target t = group[which].first; t <= group[which].last; t++) {
        size_t out;
        adapter_shape(&m->config, t, &out, &low.in);
        if (a->config.target[t]) {
            if (!low.parts) low.a = a->layer[layer][t].a;
            low.part[low.parts++] = (struct part){low.out, out, a->layer[layer][t].b};
        }
        low.out += out;
    }
    return low;
}

size_t linear_low_width(const struct model *m) {
    size_t most = 0;
    for (enum projection p = PROJECT_QKV; m->adapter && p <= PROJECT_DOWN; p++) {
        struct low low = low_of(m, 0, p);
        if (low.parts * low.rank > most) most = low.parts * low.rank;
    }
    return most;
}

size_t linear_low_kept(const struct model *m) {
    size_t sum = 0;
    for (enum projection p = PROJECT_QKV; m->adapter && p <= PROJECT_DOWN; p++) {
        struct low low = low_of(m, 0, p);
        sum += low.parts * low.rank;
    }
    return sum;
}

size_t linear_wide(const struct model *m) {
    size_t most = 0;
    bool used = m->adapter && m->adapter->config.dropout > 0;
    for (enum projection p = PROJECT_QKV; used && p <= PROJECT_DOWN; p++) {
        size_t in = linear_of(m, 0, p).in;
        if (in > most) most = in;
    }
    return most;
}

struct rows_job {
    const struct linear_rows *rows;
    float *y;
    const float *x;
    size_t n; // numbers of a row
    float scale;
    double dropout;
    uint64_t place; // of the projection
    bool add;
};

static struct weights adapter_matrix(const struct model *m, size_t offset) {
    return (struct weights){.f32 = m->adapter->trained.values + offset, .rounded = m->rounded};
}

static void scale_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    first += first_row(j->rows);
    last += first_row(j->rows);
    kernels()->scale(j->y + first * j->n, j->y + first * j->n, j->scale, (last - first) * j->n);
}

// y = x with numbers dropped and the others scaled up, added to y if `add`. Four columns share the
// bits of a draw.
static void drop_rows(void *self, size_t first, size_t last) {
    const struct rows_job *j = self;
    const struct linear_dropout *d = j->rows->dropout;
    uint64_t limit = (uint64_t)(j->dropout * 65536 + 0.5);
    float keep = (float)(1 / (1 - (double)limit / 65536));
    for (size_t i = first + first_row(j->rows); i < last + first_row(j->rows); i++)
        for (size_t c = 0; c < j->n; c += 4) {
            uint64_t bits = rng_bits(d->seed, RNG_DROPOUT, d->step << 32 | (d->first_row + i),
                                     j->place << 32 | c);
            for (size_t k = c; k < c + 4 && k < j->n; k++, bits >>= 16) {
                size_t at = i * j->n + k;
                float x = (bits & 0xffff) < limit ? 0 : keep * j->x[at];
                j->y[at] = j->add ? j->y[at] + x : x;
            }
        }
}

static void drop(const struct model *m, const struct linear_rows *r, size_t layer,
                 enum projection which, float *y, const float *x, size_t n, bool add) {
    struct rows_job j = {.rows = r,
                         .y = y,
                         .x = x,
                         .n = n,
                         .dropout = m->adapter->config.dropout,
                         .place = layer * PROJECT_HEAD + which,
                         .add = add};
    parallel_range(end_row(r) - first_row(r), GRAIN, drop_rows, &j);
}

static void scale(const struct model *m, const struct linear_rows *r, float *y, size_t n) {
    struct rows_job j = {.rows = r, .y = y, .n = n, .scale = m->adapter->scale};
    parallel_range(end_row(r) - first_row(r), GRAIN, scale_rows, &j);
}

static const float *low_input(const struct model *m, const struct linear_rows *r, size_t layer,
                              enum projection which, const float *x, size_t n) {
    if (!r->dropout || !(m->adapter->config.dropout > 0)) return x;
    drop(m, r, layer, which, r->wide, x, n, false);
    return r->wide;
}

// Where a projection's low rows are, (n, parts R).
static float *low_rows(const struct model *m, const struct linear_rows *r, size_t layer,
                       enum projection which) {
    if (!r->kept) return r->low;
    size_t before = layer * linear_low_kept(m);
    for (enum projection p = PROJECT_QKV; p < which; p++) {
        struct low low = low_of(m, 0, p);
        before += low.parts * low.rank;
    }
    return r->low + before * r->kept;
}

// to (n, parts R) = s x A^T
static void go_low(const struct model *m, const struct linear_rows *r, const struct low *low,
                   float *to, const float *x) {
    size_t R = low->parts * low->rank;
    assert(to);
    gemm_forward(&r->plan, to, R, x, low->in, adapter_matrix(m, low->a), R, low->in, false);
    scale(m, r, to, R);
}

void linear_forward(const struct model *m, const struct linear_rows *r, size_t layer,
                    enum projection which, float *y, const float *x, bool add) {
    struct linear l = linear_of(m, layer, which);
    struct low low = low_of(m, layer, which);
    struct weights w = model_matrix(m, l.weight);
    struct beside part[MOST_PARTS];
    size_t R = low.parts * low.rank;
    float *rows = low.parts ? low_rows(m, r, layer, which) : NULL;
    if (low.parts) go_low(m, r, &low, rows, low_input(m, r, layer, which, x, l.in));
    for (size_t i = 0; i < low.parts; i++)
        part[i] = (struct beside){y + low.part[i].first,
                                  l.out,
                                  rows + i * low.rank,
                                  R,
                                  adapter_matrix(m, low.part[i].b),
                                  low.part[i].out,
                                  low.rank,
                                  low.part[i].first,
                                  true};
    gemm_forward_beside(&r->plan, y, l.out, x, l.in, w, l.out, l.in, add, part, low.parts);
}

// dx = dy W, dlow = dy B
static void go_back(const struct model *m, const struct linear_rows *r, const struct linear *l,
                    const struct low *low, float *dx, const float *dy) {
    struct beside part[MOST_PARTS];
    for (size_t i = 0; i < low->parts; i++)
        part[i] = (struct beside){r->dlow + i * low->rank,
                                  low->parts * low->rank,
                                  dy + low->part[i].first,
                                  l->out,
                                  adapter_matrix(m, low->part[i].b),
                                  low->rank,
                                  low->part[i].out,
                                  SIZE_MAX,
                                  false};
    if (dx)
        gemm_dx_beside(&r->plan, dx, l->in, dy, l->out, model_matrix(m, l->weight), l->out, l->in,
                       false, part, low->parts);
    for (const struct beside *p = part; !dx && p < part + low->parts; p++)
        gemm_dx(&r->plan, p->y, p->ldy, p->x, p->ldx, p->w, p->K, p->M, false);
}

// Given dlow = dy B: dB += dy^T low; dlow = s dlow; dA += dlow^T x; dx += dlow A
static void low_backward(const struct model *m, const struct linear_rows *r, size_t layer,
                         enum projection which, const struct low *low, float *dx, const float *dy,
                         const float *x, float *grads) {
    size_t R = low->parts * low->rank, ldy = linear_of(m, layer, which).out;
    const float *in = low_input(m, r, layer, which, x, low->in);
    float *rows = low_rows(m, r, layer, which);
    if (!r->kept) go_low(m, r, low, rows, in);
    for (const struct part *p = low->part; p < low->part + low->parts; p++)
        gemm_dw(&r->plan, grads + p->b, dy + p->first, ldy, rows + (p - low->part) * low->rank, R,
                p->out, low->rank, m->rounded);
    scale(m, r, r->dlow, R);
    gemm_dw(&r->plan, grads + low->a, r->dlow, R, in, low->in, R, low->in, m->rounded);
    if (!dx) return;
    struct weights a = adapter_matrix(m, low->a);
    bool dropped = in != x;
    gemm_dx(&r->plan, dropped ? r->wide : dx, low->in, r->dlow, R, a, R, low->in, !dropped);
    if (dropped) drop(m, r, layer, which, dx, r->wide, low->in, true);
}

void linear_backward(const struct model *m, const struct linear_rows *r, size_t layer,
                     enum projection which, float *dx, const float *dy, const float *x,
                     float *grads) {
    struct linear l = linear_of(m, layer, which);
    struct low low = low_of(m, layer, which);
    if (!m->adapter)
        gemm_dw(&r->plan, grads + l.weight, dy, l.out, x, l.in, l.out, l.in, m->rounded);
    go_back(m, r, &l, &low, dx, dy);
    if (low.parts) low_backward(m, r, layer, which, &low, dx, dy, x, grads);
}

#include "common/engine/gemm_product.h"
#include "common/engine/kernels.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// b is read as it lies, a strip at a time, and the next one is fetched meanwhile.
static bool by_strip(const struct product *p) {
    return is_stream(p) || p->strips;
}

// Adds inner steps first .. first+n-1, in blocks of equal depth: whole multiples of 16 steps.
static void add_blocks(const struct product *p, const struct operand *b, struct span r,
                       struct span c, size_t first, size_t n, bool add) {
    size_t blocks = pieces(n, KERNEL_DEPTH);
    for (size_t i = 0; i < blocks; i++) {
        struct span k = piece(n, blocks, 16, i);
        if (!k.count) break;
        struct block d = {.c = p->c + r.first * p->ldc + c.first,
                          .ldc = p->ldc,
                          .rows = r.count,
                          .cols = c.count,
                          .k = k.count,
                          .a = from(p->a, r.first, first + k.first),
                          .b = from(*b, c.first, first + k.first),
                          .add = add || i,
                          .past = is_large(p)};
        if (by_strip(p)) { // what comes next, as many columns
            size_t end = c.first + c.count, left = p->M - end;
            struct span next = {end, left < c.count ? left : c.count};
            d.ahead = part_of_lines(&p->b, p->K, next, i, blocks);
        }
        kernels()->block(&d);
    }
}

// b's whole strips may be packed.
static void add_inner(const struct product *p, struct span r, struct span c, size_t first, size_t n,
                      bool add) {
    const size_t end = c.first + c.count, most = by_strip(p) ? kernels()->strip : c.count;
    for (size_t at = c.first, next; at < end; at = next) {
        bool packed = at < p->strips;
        next = end - at < most ? end : at + most;
        if (packed && next > p->strips) next = p->strips;
        add_blocks(p, packed ? &p->packed : &p->b, r, (struct span){at, next - at}, first, n, add);
    }
}

// Of the products beside p what belongs to a piece: theirs of its columns, or, where they have a
// matrix of their own, all with the first columns.
static void add_more(const struct product *p, struct span r, struct span c) {
    for (const struct product *m = p->more; m < p->more + p->n_more; m++) {
        size_t first = m->at, end = m->at + m->M;
        if (m->at == SIZE_MAX) {
            if (!c.first) add_inner(m, r, (struct span){0, m->M}, 0, m->K, m->add);
            continue;
        }
        if (first < c.first) first = c.first;
        if (end > c.first + c.count) end = c.first + c.count;
        if (first < end)
            add_inner(m, r, (struct span){first - m->at, end - first}, 0, m->K, m->add);
    }
}

enum { ROWS_STEP = 24 }; // a multiple of every level's panel

static void task(void *self, size_t i) {
    const struct product *p = self;
    struct span r = share(p->N, p->down, ROWS_STEP, i / p->right);
    struct span c = share(p->M, p->right, KERNEL_STRIPS, i % p->right);
    if (!r.count || !c.count) return;
    if (!p->plan) add_inner(p, r, c, 0, p->K, p->add);
    for (size_t u = 0; p->plan && u < p->plan->units; u++)
        add_inner(p, r, c, p->plan->first[u], p->plan->first[u + 1] - p->plan->first[u], true);
    add_more(p, r, c);
}

// A stream: each thread has a stretch of it.
static void stream_task(void *self, size_t first, size_t last) {
    const struct product *p = self;
    size_t strip = kernels()->strip, end = last * strip < p->M ? last * strip : p->M;
    struct span r = {0, p->N}, c = {first * strip, end - first * strip};
    add_inner(p, r, c, 0, p->K, p->add);
    add_more(p, r, c);
}

// What tasks (down, right) take beside multiplying, of that: each piece of rows packs b again, each
// piece of columns a where that must be packed, and threads wait for the one that has a task more.
static double overhead(const struct product *p, size_t down, size_t right) {
    const double pack = 8; // a number takes so many multiply-adds
    double b = p->b.inner ? 1 : 0.3, a = p->a.inner ? 0 : 1;
    size_t tasks = down * right, threads = (size_t)parallel_threads();
    double longest = (double)(pieces(tasks, threads) * threads) / (double)tasks;
    return pack * (b * (double)down / (double)p->N + a * (double)right / (double)p->M) + longest;
}

// Three tasks a thread at least: few leave threads waiting for one that others keep busy. Of all
// cuts into rows those into columns that have as many tasks, or some more.
static void cut(struct product *p) {
    enum { TRIED = 4 };
    size_t threads = (size_t)parallel_threads(), want = threads == 1 ? 1 : 3 * threads;
    size_t strips = pieces(p->M, KERNEL_STRIPS);
    double least = INFINITY;
    for (size_t down = pieces(p->N, KERNEL_ROWS); down <= pieces(p->N, ROWS_STEP); down++) {
        size_t right = pieces(want, down), last = right + TRIED;
        if (right > strips) right = strips;
        for (; right < last && right <= strips; right++) {
            double o = overhead(p, down, right);
            if (o >= least) continue;
            least = o;
            p->down = down;
            p->right = right;
        }
        if (down > want) break;
    }
}

// ---- by sgemm ----

enum { BLAS_ROWS = 512, BLAS_COLUMNS = 1024 };

static size_t unit_rows(const struct rowplan *plan, size_t u) {
    return plan->first[u + 1] - plan->first[u];
}

static void sgemm(const struct product *p, struct span r, struct span c, struct span k, bool add) {
    struct block b = {.c = p->c + r.first * p->ldc + c.first,
                      .ldc = p->ldc,
                      .rows = r.count,
                      .cols = c.count,
                      .k = k.count,
                      .a = from(p->a, r.first, k.first),
                      .b = from(p->b, c.first, k.first),
                      .add = add};
    float *wide = NULL;
    if (b.b.bf16) {
        size_t rows = b.b.inner ? c.count : k.count, columns = b.b.inner ? k.count : c.count;
        wide = xmalloc(rows * columns * sizeof *wide);
        for (size_t i = 0; i < rows; i++)
            kernels()->widen(wide + i * columns, b.b.bf16 + i * b.b.ld, columns);
        b.b = (struct operand){.f32 = wide, .ld = columns, .inner = b.b.inner};
    }
    kernels()->product(&b);
    free(wide);
}

// Tile i of the rows of all units; the rows are the inner length of a weight gradient.
static void blas_task(void *self, size_t i) {
    const struct product *p = self;
    struct span c = piece(p->M, p->right, KERNEL_STRIPS, i % p->right);
    size_t row = i / p->right;
    if (p->plan) {
        struct span r = piece(p->N, p->down, 1, row);
        for (size_t u = 0; u < p->plan->units && r.count && c.count; u++)
            sgemm(p, r, c, (struct span){p->plan->first[u], unit_rows(p->plan, u)}, true);
        return;
    }
    size_t u = 0, n, base = p->rows->first[0];
    while (row >= (n = pieces(unit_rows(p->rows, u), BLAS_ROWS))) {
        row -= n;
        u++;
    }
    struct span r = piece(unit_rows(p->rows, u), n, 1, row);
    r.first += p->rows->first[u] - base;
    if (r.count && c.count) sgemm(p, r, c, (struct span){0, p->K}, p->add);
}

static void multiply_blas(struct product *p) {
    p->right = pieces(p->M, BLAS_COLUMNS);
    p->down = 0;
    for (size_t u = 0; !p->plan && u < p->rows->units; u++)
        p->down += pieces(unit_rows(p->rows, u), BLAS_ROWS);
    if (p->plan) p->down = pieces(p->N, BLAS_ROWS);
    parallel_for(p->down * p->right, blas_task, p);
}

static void multiply(struct product *p) {
    if (!p->N || !p->M) return;
    if (p->bf16) {
        gemm_bf16(p);
    } else if (kernels()->product && !(p->rows && p->rows->apart)) {
        multiply_blas(p);
    } else if (is_stream(p)) {
        parallel_range(pieces(p->M, kernels()->strip), 1, stream_task, p);
        return;
    } else {
        cut(p);
        parallel_for(p->down * p->right, task, p);
        return; // its tasks did what is beside it
    }
    for (size_t i = 0; i < p->n_more; i++) {
        struct product m = p->more[i];
        multiply(&m);
    }
}

// `across`: w (K,M) in place of (M,K)
static struct product by_weights(const struct rowplan *plan, float *y, size_t ldy, const float *x,
                                 size_t ldx, struct weights w, size_t M, size_t K, bool across) {
    size_t first = plan->first[0], n = plan->first[plan->units] - first;
    struct product p = {.c = y + first * ldy,
                        .ldc = ldy,
                        .N = n,
                        .M = M,
                        .K = K,
                        .a = {.f32 = x + first * ldx, .ld = ldx, .inner = true},
                        .b = {.f32 = w.f32, .bf16 = w.bf16, .ld = across ? M : K, .inner = !across},
                        .bf16 = w.rounded,
                        .rows = plan};
    assert(!w.packed || !across);
    if (!w.packed) return p;
    p.strips = gemm_packed(w, M, K);
    p.packed = w.f32 ? (struct operand){.packed = w.f32, .ld = K}
                     : (struct operand){.pairs = (const float *)(const void *)w.bf16, .ld = K / 2};
    return p;
}

static void multiply_with(struct product *p, bool across, const struct beside *more, size_t n) {
    struct product product[BESIDE];
    assert(n <= BESIDE);
    for (size_t i = 0; i < n; i++) {
        const struct beside *m = &more[i];
        product[i] = by_weights(p->rows, m->y, m->ldy, m->x, m->ldx, m->w, m->M, m->K, across);
        product[i].add = m->add;
        product[i].at = m->at;
    }
    p->more = product;
    p->n_more = n;
    multiply(p);
}

void gemm_forward_beside(const struct rowplan *plan, float *y, size_t ldy, const float *x,
                         size_t ldx, struct weights w, size_t M, size_t K, bool add,
                         const struct beside *more, size_t n) {
    struct product p = by_weights(plan, y, ldy, x, ldx, w, M, K, false);
    p.add = add;
    multiply_with(&p, false, more, n);
}

void gemm_dx_beside(const struct rowplan *plan, float *dx, size_t lddx, const float *dy,
                    size_t lddy, struct weights w, size_t M, size_t K, bool add,
                    const struct beside *more, size_t n) {
    struct product p = by_weights(plan, dx, lddx, dy, lddy, w, K, M, true);
    p.add = add;
    multiply_with(&p, true, more, n);
}

void gemm_forward(const struct rowplan *plan, float *y, size_t ldy, const float *x, size_t ldx,
                  struct weights w, size_t M, size_t K, bool add) {
    gemm_forward_beside(plan, y, ldy, x, ldx, w, M, K, add, NULL, 0);
}

void gemm_dx(const struct rowplan *plan, float *dx, size_t lddx, const float *dy, size_t lddy,
             struct weights w, size_t M, size_t K, bool add) {
    gemm_dx_beside(plan, dx, lddx, dy, lddy, w, M, K, add, NULL, 0);
}

void gemm_dw(const struct rowplan *plan, float *dw, const float *dy, size_t lddy, const float *x,
             size_t ldx, size_t M, size_t K, bool bf16) {
    struct product p = {.c = dw,
                        .ldc = K,
                        .N = M,
                        .M = K,
                        .a = {.f32 = dy, .ld = lddy},
                        .b = {.f32 = x, .ld = ldx},
                        .add = true,
                        .bf16 = bf16,
                        .plan = plan};
    multiply(&p);
}

// ---- weights that are only multiplied from the right, packed where they lie ----

static bool by_tiles(struct weights w) {
    return w.rounded && kernels()->tiles;
}

static size_t packed_lines(struct weights w) { // of a strip
    return by_tiles(w) ? TILE_LINES : kernels()->strip;
}

size_t gemm_packed(struct weights w, size_t M, size_t K) {
    bool fits = w.f32 ? !w.rounded : K % (by_tiles(w) ? TILE_INNER : 2) == 0;
    return fits && !kernels()->product ? M / packed_lines(w) * packed_lines(w) : 0;
}

struct packing {
    struct weights w;
    void *numbers;
    size_t K;
};

static bool is_small(uint16_t half) { // products in bf16 take it for 0
    return (half & 0x7fff) < BF16_LEAST_BITS >> 16;
}

bool gemm_has_small(const uint16_t *w, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) any |= is_small(w[i]) && w[i] & 0x7fff;
    return any;
}

static void clean(uint16_t *half, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (is_small(half[i])) half[i] = 0;
}

static void pack_strip(void *self, size_t i) {
    const struct packing *p = self;
    const struct kernels *k = kernels();
    size_t n = packed_lines(p->w), size = n * p->K * (p->w.f32 ? sizeof(float) : sizeof(uint16_t));
    char *at = (char *)p->numbers + i * size;
    void *strip = xmalloc(size);
    if (p->w.rounded) clean((uint16_t *)(void *)at, n * p->K);
    if (by_tiles(p->w)) {
        const struct operand o = {.bf16 = (const uint16_t *)(void *)at, .ld = p->K, .inner = true};
        k->bf16_pack(strip, p->K / TILE_INNER, 0, &o, n, p->K, true);
    } else {
        size_t words = p->w.f32 ? p->K : p->K / 2; // moved as they are
        k->pack(strip, (const float *)(void *)at, words, n, words, true);
    }
    memcpy(at, strip, size);
    free(strip);
}

void gemm_pack(void *numbers, struct weights w, size_t M, size_t K) {
    struct packing p = {w, numbers, K};
    parallel_for(gemm_packed(w, M, K) / packed_lines(w), pack_strip, &p);
}

// Where number k of a row of strips of n rows is: its place among the numbers.
static size_t packed_place(struct weights w, size_t n, bool tiles, size_t K, size_t row, size_t k) {
    const size_t strip = row / n * n * K, line = row % n;
    if (w.f32) return strip + k * n + line;
    if (!tiles) return strip + (k / 2 * n + line) * 2 + k % 2;
    enum { HALF = TILE_LINES / 2 }; // tiles of HALF pairs of HALF lines, two side by side
    size_t tile = k / TILE_INNER * 2 + line / HALF;
    return strip + tile * TILE_WORDS + (k % TILE_INNER / 2 * HALF + line % HALF) * 2 + k % 2;
}

void gemm_packed_row(struct weights w, size_t K, size_t row, float *to) {
    const size_t n = packed_lines(w);
    const bool tiles = by_tiles(w);
    for (size_t k = 0; k < K; k++) {
        size_t at = packed_place(w, n, tiles, K, row, k);
        if (w.f32)
            __builtin_prefetch(w.f32 + at);
        else
            __builtin_prefetch(w.bf16 + at);
    }
    for (size_t k = 0; k < K; k++) {
        size_t at = packed_place(w, n, tiles, K, row, k);
        uint32_t bits = w.f32 ? 0 : (uint32_t)w.bf16[at] << 16;
        if (w.f32)
            to[k] = w.f32[at];
        else
            memcpy(to + k, &bits, sizeof bits);
    }
}

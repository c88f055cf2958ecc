#include "common/engine/gemm_product.h"
#include "common/engine/kernels.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Adds inner steps first .. first+n-1, in blocks of equal depth: whole multiples of 16 steps.
static void add_inner(const struct product *p, struct span r, struct span c, size_t first, size_t n,
                      bool add) {
    size_t blocks = pieces(n, KERNEL_DEPTH);
    for (size_t i = 0; i < blocks; i++) {
        struct span k = piece(n, blocks, 16, i);
        if (!k.count) break;
        kernels()->block(&(struct block){.c = p->c + r.first * p->ldc + c.first,
                                         .ldc = p->ldc,
                                         .rows = r.count,
                                         .cols = c.count,
                                         .k = k.count,
                                         .a = from(p->a, r.first, first + k.first),
                                         .b = from(p->b, c.first, first + k.first),
                                         .add = add || i});
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
    struct span r = piece(p->N, p->down, ROWS_STEP, i / p->right);
    struct span c = piece(p->M, p->right, KERNEL_STRIPS, i % p->right);
    if (!r.count || !c.count) return;
    if (!p->plan) add_inner(p, r, c, 0, p->K, p->add);
    for (size_t u = 0; p->plan && u < p->plan->units; u++)
        add_inner(p, r, c, p->plan->first[u], p->plan->first[u + 1] - p->plan->first[u], true);
    add_more(p, r, c);
}

// Each piece of rows packs b again, each piece of columns a where that must be packed: the cut that
// packs least. Few tasks leave threads waiting at the end.
static void cut(struct product *p) {
    size_t threads = (size_t)parallel_threads(), want = threads == 1 ? 1 : 6 * threads;
    size_t strips = pieces(p->M, KERNEL_STRIPS), least = 0;
    double best = 0, cost_b = p->b.inner ? 1 : 0.3, cost_a = p->a.inner ? 0 : 1;
    for (size_t down = pieces(p->N, KERNEL_ROWS); down <= pieces(p->N, ROWS_STEP); down++) {
        size_t right = pieces(want, down);
        if (right > strips) right = strips;
        double cost = cost_b * (double)down / (double)p->N + cost_a * (double)right / (double)p->M;
        if (!least || cost < best) {
            best = cost;
            least = down;
            p->right = right;
        }
        if (right == 1) break;
    }
    p->down = least;
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
    } else if (kernels()->product) {
        multiply_blas(p);
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
    return (struct product){
        .c = y + first * ldy,
        .ldc = ldy,
        .N = n,
        .M = M,
        .K = K,
        .a = {.f32 = x + first * ldx, .ld = ldx, .inner = true},
        .b = {.f32 = w.f32, .bf16 = w.bf16, .ld = across ? M : K, .inner = !across},
        .bf16 = w.rounded,
        .rows = plan};
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

struct few {
    float *y;
    const float *x; // in bf16: lines made by bf16_line
    struct weights w;
    size_t ldy, ldx, n, K;
    bool add;
};

struct lines { // in bf16, of rows
    float *to;
    const float *x;
    size_t ldx, K;
};

static void make_line(void *self, size_t i) {
    const struct lines *l = self;
    kernels()->bf16_line(l->to + i * BF16_LINE(l->K), l->x + i * l->ldx, l->K);
}

static void few_rows(void *self, size_t first, size_t last) {
    const struct few *f = self;
    const struct kernels *k = kernels();
    size_t at = first * f->K, M = last - first;
    float *y = f->y + first;
    if (f->w.bf16)
        k->rows_half(y, f->ldy, f->x, f->ldx, f->n, f->w.bf16 + at, M, f->K, f->add);
    else
        k->rows(y, f->ldy, f->x, f->ldx, f->n, f->w.f32 + at, M, f->K, f->add);
}

static void few_rows_bf16(void *self, size_t first, size_t last) {
    enum { ROWS = 48 }; // of w that are rounded at a time
    const struct few *f = self;
    const struct kernels *k = kernels();
    if (f->w.bf16) {
        k->rows_bf16(f->y + first, f->ldy, f->x, f->n, f->w.bf16 + first * f->K, last - first, f->K,
                     f->w.clean, f->add);
        return;
    }
    uint16_t *half = xmalloc(ROWS * f->K * sizeof *half);
    for (size_t m = first, n; m < last; m += n) {
        n = last - m < ROWS ? last - m : ROWS;
        k->narrow(half, f->w.f32 + m * f->K, n * f->K);
        k->rows_bf16(f->y + m, f->ldy, f->x, f->n, half, n, f->K, false, f->add);
    }
    free(half);
}

void gemm_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, struct weights w,
               size_t M, size_t K, bool add, float *lines) {
    struct few f = {y, w.rounded ? lines : x, w, ldy, ldx, n, K, add};
    assert(f.x);
    if (w.rounded) parallel_for(n, make_line, &(struct lines){lines, x, ldx, K});
    parallel_apart(M, 32, w.rounded ? few_rows_bf16 : few_rows, &f);
}

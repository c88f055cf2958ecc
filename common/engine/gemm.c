#include "common/engine/gemm.h"
#include "common/engine/kernels.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <stdlib.h>
#include <string.h>

struct span {
    size_t first, count;
};

static size_t pieces(size_t n, size_t most) {
    return (n + most - 1) / most;
}

// Piece i of n: even, in steps of `step`; the last ones may be empty.
static struct span piece(size_t n, size_t k, size_t step, size_t i) {
    size_t each = (n + step * k - 1) / (step * k) * step;
    size_t first = i * each < n ? i * each : n, end = first + each < n ? first + each : n;
    return (struct span){first, end - first};
}

// c (N,M) [+]= a (N,K) b (K,M) cut into tasks of rows by columns. How it is cut does not show in
// the bits: each output adds the same blocks of the inner length in order.
struct product {
    float *c;
    size_t ldc, N, M, K;
    struct operand a, b;
    bool add, bf16;
    const struct rowplan *rows; // the units of the N rows, or NULL:
    const struct rowplan *plan; // those of the inner length, each by itself
    size_t down, right;         // tasks: pieces of rows, of columns
};

// The operand's numbers from line n and inner step k on.
static struct operand from(struct operand o, size_t n, size_t k) {
    size_t at = o.inner ? n * o.ld + k : k * o.ld + n;
    if (o.f32) o.f32 += at;
    if (o.bf16) o.bf16 += at;
    return o;
}

// Adds inner steps first .. first+n-1, in blocks of equal depth: whole multiples of 16 steps.
static void add_inner(const struct product *p, struct span r, struct span c, size_t first, size_t n,
                      bool add) {
    size_t blocks = pieces(n, KERNEL_DEPTH << p->bf16);
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
                                         .add = add || i,
                                         .bf16 = p->bf16});
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
}

// Each piece of rows packs b again, each piece of columns a where that must be packed: the cut that
// packs least. Few tasks leave threads waiting at the end.
static void cut(struct product *p) {
    size_t threads = (size_t)parallel_threads(), want = threads == 1 ? 1 : 6 * threads;
    size_t most = KERNEL_ROWS >> (p->bf16 && !kernels()->pairs);
    size_t strips = pieces(p->M, KERNEL_STRIPS), least = 0;
    double best = 0, cost_b = p->b.inner || p->bf16 ? 1 : 0.3;
    double cost_a = !p->a.inner ? 1 : p->bf16 ? 0.5 : 0;
    for (size_t down = pieces(p->N, most); down <= pieces(p->N, ROWS_STEP); down++) {
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
    if (kernels()->product && !p->bf16) {
        multiply_blas(p);
        return;
    }
    cut(p);
    parallel_for(p->down * p->right, task, p);
}

void gemm_forward(const struct rowplan *plan, float *y, size_t ldy, const float *x, size_t ldx,
                  struct weights w, size_t M, size_t K, bool add) {
    size_t first = plan->first[0], n = plan->first[plan->units] - first;
    struct product p = {.c = y + first * ldy,
                        .ldc = ldy,
                        .N = n,
                        .M = M,
                        .K = K,
                        .a = {.f32 = x + first * ldx, .ld = ldx, .inner = true},
                        .b = {.f32 = w.f32, .bf16 = w.bf16, .ld = K, .inner = true},
                        .add = add,
                        .bf16 = w.rounded,
                        .rows = plan};
    multiply(&p);
}

void gemm_dx(const struct rowplan *plan, float *dx, size_t lddx, const float *dy, size_t lddy,
             struct weights w, size_t M, size_t K, bool add) {
    size_t first = plan->first[0], n = plan->first[plan->units] - first;
    struct product p = {.c = dx + first * lddx,
                        .ldc = lddx,
                        .N = n,
                        .M = K,
                        .K = M,
                        .a = {.f32 = dy + first * lddy, .ld = lddy, .inner = true},
                        .b = {.f32 = w.f32, .bf16 = w.bf16, .ld = K},
                        .add = add,
                        .bf16 = w.rounded,
                        .rows = plan};
    multiply(&p);
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
    const float *x;
    struct weights w;
    size_t ldy, ldx, n, K;
    bool add;
};

static void few_rows(void *self, size_t first, size_t last) {
    const struct few *f = self;
    const struct kernels *k = kernels();
    size_t at = first * f->K, M = last - first;
    float *y = f->y + first;
    if (f->w.bf16)
        k->rows_half(y, f->ldy, f->x, f->ldx, f->n, f->w.bf16 + at, M, f->K, f->add);
    else
        (f->w.rounded ? k->rows_rounded : k->rows)(y, f->ldy, f->x, f->ldx, f->n, f->w.f32 + at, M,
                                                   f->K, f->add);
}

void gemm_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, struct weights w,
               size_t M, size_t K, bool add) {
    struct few f = {y, x, w, ldy, ldx, n, K, add};
    float *rounded = NULL;
    if (w.rounded) {
        rounded = xmalloc(n * K * sizeof *rounded);
        for (size_t i = 0; i < n; i++) kernels()->round(rounded + i * K, x + i * ldx, K);
        f.x = rounded;
        f.ldx = K;
    }
    parallel_range(M, 64, few_rows, &f);
    free(rounded);
}

#include "common/engine/gemm.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"

// Of a task: a packed block of KERNEL_DEPTH x TASK_COLUMNS floats (480 KiB) stays in the second
// cache.
enum { TASK_COLUMNS = 480, TASK_ROWS = 1024 };

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
// the bits: each output adds its blocks of KERNEL_DEPTH in order.
struct product {
    float *c;
    const float *a;
    struct weights b; // bf16 only across
    size_t ldc, lda, ldb, N, M, K;
    bool a_across, b_across, add; // stored as the transpose
    const struct rowplan *plan;   // of the inner length, each unit by itself; NULL: 0 .. K-1
    size_t down, right;           // tasks: pieces of rows, of columns
};

// One block of the inner length.
static void add_depth(const struct product *p, struct span r, struct span c, struct span k,
                      bool add, float *packed) {
    size_t at = p->b_across ? c.first * p->ldb + k.first : k.first * p->ldb + c.first;
    const float *a = p->a + (p->a_across ? k.first * p->lda + r.first : r.first * p->lda + k.first);
    if (p->b.bf16)
        kernels()->pack_half(packed, p->b.bf16 + at, p->ldb, c.count, k.count);
    else
        kernels()->pack(packed, p->b.f32 + at, p->ldb, c.count, k.count, p->b_across);
    kernels()->block(p->c + r.first * p->ldc + c.first, p->ldc, a, p->lda, p->a_across, packed,
                     k.count, r.count, c.count, k.count, add);
}

static void task(void *self, size_t i) {
    const struct product *p = self;
    struct span r = piece(p->N, p->down, 24, i / p->right);
    struct span c = piece(p->M, p->right, KERNEL_STRIPS, i % p->right);
    if (!r.count || !c.count) return;
    float packed[KERNEL_DEPTH * TASK_COLUMNS] __attribute__((aligned(64)));
    const size_t whole[2] = {0, p->K}, *unit = p->plan ? p->plan->first : whole;
    size_t units = p->plan ? p->plan->units : 1;
    bool add = p->add;
    for (size_t u = 0; u < units; u++)
        for (size_t at = unit[u]; at < unit[u + 1]; at += KERNEL_DEPTH, add = true) {
            size_t left = unit[u + 1] - at;
            struct span k = {at, left < KERNEL_DEPTH ? left : KERNEL_DEPTH};
            add_depth(p, r, c, k, add, packed);
        }
}

// Few tasks leave threads waiting at the end, short ones pack the same columns again and again.
static void multiply(struct product *p) {
    size_t want = 6 * (size_t)parallel_threads();
    if (parallel_threads() == 1) want = 1;
    p->right = pieces(p->M, TASK_COLUMNS);
    p->down = pieces(p->N, TASK_ROWS);
    while (p->down * p->right < want && p->N / p->down >= 128) p->down++;
    parallel_for(p->down * p->right, task, p);
}

void gemm_forward(const struct rowplan *plan, float *y, size_t ldy, const float *x, size_t ldx,
                  struct weights w, size_t M, size_t K, bool add) {
    size_t first = plan->first[0], n = plan->first[plan->units] - first;
    struct product p = {.c = y + first * ldy,
                        .a = x + first * ldx,
                        .b = w,
                        .ldc = ldy,
                        .lda = ldx,
                        .ldb = K,
                        .N = n,
                        .M = M,
                        .K = K,
                        .b_across = true,
                        .add = add};
    multiply(&p);
}

void gemm_dx(const struct rowplan *plan, float *dx, size_t lddx, const float *dy, size_t lddy,
             const float *w, size_t M, size_t K, bool add) {
    size_t first = plan->first[0], n = plan->first[plan->units] - first;
    struct product p = {.c = dx + first * lddx,
                        .a = dy + first * lddy,
                        .b.f32 = w,
                        .ldc = lddx,
                        .lda = lddy,
                        .ldb = K,
                        .N = n,
                        .M = K,
                        .K = M,
                        .add = add};
    multiply(&p);
}

void gemm_dw(const struct rowplan *plan, float *dw, const float *dy, size_t lddy, const float *x,
             size_t ldx, size_t M, size_t K) {
    struct product p = {.c = dw,
                        .a = dy,
                        .b.f32 = x,
                        .ldc = K,
                        .lda = lddy,
                        .ldb = ldx,
                        .N = M,
                        .M = K,
                        .a_across = true,
                        .add = true,
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
    size_t at = first * f->K, M = last - first;
    if (f->w.bf16)
        kernels()->rows_half(f->y + first, f->ldy, f->x, f->ldx, f->n, f->w.bf16 + at, M, f->K,
                             f->add);
    else
        kernels()->rows(f->y + first, f->ldy, f->x, f->ldx, f->n, f->w.f32 + at, M, f->K, f->add);
}

void gemm_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, struct weights w,
               size_t M, size_t K, bool add) {
    struct few f = {y, x, w, ldy, ldx, n, K, add};
    parallel_range(M, 64, few_rows, &f);
}

#include "tests/bench/engine/bench.h"
#include "common/engine/kernels.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// OpenBLAS is the ceiling that we measure ourselves against; nothing else uses it.
struct tiles { // c (M,N) = a (M,K) b (N,K)^T in tiles of (rows, columns)
    const float *a, *b;
    float *c;
    size_t M, N, K, rows, columns;
};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void tile(void *self, size_t i) {
    const struct tiles *t = self;
    size_t across = (t->N + t->columns - 1) / t->columns;
    size_t m = i / across * t->rows, n = i % across * t->columns;
    static _Thread_local bool alone; // OpenBLAS's openmp flavour wants to hear it from each thread
    if (!alone) openblas_set_num_threads(1);
    alone = true;
    int rows = (int)least(t->rows, t->M - m), columns = (int)least(t->columns, t->N - n);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, columns, (int)t->K, 1,
                t->a + m * t->K, (int)t->K, t->b + n * t->K, (int)t->K, 0, t->c + m * t->N + n,
                (int)t->N);
}

static double tiles_seconds(struct tiles *t) {
    double start = bench_clock();
    size_t down = (t->M + t->rows - 1) / t->rows, across = (t->N + t->columns - 1) / t->columns;
    parallel_for(down * across, tile, t);
    return bench_clock() - start;
}

static double fastest(struct tiles *t, size_t times) {
    double best = INFINITY;
    for (size_t i = 0; i < times; i++) best = fmin(best, tiles_seconds(t));
    return 2.0 * (double)t->M * (double)t->N * (double)t->K / best;
}

double bench_few_rows(size_t n, const float *w, size_t M, size_t K) {
    float *x = big_alloc(n * K * sizeof *x), *y = big_alloc(n * M * sizeof *y);
    double best = 0;
    for (size_t columns = 128; columns <= 2048; columns *= 2) {
        struct tiles t = {x, w, y, n, M, K, n, columns};
        best = fmax(best, fastest(&t, 7));
    }
    big_free(x, n * K * sizeof *x);
    big_free(y, n * M * sizeof *y);
    return best;
}

static double best_sgemm(void) {
    static const size_t shapes[][3] = {
        {1024, 1024, 1024}, {2048, 2304, 768}, {2048, 768, 2048}, {2048, 1536, 288}};
    static const size_t cuts[][2] = {{256, 512}, {512, 512}, {1024, 1024}};
    size_t most = 2048 * 2304;
    float *a = big_alloc(most * sizeof *a), *b = big_alloc(most * sizeof *b);
    float *c = big_alloc(most * sizeof *c);
    double best = 0;
    for (size_t i = 0; i < most; i++) a[i] = b[i] = (float)(i % 31) * 0.01f;
    for (size_t s = 0; s < 4; s++)
        for (size_t k = 0; k < 3; k++) {
            struct tiles t = {a,          b,         c, shapes[s][0], shapes[s][1], shapes[s][2],
                              cuts[k][0], cuts[k][1]};
            best = fmax(best, fastest(&t, bench_quick() ? 3 : 9));
        }
    big_free(a, most * sizeof *a);
    big_free(b, most * sizeof *b);
    big_free(c, most * sizeof *c);
    return best;
}

struct reading {
    const float *p;
    float *sink;
};

enum { READ_BLOCK = 1 << 16 };

static void read_blocks(void *self, size_t first, size_t last) {
    struct reading *r = self;
    float sum = 0;
    for (size_t i = first; i < last; i++) sum += kernels()->max(r->p + i * READ_BLOCK, READ_BLOCK);
    r->sink[parallel_self()] = sum;
}

double bench_read(const float *p, size_t n) {
    static float sink[1024]; // one per thread; what is read must be used
    struct reading r = {p, sink};
    double start = bench_clock();
    parallel_range(n / READ_BLOCK, 1, read_blocks, &r);
    return (bench_clock() - start) * (double)n / (double)(n / READ_BLOCK * READ_BLOCK);
}

struct copying {
    float *to;
    const float *from;
};

static void copy_range(void *self, size_t first, size_t last) {
    const struct copying *c = self;
    memcpy(c->to + first, c->from + first, (last - first) * sizeof(float));
}

struct ceilings bench_machine(struct report *r) {
    size_t n = (size_t)64 << 20;
    float *from = big_alloc(n * sizeof *from), *to = big_alloc(n * sizeof *to);
    struct series read = {0}, copy = {0};
    struct copying c = {to, from};
    for (size_t i = 0; i < bench_rounds(); i++) {
        read.at[read.n++] = bench_read(from, n) / (4e-9 * (double)n);
        double start = bench_clock();
        parallel_range(n, 1 << 16, copy_range, &c);
        copy.at[copy.n++] = (bench_clock() - start) / (8e-9 * (double)n);
    }
    big_free(from, n * sizeof *from);
    big_free(to, n * sizeof *to);
    struct ceilings top = {.sgemm = best_sgemm(), .read = 1e9 / series_median(&read)};
    fprintf(stderr, "%d threads, kernels '%s'\n", parallel_threads(), kernels()->name);
    report_add(r, "machine: best sgemm", 1e-9 * top.sgemm, "GFLOP/s", NAN, "", NAN);
    report_add(r, "machine: memory read", 1 / series_median(&read), "GB/s", NAN, "",
               series_spread(&read));
    report_add(r, "machine: memory copy, read + written", 1 / series_median(&copy), "GB/s", NAN, "",
               series_spread(&copy));
    return top;
}

// Products of real sizes: against double and against the BLAS, and the same bits on any number of
// threads and for any grouping of units, in float32 and in bf16.
#include "common/engine/blas.h"
#include "common/engine/gemm.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { N = 900, M = 520, K = 144 };

static float *random_matrix(size_t n, uint64_t row) {
    float *a = malloc(n * sizeof *a);
    for (size_t i = 0; i < n; i++) a[i] = (float)rng_normal(1, RNG_TEST, row, i);
    return a;
}

struct results {
    float *y, *dx, *dw, *few;
};

static const size_t all[4] = {0, 300, 601, N};

// The products over three units, `group` units in a call.
static struct results run(const float *x, const float *w, const float *dy, size_t group,
                          bool bf16) {
    struct results r = {calloc(N * M, sizeof(float)), calloc(N * K, sizeof(float)),
                        calloc(M * K, sizeof(float)), calloc(9 * M, sizeof(float))};
    struct weights weights = {.f32 = w, .rounded = bf16};
    for (size_t u = 0; u < 3; u += group) {
        struct rowplan p = {.units = group < 3 - u ? group : 3 - u, .first = all + u};
        gemm_forward(&p, r.y, M, x, K, weights, M, K, false);
        gemm_dx(&p, r.dx, K, dy, M, weights, M, K, false);
        gemm_dw(&p, r.dw, dy, M, x, K, M, K, bf16);
    }
    gemm_rows(r.few, M, x, K, 9, weights, M, K, false);
    return r;
}

static void release(struct results *r) {
    free(r->y);
    free(r->dx);
    free(r->dw);
    free(r->few);
}

static void same_bits_in(const float *x, const float *w, const float *dy, bool bf16) {
    parallel_init(1);
    struct results a = run(x, w, dy, 1, bf16);
    for (int threads = 1; threads <= 16; threads = threads < 4 ? threads + 1 : 4 * threads)
        for (size_t group = 1; group <= 3; group++) {
            parallel_init(threads);
            struct results b = run(x, w, dy, group, bf16);
            assert_memory_equal(a.y, b.y, N * M * sizeof(float));
            assert_memory_equal(a.dx, b.dx, N * K * sizeof(float));
            assert_memory_equal(a.dw, b.dw, M * K * sizeof(float));
            assert_memory_equal(a.few, b.few, 9 * M * sizeof(float));
            release(&b);
        }
    release(&a);
}

static void same_bits(void **state) {
    (void)state;
    float *x = random_matrix(N * K, 1), *w = random_matrix(M * K, 2), *dy = random_matrix(N * M, 3);
    same_bits_in(x, w, dy, false);
    same_bits_in(x, w, dy, true);
    struct results a = run(x, w, dy, 1, false);
    float *one = calloc(M, sizeof *one); // a row by itself: the same bits as among nine
    gemm_rows(one, M, x + 5 * K, K, 1, (struct weights){.f32 = w}, M, K, false);
    assert_memory_equal(one, a.few + 5 * M, M * sizeof *one);
    release(&a);
    free(one);
    free(x);
    free(w);
    free(dy);
}

static void agrees_with_double(void **state) {
    (void)state;
    float *x = random_matrix(N * K, 1), *w = random_matrix(M * K, 2), *dy = random_matrix(N * M, 3);
    parallel_init(2);
    struct results r = run(x, w, dy, 3, false);
    for (size_t t = 0; t < 500; t++) {
        size_t n = rng_bits(2, RNG_TEST, t, 0) % N, m = rng_bits(2, RNG_TEST, t, 1) % M;
        size_t k = rng_bits(2, RNG_TEST, t, 2) % K;
        double y = 0, dx = 0, dw = 0;
        for (size_t i = 0; i < K; i++) y += (double)x[n * K + i] * w[m * K + i];
        for (size_t i = 0; i < M; i++) dx += (double)dy[n * M + i] * w[i * K + k];
        for (size_t i = 0; i < N; i++) dw += (double)dy[i * M + m] * x[i * K + k];
        assert_true(fabs(r.y[n * M + m] - y) < 2e-5);
        assert_true(fabs(r.dx[n * K + k] - dx) < 5e-5);
        assert_true(fabs(r.dw[m * K + k] - dw) < 8e-5);
        if (n < 9) assert_true(fabs(r.few[n * M + m] - y) < 2e-5);
    }
    release(&r);
    free(x);
    free(w);
    free(dy);
}

// float32 to the last bits, bf16 to its rounding: 2^-8 of each term at most.
static void agrees_with_blas(void **state) {
    (void)state;
    if (!blas_name()) skip();
    float *x = random_matrix(N * K, 1), *w = random_matrix(M * K, 2), *dy = random_matrix(N * M, 3);
    struct results r = run(x, w, dy, 3, false), half = run(x, w, dy, 3, true);
    float *y = calloc(N * M, sizeof *y), *dx = calloc(N * K, sizeof *dx);
    float *dw = calloc(M * K, sizeof *dw);
    struct operand xo = {.f32 = x, .ld = K}, wo = {.f32 = w, .ld = K}, d = {.f32 = dy, .ld = M};
    struct operand xi = xo, wi = wo, di = d;
    xi.inner = wi.inner = di.inner = true;
    blas_multiply(
        &(struct block){.c = y, .ldc = M, .rows = N, .cols = M, .k = K, .a = xi, .b = wi});
    blas_multiply(
        &(struct block){.c = dx, .ldc = K, .rows = N, .cols = K, .k = M, .a = di, .b = wo});
    blas_multiply(
        &(struct block){.c = dw, .ldc = K, .rows = M, .cols = K, .k = N, .a = d, .b = xo});
    for (size_t i = 0; i < N * M; i++) {
        assert_true(fabsf(r.y[i] - y[i]) < 4e-5f);
        assert_true(fabsf(half.y[i] - y[i]) < 0.3f);
    }
    for (size_t i = 0; i < N * K; i++) {
        assert_true(fabsf(r.dx[i] - dx[i]) < 1e-4f);
        assert_true(fabsf(half.dx[i] - dx[i]) < 0.6f);
    }
    for (size_t i = 0; i < M * K; i++) {
        assert_true(fabsf(r.dw[i] - dw[i]) < 2e-4f);
        assert_true(fabsf(half.dw[i] - dw[i]) < 0.8f);
    }
    release(&r);
    release(&half);
    free(y);
    free(dx);
    free(dw);
    free(x);
    free(w);
    free(dy);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits),
                                       cmocka_unit_test(agrees_with_double),
                                       cmocka_unit_test(agrees_with_blas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

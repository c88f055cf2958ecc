// Products of real sizes: against double and against the BLAS, and the same bits on any number of
// threads and for any grouping of units, in float32 and in bf16.
#include "common/engine/blas.h"
#include "common/engine/gemm.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "tests/unit/bf16_sums.h"
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
    float *y, *dx, *dw;
};

static const size_t all[4] = {0, 300, 601, N};

// The products over three units, `group` units in a call.
static struct results run(const float *x, const float *w, const float *dy, size_t group,
                          bool bf16) {
    struct results r = {calloc(N * M, sizeof(float)), calloc(N * K, sizeof(float)),
                        calloc(M * K, sizeof(float))};
    struct weights weights = {.f32 = w, .rounded = bf16};
    for (size_t u = 0; u < 3; u += group) {
        struct rowplan p = {.units = group < 3 - u ? group : 3 - u, .first = all + u};
        gemm_forward(&p, r.y, M, x, K, weights, M, K, false);
        gemm_dx(&p, r.dx, K, dy, M, weights, M, K, false);
        gemm_dw(&p, r.dw, dy, M, x, K, M, K, bf16);
    }
    return r;
}

static void release(struct results *r) {
    free(r->y);
    free(r->dx);
    free(r->dw);
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
            release(&b);
        }
    release(&a);
}

static void same_bits(void **state) {
    (void)state;
    float *x = random_matrix(N * K, 1), *w = random_matrix(M * K, 2), *dy = random_matrix(N * M, 3);
    same_bits_in(x, w, dy, false);
    same_bits_in(x, w, dy, true);
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
    }
    release(&r);
    free(x);
    free(w);
    free(dy);
}

// float32 to the last bits, bf16 to its rounding: 2^-8 of each term at most.
static void agrees_with_blas(void **state) {
    (void)state;
    if (!blas_name()) {
        print_message("SKIP: a build without a BLAS\n");
        skip();
    }
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

// y (N,M) of three parts' columns and a matrix of its own beside dx: the bits of one product after
// the other, for any number of threads and however units are grouped.
static void beside_is_after(bool bf16) {
    enum { R = 16, LOW = 3 * R };
    static const size_t first[] = {0, 200, 296, M};
    float *x = random_matrix(N * K, 1), *w = random_matrix(M * K, 2), *b = random_matrix(M * R, 3);
    float *low = random_matrix(N * LOW, 4), *dy = random_matrix(N * M, 5);
    struct weights weights = {.f32 = w, .rounded = bf16};
    float *y = calloc(N * M, sizeof *y), *dx = calloc(N * K, sizeof *dx);
    float *dlow = calloc(N * LOW, sizeof *dlow);
    const struct rowplan whole = {.units = 3, .first = all};
    parallel_init(1);
    gemm_forward(&whole, y, M, x, K, weights, M, K, false);
    gemm_dx(&whole, dx, K, dy, M, weights, M, K, false);
    struct beside to[3], back[3];
    float *again = calloc(N * M, sizeof *y), *dx2 = calloc(N * K, sizeof *dx);
    float *dlow2 = calloc(N * LOW, sizeof *dlow);
    for (size_t i = 0; i < 3; i++) {
        size_t at = first[i], out = first[i + 1] - at;
        struct weights of = {.f32 = b + at * R, .rounded = bf16};
        gemm_forward(&whole, y + at, M, low + i * R, LOW, of, out, R, true);
        gemm_dx(&whole, dlow + i * R, LOW, dy + at, M, of, out, R, false);
        to[i] = (struct beside){again + at, M, low + i * R, LOW, of, out, R, at, true};
        back[i] = (struct beside){dlow2 + i * R, LOW, dy + at, M, of, R, out, SIZE_MAX, false};
    }
    for (int threads = 1; threads <= 9; threads += 4)
        for (size_t group = 1; group <= 3; group += 2) {
            parallel_init(threads);
            for (size_t u = 0; u < 3; u += group) {
                struct rowplan p = {.units = group, .first = all + u};
                gemm_forward_beside(&p, again, M, x, K, weights, M, K, false, to, 3);
                gemm_dx_beside(&p, dx2, K, dy, M, weights, M, K, false, back, 3);
            }
            assert_memory_equal(y, again, N * M * sizeof(float));
            assert_memory_equal(dx, dx2, N * K * sizeof(float));
            assert_memory_equal(dlow, dlow2, N * LOW * sizeof(float));
        }
    float *made[] = {x, w, b, low, dy, y, dx, dlow, again, dx2, dlow2};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) free(made[i]);
}

static void beside(void **state) {
    (void)state;
    beside_is_after(false);
    beside_is_after(true);
}

// The sum of n numbers' products as gemm.h has it: a chain for each block of the inner length.
static float in_blocks(float sum, const float *a, const float *b, size_t n) {
    const size_t most = 2 * KERNEL_DEPTH, blocks = (n + most - 1) / most;
    const size_t each = (n + 16 * blocks - 1) / (16 * blocks) * 16;
    if (kernels()->tiles) return bf16_sum(sum, a, b, n, true);
    for (size_t k = 0; k < n; k += each)
        sum = bf16_sum(sum, a + k, b + k, n - k < each ? n - k : each, false);
    return sum;
}

// Products in bf16 of more rows, columns and inner numbers than there is room for at a time.
static void more_than_room(void **state) {
    (void)state;
    enum { FEW = 29, MANY = 9001, LONG = 1700 };
    float *x = random_matrix(FEW * LONG, 1), *w = random_matrix(MANY * LONG, 2);
    float *y = calloc(FEW * MANY, sizeof *y), *wide = calloc(FEW * MANY, sizeof *wide);
    float *row = malloc(LONG * sizeof *row), *column = malloc(LONG * sizeof *column);
    const size_t rows[2] = {0, FEW}, inner[3] = {0, 900, LONG};
    const struct rowplan plan = {.units = 1, .first = rows}, sum = {.units = 2, .first = inner};
    parallel_init(2);
    gemm_forward(&plan, y, MANY, x, LONG, (struct weights){.f32 = w, .rounded = true}, MANY, LONG,
                 false);
    gemm_dw(&sum, wide, w, MANY, x, FEW, MANY, FEW, true); // of the same numbers, read across
    for (size_t t = 0; t < 3000; t++) {
        size_t i = rng_bits(2, RNG_TEST, t, 0) % FEW, j = rng_bits(2, RNG_TEST, t, 1) % MANY;
        assert_true(y[i * MANY + j] == in_blocks(0, x + i * LONG, w + j * LONG, LONG));
        for (size_t k = 0; k < LONG; k++) {
            row[k] = w[k * MANY + j];
            column[k] = x[k * FEW + i];
        }
        float want = in_blocks(0, row, column, inner[1]);
        want = in_blocks(want, row + inner[1], column + inner[1], LONG - inner[1]);
        assert_true(wide[j * FEW + i] == want);
    }
    float *made[] = {x, w, y, wide, row, column};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) free(made[i]);
}

enum { MOST = 100, WIDE = 301 }; // rows of x; of w: no multiple of any strip

// y (n,WIDE) of rows `first` on
static void forward(float *y, const float *x, struct weights w, size_t first, size_t n,
                    size_t length, bool add) {
    const size_t rows[2] = {0, n};
    const struct rowplan plan = {.units = 1, .first = rows, .apart = true};
    for (size_t i = 0; i < n * WIDE; i++) y[i] = 3;
    gemm_forward(&plan, y, WIDE, x + first * length, length, w, WIDE, length, add);
}

// Weights of each kind, packed or not: the same bits, however many rows there are; near float64.
static void check_packed(const float *x, const float *w, const uint16_t *halves, size_t length,
                         bool rounded) {
    float *full = malloc(WIDE * length * sizeof *full), *many = malloc(MOST * WIDE * sizeof *many);
    float *some = malloc(MOST * WIDE * sizeof *some), *row = malloc(length * sizeof *row);
    uint16_t *half = malloc(WIDE * length * sizeof *half);
    memcpy(full, w, WIDE * length * sizeof *full);
    memcpy(half, halves, WIDE * length * sizeof *half);
    for (int kind = 0; kind < 2; kind++) {
        struct weights plain = {.f32 = kind ? NULL : w, .bf16 = kind ? halves : NULL}, packed;
        plain.rounded = rounded;
        packed = (struct weights){.f32 = kind ? NULL : full, .bf16 = kind ? half : NULL};
        packed.rounded = rounded;
        gemm_pack(kind ? (void *)half : (void *)full, packed, WIDE, length);
        packed.packed = true;
        size_t n_packed = gemm_packed(packed, WIDE, length);
        bool can = kind ? length % (rounded && kernels()->tiles ? TILE_INNER : 2) == 0 : !rounded;
        assert_true(can && !kernels()->product ? n_packed > WIDE - 48 : n_packed == 0);
        forward(many, x, plain, 0, MOST, length, false);
        for (size_t t = 0; t < 300; t++) {
            size_t i = rng_bits(2, RNG_TEST, t, 0) % MOST, m = rng_bits(2, RNG_TEST, t, 1) % WIDE;
            double sum = 0;
            for (size_t k = 0; k < length; k++)
                sum += (double)x[i * length + k] * w[m * length + k];
            assert_true(fabs((double)many[i * WIDE + m] - sum) < (kind || rounded ? 1.4 : 1e-3));
        }
        for (size_t n = 1; n <= MOST; n = n < 9 ? n + 1 : n == 9 ? 33 : n + 67) {
            forward(some, x, packed, MOST - n, n, length, false);
            assert_memory_equal(some, many + (MOST - n) * WIDE, n * WIDE * sizeof *some);
            forward(some, x, plain, 0, n, length, false);
            assert_memory_equal(some, many, n * WIDE * sizeof *some);
        }
        forward(many, x, plain, 1, 5, length, true);
        forward(some, x, packed, 1, 5, length, true);
        assert_memory_equal(some, many, 5 * WIDE * sizeof *some);
        for (size_t m = 0; m < n_packed; m += 7) {
            gemm_packed_row(packed, length, m, row);
            for (size_t k = 0; k < length; k++)
                assert_true(row[k] == (kind ? widened(halves[m * length + k]) : w[m * length + k]));
        }
    }
    void *made[] = {full, half, many, some, row};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) free(made[i]);
}

static void packed(void **state) {
    (void)state;
    enum { LONG = 2080 };
    static const size_t length[] = {16, 58, 97, 288, 768, 1026, LONG};
    float *x = random_matrix(MOST * LONG, 1), *w = random_matrix(WIDE * LONG, 2);
    uint16_t *halves = malloc(WIDE * LONG * sizeof *halves);
    kernels()->narrow(halves, w, WIDE * LONG);
    for (size_t i = 0; i < sizeof length / sizeof *length; i++) {
        parallel_init(1 + i % 3);
        check_packed(x, w, halves, length[i], i % 2);
        check_packed(x, w, halves, length[i], i % 2 == 0);
    }
    free(x);
    free(w);
    free(halves);
}

// Few rows that are written past the caches, by all threads: the bits of the same rows among more,
// which are not.
static void large(void **state) {
    (void)state;
    enum { FEW = 33, MORE = 65, COLUMNS = 8192, INNER = 100 };
    float *x = random_matrix(MORE * INNER, 1), *w = random_matrix(COLUMNS * INNER, 2);
    uint16_t *half = malloc(COLUMNS * INNER * sizeof *half);
    float *few = aligned_alloc(64, FEW * COLUMNS * sizeof *few), *more = NULL;
    more = aligned_alloc(64, MORE * COLUMNS * sizeof *more);
    kernels()->narrow(half, w, COLUMNS * INNER);
    for (int how = 0; how < 8; how++) {
        struct weights of = {.f32 = how & 1 ? NULL : w, .bf16 = how & 1 ? half : NULL};
        const size_t few_rows[2] = {0, FEW}, more_rows[2] = {0, MORE};
        const struct rowplan plan = {.units = 1, .first = few_rows, .apart = true};
        const struct rowplan both = {.units = 1, .first = more_rows, .apart = true};
        of.rounded = how & 2;
        if (how & 4) { // packed; of what is packed again any numbers will do
            gemm_pack(how & 1 ? (void *)half : (void *)w, of, COLUMNS, INNER);
            of.packed = true;
        }
        parallel_init(1 + how % 3);
        gemm_forward(&both, more, COLUMNS, x, INNER, of, COLUMNS, INNER, false);
        gemm_forward(&plan, few, COLUMNS, x, INNER, of, COLUMNS, INNER, false);
        assert_memory_equal(few, more, FEW * COLUMNS * sizeof *few);
        if (how == 5) kernels()->narrow(half, w, COLUMNS * INNER);
    }
    void *made[] = {x, w, half, few, more};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) free(made[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits),
                                       cmocka_unit_test(beside),
                                       cmocka_unit_test(agrees_with_double),
                                       cmocka_unit_test(agrees_with_blas),
                                       cmocka_unit_test(more_than_room),
                                       cmocka_unit_test(packed),
                                       cmocka_unit_test(large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

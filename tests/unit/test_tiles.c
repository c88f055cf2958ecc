// The level of AMX tiles, to the bit against sums in the order that Intel's manual states for
// TDPBF16PS: with its instructions worked out in C (kernels_tiles.h), and with the CPU's own where
// it has them. Skipped where the compiler does not know AMX or the CPU has no AVX512-BF16, which
// the code around the tiles is compiled for.
#include "common/engine/gemm.h"
#include "common/engine/levels.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "tests/unit/bf16_sums.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void needs(bool there, const char *what_lacks) {
    if (there) return;
    print_message("SKIP: %s\n", what_lacks);
    skip();
}

#if defined(LEVEL_amx)
extern const struct kernels kernels_portable, kernels_avx512bf16, kernels_emulated;

enum { LD = 800, SIDE = 120 };
static float left[LD * LD], right[LD * LD], c[SIDE * SIDE];
static uint16_t halves[LD * LD]; // the upper halves of `right`

static float number(const struct operand *o, size_t line, size_t k) {
    size_t at = o->inner ? line * o->ld + k : k * o->ld + line;
    return o->f32 ? o->f32[at] : widened(o->bf16[at]);
}

static float one_output(const struct block *d, size_t i, size_t j) {
    static float row[LD], column[LD];
    for (size_t k = 0; k < d->k; k++) {
        row[k] = number(&d->a, i, k);
        column[k] = number(&d->b, j, k);
    }
    return bf16_sum(d->add ? 7 : 0, row, column, d->k, true);
}

static void check(const struct kernels *k, const size_t shape[3], bool a_inner, bool b_inner,
                  bool half, bool add) {
    struct block d = {.c = c,
                      .ldc = SIDE,
                      .rows = shape[0],
                      .cols = shape[1],
                      .k = shape[2],
                      .a = {.f32 = left, .ld = LD, .inner = a_inner},
                      .b = {.f32 = right, .ld = LD, .inner = b_inner},
                      .add = add,
                      .bf16 = true};
    if (half) d.b = (struct operand){.bf16 = halves, .ld = LD, .inner = b_inner};
    for (size_t i = 0; i < SIDE * SIDE; i++) c[i] = 7;
    k->block(&d);
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++) {
            float want = i < d.rows && j < d.cols ? one_output(&d, i, j) : 7, got = c[i * SIDE + j];
            if (memcmp(&want, &got, sizeof want))
                fail_msg("%zu x %zu x %zu, %d %d %d %d: c[%zu][%zu] is %a, not %a", d.rows, d.cols,
                         d.k, a_inner, b_inner, half, add, i, j, (double)got, (double)want);
        }
}

static void fill(double scale) {
    for (size_t i = 0; i < LD * LD; i++) {
        left[i] = (float)(scale * rng_normal(1, RNG_TEST, 1, i));
        right[i] = (float)(scale * rng_normal(1, RNG_TEST, 2, i));
        uint32_t bits;
        memcpy(&bits, &right[i], sizeof bits);
        halves[i] = (uint16_t)(bits >> 16);
    }
}

static void check_bits(const struct kernels *k) {
    static const size_t shapes[][3] = {{1, 1, 1},    {16, 32, 32},   {31, 33, 31},  {33, 16, 64},
                                       {50, 65, 97}, {120, 120, 48}, {64, 96, 768}, {7, 40, 767}};
    const double scales[] = {1, 0x1p-52}; // at the second some are too small, and count as zero
    for (size_t s = 0; s < 2; s++) {
        fill(scales[s]);
        for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++)
            for (int how = 0; how < 16; how++)
                check(k, shapes[t], how & 1, how & 2, how & 4, how & 8);
    }
}

static void bits(void **state) {
    (void)state;
    needs(__builtin_cpu_supports("avx512bf16"), "the CPU has no AVX512-BF16");
    check_bits(&kernels_emulated);
    if (kernels()->tiles) check_bits(kernels());
}

// Float32 is that of AVX-512; bf16 is of another kind than its neighbours', and near them.
static void level(void **state) {
    (void)state;
    needs(__builtin_cpu_supports("avx512bf16"), "the CPU has no AVX512-BF16");
    assert_true(kernels_emulated.tiles && !kernels_avx512bf16.tiles);
    assert_string_equal(kernels_emulated.bits, kernels_avx512bf16.bits);
    assert_true(level_proves(&kernels_emulated, &kernels_portable));
    struct kernels mistaken = kernels_emulated; // as if its sums were those of pairs
    mistaken.tiles = false;
    assert_false(level_proves(&mistaken, &kernels_portable));
    mistaken = kernels_avx512bf16;
    mistaken.tiles = true;
    assert_false(level_proves(&mistaken, &kernels_portable));
}

static void fill_some(float *x, size_t n, uint64_t row) {
    for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(1, RNG_TEST, row, i);
}

static float *numbers(size_t n) {
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    return x;
}

// y = x w^T, dx = dy w, dw += dy^T x of n rows, of two units, each output in order.
static void check_products(size_t n, size_t M, size_t K) {
    float *x = numbers(n * K), *w = numbers(M * K), *dy = numbers(n * M), *y = numbers(n * M);
    float *dx = numbers(n * K), *dw = numbers(M * K), *a = numbers(n + M + K);
    float *b = numbers(n + M + K);
    const size_t first[3] = {0, n / 3, n};
    const struct rowplan plan = {.units = 2, .first = first};
    const struct weights weights = {.f32 = w, .rounded = true};
    fill_some(x, n * K, 1);
    fill_some(w, M * K, 2);
    fill_some(dy, n * M, 3);
    for (size_t i = 0; i < M * K; i++) dw[i] = 3;
    gemm_forward(&plan, y, M, x, K, weights, M, K, false);
    gemm_dx(&plan, dx, K, dy, M, weights, M, K, false);
    gemm_dw(&plan, dw, dy, M, x, K, M, K, true);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < M; j++)
            assert_true(y[i * M + j] == bf16_sum(0, x + i * K, w + j * K, K, true));
    for (size_t k = 0; k < K; k++) {
        for (size_t j = 0; j < M; j++) b[j] = w[j * K + k];
        for (size_t i = 0; i < n; i++)
            assert_true(dx[i * K + k] == bf16_sum(0, dy + i * M, b, M, true));
        for (size_t j = 0; j < M; j++) {
            float sum = 3;
            for (size_t u = 0; u < 2; u++) {
                for (size_t i = first[u]; i < first[u + 1]; i++) {
                    a[i] = dy[i * M + j];
                    b[i] = x[i * K + k];
                }
                sum = bf16_sum(sum, a + first[u], b + first[u], first[u + 1] - first[u], true);
            }
            assert_true(dw[j * K + k] == sum);
        }
    }
    float *all[] = {x, w, dy, y, dx, dw, a, b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

// Products larger than a chunk, each way (gemm_bf16.c).
static void chunks(void **state) {
    (void)state;
    needs(__builtin_cpu_supports("avx512bf16"), "the CPU has no AVX512-BF16");
    if (!kernels()->tiles) kernels_use(&kernels_emulated);
    parallel_init(2);
    check_products(8300, 33, 40);
    check_products(5, 8300, 33);
    check_products(34, 7, 5);
    check_products(98500, 3, 2);
}

// Weights packed for good, of whole tiles and some rows more: the bits of those that are not.
static void packed(void **state) {
    (void)state;
    enum { N = 37, M = 75, K = 1696 };
    needs(__builtin_cpu_supports("avx512bf16"), "the CPU has no AVX512-BF16");
    if (!kernels()->tiles) kernels_use(&kernels_emulated);
    float *x = numbers(N * K), *w = numbers(M * K), *y = numbers(N * M), *again = numbers(N * M);
    float row[K];
    uint16_t *plain = malloc(M * K * sizeof *plain), *half = malloc(M * K * sizeof *half);
    fill_some(x, N * K, 1);
    fill_some(w, M * K, 2);
    kernels()->narrow(plain, w, M * K);
    memcpy(half, plain, M * K * sizeof *half);
    const struct weights from = {.bf16 = plain, .rounded = true},
                         to = {.bf16 = half, .rounded = true, .packed = true};
    parallel_init(2);
    gemm_pack(half, to, M, K);
    assert_int_equal(gemm_packed(to, M, K), 64);
    for (size_t n = 1; n <= N; n += 9) {
        const size_t first[2] = {0, n};
        const struct rowplan plan = {.units = 1, .first = first};
        gemm_forward(&plan, y, M, x, K, from, M, K, false);
        gemm_forward(&plan, again, M, x, K, to, M, K, false);
        assert_memory_equal(y, again, n * M * sizeof *y);
    }
    for (size_t m = 0; m < 64; m += 3) {
        gemm_packed_row(to, K, m, row);
        for (size_t k = 0; k < K; k++) assert_true(row[k] == widened(plain[m * K + k]));
    }
    void *all[] = {x, w, y, again, plain, half};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

#else // the compiler does not know AMX
static void bits(void **state) {
    (void)state;
    needs(false, "the compiler does not know AMX");
}

static void level(void **state) {
    (void)state;
    needs(false, "the compiler does not know AMX");
}

static void chunks(void **state) {
    (void)state;
    needs(false, "the compiler does not know AMX");
}

static void packed(void **state) {
    (void)state;
    needs(false, "the compiler does not know AMX");
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits), cmocka_unit_test(level),
                                       cmocka_unit_test(chunks), cmocka_unit_test(packed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

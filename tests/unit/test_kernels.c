// Every kernel of the level in use (ALIGNDISTIL_KERNELS) against float64, within what kernels.h
// states, for lengths around the vectors' and the tiles' edges.
#include "common/engine/kernels.h"
#include "tests/unit/bf16_sums.h"
#include "tests/unit/kernel_rows.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// exp: relative 2.5e-7 from -87 to 88; exactly 0 below and for -INFINITY; finite above.
static void exponential(void **state) {
    (void)state;
    double worst = 0;
    for (size_t i = 0; i < 200000; i++) {
        float x = (float)(-86.9 + 174.9 * rng_uniform(1, RNG_TEST, 1, i)), y;
        kernels()->exp_scale(&y, &x, 1, 0, 1);
        worst = fmax(worst, fabs(y / exp((double)x) - 1));
    }
    if (!(worst <= 2.5e-7)) fail_msg("relative error %g", worst);
    float edge[4] = {-INFINITY, -88, 0, 1000}, out[4];
    kernels()->exp_scale(out, edge, 4, 0, 1);
    assert_true(out[0] == 0 && out[1] == 0 && out[2] == 1 && isfinite(out[3]));
}

// A NaN anywhere in a row must reach whatever is made of it, so that no loss looks healthy.
static void not_a_number(void **state) {
    (void)state;
    float x[MOST], y[MOST];
    for (size_t t = 0; t < LENGTHS; t++)
        for (size_t at = 0; at < lengths[t]; at += 1 + lengths[t] / 7) {
            size_t n = lengths[t];
            fill(x, n, t, 3);
            x[at] = NAN;
            if (!isnan(kernels()->sum_exp(x, n, 2))) fail_msg("sum_exp hides a NaN, %zu", n);
            if (!isnan(kernels()->exp_sum(y, x, n, 2))) fail_msg("exp_sum hides a NaN, %zu", n);
            assert_true(isnan(y[at]));
            kernels()->exp_scale(y, x, n, 2, 1);
            assert_true(isnan(y[at]));
            fill(y, n, t, 3);
            kernels()->swiglu(y, x, y, n);
            assert_true(isnan(y[at]));
        }
}

// Sums of exponentials and dot products: relative to the sum of the terms' sizes, 1e-6.
static void reductions(void **state) {
    (void)state;
    float x[MOST], y[MOST], e[MOST];
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        fill(x, n, t, 3);
        fill(y, n, 50 + t, 1);
        double sum = 0, dot = 0, size = 0, squares = 0, max = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            sum += exp((double)x[i] - 2);
            dot += (double)x[i] * y[i];
            size += fabs((double)x[i] * y[i]);
            squares += (double)x[i] * x[i];
            max = fmax(max, (double)x[i]);
        }
        near((double)kernels()->max(x, n), max, 0, "max", n);
        near((double)kernels()->sum_exp(x, n, 2), sum, 1e-6 * sum, "sum_exp", n);
        near((double)kernels()->exp_sum(e, x, n, 2), sum, 1e-6 * sum, "exp_sum", n);
        for (size_t i = 0; i < n; i++) {
            double want = exp((double)x[i] - 2);
            near((double)e[i], want, 4e-7 * want + 1e-7 * want * fabs((double)x[i]), "exp_sum's y",
                 n);
        }
        near((double)kernels()->dot(x, y, n), dot, 1e-6 * size, "dot", n);
        near(kernels()->sum_squares(x, n), squares, 1e-14 * squares, "sum_squares", n);
        double moment = 0, weight = 0, distance = 0, far = 0;
        for (size_t i = 0; i < n; i++) {
            moment += exp((double)x[i]) * x[i];
            weight += exp((double)x[i]) * fabs((double)x[i]);
            distance += fabs(x[i] - 3.0 * y[i]);
            far += fabs((double)x[i]) + fabs(3.0 * y[i]);
        }
        near((double)kernels()->exp_moment(e, x, n), moment, 2e-6 * weight, "exp_moment", n);
        near((double)kernels()->distance(x, y, 3, n), distance, 1e-6 * far, "distance", n);
        float end = x[n - 1];
        x[n - 1] = -INFINITY; // a padded column
        if (!isfinite(kernels()->exp_moment(e, x, n)) || e[n - 1] != 0)
            fail_msg("exp_moment of -infinity, %zu", n);
        x[n - 1] = end;
    }
}

// Every output of the few-row products: 1e-6 of its terms' sizes, and the bits of dot.
static void few_rows(void **state) {
    (void)state;
    enum { N = 7, M = 19 };
    static float x[N * MOST], w[M * MOST], y[N * M];
    for (size_t t = 0; t < LENGTHS; t++)
        for (size_t n = 1; n <= N; n++) {
            size_t K = lengths[t];
            fill(x, n * K, t, 1);
            fill(w, M * K, 60 + t, 1);
            kernels()->rows(y, M, x, K, n, w, M, K, w);
            for (size_t i = 0; i < n; i++)
                for (size_t m = 0; m < M; m++) {
                    float one = kernels()->dot(x + i * K, w + m * K, K);
                    if (memcmp(&one, &y[i * M + m], sizeof one))
                        fail_msg("row %zu of %zu, column %zu, K %zu: other bits than dot", i, n, m,
                                 K);
                }
        }
}

static void mixture(void **state) {
    (void)state;
    enum { N = 50, LD = 150 };
    static float a[N], x[N * LD], y[LD], rounded[N * LD], same[LD];
    static uint16_t halves[N * LD];
    fill(a, N, 1, 1);
    fill(x, N * LD, 2, 1);
    for (size_t cols = 1; cols <= 140; cols += 11) {
        kernels()->mix(y, a, x, LD, N, cols, x);
        for (size_t c = 0; c < cols; c++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < N; i++) {
                sum += (double)a[i] * x[i * LD + c];
                size += fabs((double)a[i] * x[i * LD + c]);
            }
            near((double)y[c], sum, 2e-6 * size, "mix", cols);
        }
        kernels()->narrow(halves, x, N * LD);
        kernels()->round(rounded, x, N * LD);
        kernels()->mix(y, a, rounded, LD, N, cols, rounded);
        kernels()->mix_half(same, a, halves, LD, N, cols, halves);
        assert_memory_equal(y, same, cols * sizeof *y);
    }
}

// RMSNorm and its gradient, 2e-6 of the row's largest; SwiGLU likewise, 2e-6.
static void check_norms(double plus) {
    float x[MOST], w[MOST], dy[MOST], y[MOST], dx[MOST];
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        fill(x, n, t, 2);
        fill(w, n, 50 + t, 1);
        fill(dy, n, 90 + t, 1);
        double mean = 0, inner = 0;
        for (size_t i = 0; i < n; i++) {
            mean += (double)x[i] * x[i] / (double)n;
            inner += (w[i] + plus) * dy[i] * x[i];
        }
        double r = 1 / sqrt(mean + 1e-5);
        float got = kernels()->rmsnorm(y, x, w, (float)plus, n, 1e-5f);
        near((double)got, r, 1e-6 * r, "rmsnorm's scale", n);
        memset(dx, 0, sizeof dx);
        kernels()->rmsnorm_backward(dx, dy, x, w, (float)plus, got, n);
        for (size_t i = 0; i < n; i++) {
            double v = w[i] + plus, want = x[i] * r * v, size = fabs(r * v * dy[i]);
            near((double)y[i], want, 2e-6 * fabs(want), "rmsnorm", n);
            double part = x[i] * r * r * r * inner / (double)n;
            near((double)dx[i], r * v * dy[i] - part, 4e-6 * (size + fabs(part) + r),
                 "rmsnorm_backward", n);
        }
    }
}

static void norms(void **state) {
    (void)state;
    check_norms(0);
    check_norms(1);
}

struct gate { // silu or gelu of a number, and its slope
    double value, slope;
};

static struct gate gate_of(double g, bool gelu) {
    if (!gelu) {
        double s = 1 / (1 + exp(-g));
        return (struct gate){g * s, s * (1 + g * (1 - s))};
    }
    double c = sqrt(2 / 3.14159265358979323846), t = tanh(c * (g + 0.044715 * g * g * g));
    double slope = c * (1 + 3 * 0.044715 * g * g);
    return (struct gate){g / 2 * (1 + t), (1 + t) / 2 + g / 2 * (1 - t * t) * slope};
}

static void check_gated(bool gelu) {
    float g[MOST], u[MOST], d[MOST], y[MOST];
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        float dg[MOST], du[MOST];
        fill(g, n, t, 4);
        fill(u, n, 50 + t, 1);
        fill(d, n, 90 + t, 1);
        memcpy(dg, g, sizeof g);
        memcpy(du, u, sizeof u);
        (gelu ? kernels()->geglu : kernels()->swiglu)(y, g, u, n);
        (gelu ? kernels()->geglu_backward : kernels()->swiglu_backward)(dg, du, d, n);
        for (size_t i = 0; i < n; i++) {
            struct gate want = gate_of((double)g[i], gelu);
            // silu to its own size, gelu, which falls off faster, to that of the gate
            double size = gelu ? 4e-6 * fabs((double)g[i]) : 2e-6 * fabs(want.value);
            double slope = (gelu ? 8e-6 : 2e-6) * (1 + fabs((double)g[i]));
            near((double)y[i], want.value * u[i], size * fabs((double)u[i]), "gated", n);
            near((double)du[i], d[i] * want.value, size * fabs((double)d[i]), "up", n);
            near((double)dg[i], d[i] * u[i] * want.slope, slope * fabs((double)d[i] * u[i]), "gate",
                 n);
        }
    }
}

static void gated(void **state) {
    (void)state;
    check_gated(false);
    check_gated(true);
}

// AdamW: each number within 1e-6 of its change.
static void adamw(void **state) {
    (void)state;
    float p[MOST], m[MOST], v[MOST], g[MOST];
    struct adamw_step s = {.clip = 0.5f,
                           .beta1 = 0.9f,
                           .beta2 = 0.95f,
                           .rate = 2e-3f,
                           .root = 1.7f,
                           .epsilon = 1e-8f,
                           .decay = 1e-4f};
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        float p0[MOST], m0[MOST], v0[MOST];
        fill(p, n, t, 1);
        fill(m, n, 50 + t, 0.1);
        fill(v, n, 90 + t, 0.1);
        fill(g, n, 130 + t, 1);
        for (size_t i = 0; i < n; i++) v[i] = fabsf(v[i]);
        memcpy(p0, p, sizeof p);
        memcpy(m0, m, sizeof m);
        memcpy(v0, v, sizeof v);
        kernels()->adamw(p, m, v, g, n, &s);
        for (size_t i = 0; i < n; i++) {
            double d = 0.5 * g[i], b1 = (double)s.beta1, b2 = (double)s.beta2;
            double mm = b1 * m0[i] + (1 - b1) * d, vv = b2 * v0[i] + (1 - b2) * d * d;
            double change = (double)s.decay * p0[i] +
                            (double)s.rate * mm / (sqrt(vv) * (double)s.root + (double)s.epsilon);
            near((double)m[i], mm, 2e-7 * (fabs((double)m0[i]) + fabs(d)), "adamw's m", n);
            near((double)v[i], vv, 1e-6 * vv, "adamw's v", n);
            near((double)p[i], p0[i] - change,
                 1e-6 * fabs(change) + 1.2e-7 * fabs((double)p0[i]) + 1e-9, "adamw's p", n);
        }
    }
}

// To bf16: the nearer of the two neighbours, of equally near ones the even; NaN stays NaN. narrow
// has its upper half, which widen brings back.
static void to_bf16_and_back(void **state) {
    (void)state;
    enum { N = 1003 };
    static float x[N], y[N], z[N];
    static uint16_t half[N];
    fill(x, N, 1, 3);
    const float special[] = {0,         -0.0f,      INFINITY,  -INFINITY, NAN,          FLT_MAX,
                             0x1p-140f, -0x1.01p0f, 0x1.03p5f, 0x1.02p5f, 0x1.00fffep1f};
    memcpy(x + 100, special, sizeof special);
    for (size_t n = 1; n <= N; n += n < 40 ? 1 : 137) {
        kernels()->round(y, x, n);
        kernels()->narrow(half, x, n);
        kernels()->widen(z, half, n);
        for (size_t i = 0; i < n; i++) {
            uint32_t bits, low, high;
            memcpy(&bits, &x[i], sizeof bits);
            low = bits & 0xffff0000u;
            high = low + 0x10000;
            bool up = (bits & 0xffff) > 0x8000 || ((bits & 0xffff) == 0x8000 && low & 0x10000);
            memcpy(&bits, &y[i], sizeof bits);
            if (isnan(x[i]) ? !isnan(y[i]) : bits != (up ? high : low))
                fail_msg("%a is rounded to %a", (double)x[i], (double)y[i]);
            if (memcmp(&z[i], &y[i], sizeof y[i]) || half[i] != bits >> 16)
                fail_msg("%a is kept as %a", (double)y[i], (double)z[i]);
        }
    }
}

// ---- blocks of products ----

enum { LD = 800, BLOCK_ROWS = 120, BLOCK_COLS = 120 };

// A block whose operands are stored as `inner` says. c: (BLOCK_ROWS,BLOCK_COLS), filled with 7
// around it.
static struct block block_of(float *c, const float *a, const float *b, const size_t shape[3],
                             int how) {
    for (size_t i = 0; i < BLOCK_ROWS * BLOCK_COLS; i++) c[i] = 7;
    return (struct block){.c = c,
                          .ldc = BLOCK_COLS,
                          .rows = shape[0],
                          .cols = shape[1],
                          .k = shape[2],
                          .a = {.f32 = a, .ld = LD, .inner = how & 1},
                          .b = {.f32 = b, .ld = LD, .inner = how & 2}};
}

static float operand_at(const struct operand *o, size_t line, size_t k) {
    return o->f32[o->inner ? line * o->ld + k : k * o->ld + line];
}

// Against float64, 4e-6 of the terms' sizes; what fills strips and panels never shows.
static void check_block(const float *a, const float *b, const size_t shape[3], int how) {
    static float c[BLOCK_ROWS * BLOCK_COLS], packed[LD * (BLOCK_COLS + KERNEL_STRIPS)];
    struct block d = block_of(c, a, b, shape, how);
    kernels()->block(&d);
    kernels()->pack(packed, b, LD, d.cols, d.k, d.b.inner);
    d.add = true;
    struct block again = d;
    again.b = (struct operand){.packed = packed, .ld = d.k};
    kernels()->block(&again);
    for (size_t i = 0; i < BLOCK_ROWS; i++)
        for (size_t j = 0; j < BLOCK_COLS; j++) {
            double sum = 0, size = 0;
            bool inside = i < d.rows && j < d.cols;
            for (size_t p = 0; p < d.k && inside; p++) {
                double t = (double)operand_at(&d.a, i, p) * operand_at(&d.b, j, p);
                sum += 2 * t;
                size += 2 * fabs(t);
            }
            near((double)c[i * BLOCK_COLS + j], inside ? sum : 7, inside ? 4e-6 * size : 0, "block",
                 d.k);
        }
}

// In bf16: the very bits of the rounded numbers' sum in the level's order.
static void check_bf16(const float *a, const float *b, const size_t shape[3], int how, bool half) {
    static float c[BLOCK_ROWS * BLOCK_COLS], row[LD], column[LD];
    static uint16_t halves[LD * LD];
    struct block d = block_of(c, a, b, shape, how);
    d.bf16 = true;
    for (size_t i = 0; half && i < LD * LD; i++) {
        uint32_t bits;
        memcpy(&bits, &b[i], sizeof bits);
        halves[i] = (uint16_t)(bits >> 16);
    }
    if (half) d.b = (struct operand){.bf16 = halves, .ld = LD, .inner = true};
    kernels()->block(&d);
    struct operand source = {.f32 = b, .ld = LD, .inner = how & 2};
    for (size_t i = 0; i < d.rows; i++)
        for (size_t j = 0; j < d.cols; j++) {
            for (size_t k = 0; k < d.k; k++) {
                row[k] = operand_at(&d.a, i, k);
                column[k] = half ? widened(halves[j * LD + k]) : operand_at(&source, j, k);
            }
            float want = bf16_sum(0, row, column, d.k, kernels()->tiles);
            if (memcmp(&c[i * BLOCK_COLS + j], &want, sizeof want) != 0)
                fail_msg("bf16 block %zu x %zu x %zu, %d: %a is not %a", d.rows, d.cols, d.k, how,
                         (double)c[i * BLOCK_COLS + j], (double)want);
        }
}

static float block_a[LD * LD], block_b[LD * LD];

static void blocks(void **state) {
    (void)state;
    assert_true(KERNEL_STRIPS % kernels()->strip == 0);
    static const size_t shapes[][3] = {
        {1, 1, 1},  {8, 48, 16},   {13, 50, 33},  {64, 97, KERNEL_DEPTH},
        {4, 12, 3}, {31, 23, 100}, {107, 51, 70}, {24, 96, 64}};
    fill(block_a, LD * LD, 1, 1);
    fill(block_b, LD * LD, 2, 1);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int how = 0; how < 4; how++) {
            check_block(block_a, block_b, shapes[s], how);
            check_bf16(block_a, block_b, shapes[s], how, false);
        }
    check_bf16(block_a, block_b, (const size_t[3]){40, 60, 2 * KERNEL_DEPTH}, 1, false);
    check_bf16(block_a, block_b, (const size_t[3]){40, 60, 2 * KERNEL_DEPTH - 1}, 2, false);
    check_bf16(block_a, block_b, (const size_t[3]){21, 33, 101}, 3, true);
}

// Numbers whose products or sums would be denormal, and those that rounding takes far.
static void bf16_extremes(void **state) {
    (void)state;
    static const float some[] = {
        0x1p-54f,   0x1.fffffep-56f, -0x1p-55f,  0x1p-70f, 0x1p-126f, 0x1p-140f,      -0x1p-149f,
        0x1.01p0f,  0x1.03p0f,       -0x1.01p0f, 1,        -1,        0x1.fep60f,     -0x1.ffp60f,
        0x1.008p0f, 0x1.0180002p0f,  0,          -0.0f,    0x1p-60f,  0x1.017ffep-54f};
    enum { SOME = sizeof some / sizeof *some };
    for (size_t i = 0; i < LD * LD; i++) {
        block_a[i] = some[rng_bits(3, RNG_TEST, i, 0) % SOME];
        block_b[i] = some[rng_bits(3, RNG_TEST, i, 1) % SOME];
    }
    for (int how = 0; how < 4; how++)
        check_bf16(block_a, block_b, (const size_t[3]){60, 70, 37}, how, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponential),   cmocka_unit_test(not_a_number),
        cmocka_unit_test(reductions),    cmocka_unit_test(to_bf16_and_back),
        cmocka_unit_test(few_rows),      cmocka_unit_test(mixture),
        cmocka_unit_test(norms),         cmocka_unit_test(gated),
        cmocka_unit_test(adamw),         cmocka_unit_test(blocks),
        cmocka_unit_test(bf16_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Every kernel of the level in use (ALIGNDISTIL_KERNELS) against float64, within what kernels.h
// states, for lengths around the vectors' and the tiles' edges.
#include "common/engine/kernels.h"
#include "common/base/rng.h"
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

enum { MOST = 1100 };
static const size_t lengths[] = {1, 2, 7, 15, 16, 17, 48, 64, 95, 288, 767, 1000};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void fill(float *x, size_t n, uint64_t row, double scale) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(scale * rng_normal(7, RNG_TEST, row, i));
}

static void near(double got, double want, double tolerance, const char *what, size_t n) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s, %zu: %.9g, not %.9g", what, n, got, want);
}

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
            kernels()->rows(y, M, x, K, n, w, M, K, false);
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
    static float a[N], x[N * LD], y[LD];
    fill(a, N, 1, 1);
    fill(x, N * LD, 2, 1);
    for (size_t cols = 1; cols <= 140; cols += 11) {
        kernels()->mix(y, a, x, LD, N, cols);
        for (size_t c = 0; c < cols; c++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < N; i++) {
                sum += (double)a[i] * x[i * LD + c];
                size += fabs((double)a[i] * x[i * LD + c]);
            }
            near((double)y[c], sum, 2e-6 * size, "mix", cols);
        }
    }
}

// RMSNorm and its gradient, 2e-6 of the row's largest; SwiGLU likewise, 2e-6.
static void norms(void **state) {
    (void)state;
    float x[MOST], w[MOST], dy[MOST], y[MOST], dx[MOST];
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        fill(x, n, t, 2);
        fill(w, n, 50 + t, 1);
        fill(dy, n, 90 + t, 1);
        double mean = 0, inner = 0;
        for (size_t i = 0; i < n; i++) {
            mean += (double)x[i] * x[i] / (double)n;
            inner += (double)w[i] * dy[i] * x[i];
        }
        double r = 1 / sqrt(mean + 1e-5);
        float got = kernels()->rmsnorm(y, x, w, n, 1e-5f);
        near((double)got, r, 1e-6 * r, "rmsnorm's scale", n);
        memset(dx, 0, sizeof dx);
        kernels()->rmsnorm_backward(dx, dy, x, w, got, n);
        for (size_t i = 0; i < n; i++) {
            double want = x[i] * r * w[i], size = fabs(r * w[i] * dy[i]);
            near((double)y[i], want, 2e-6 * fabs(want), "rmsnorm", n);
            double part = x[i] * r * r * r * inner / (double)n;
            near((double)dx[i], r * w[i] * dy[i] - part, 4e-6 * (size + fabs(part) + r),
                 "rmsnorm_backward", n);
        }
    }
}

static void gated(void **state) {
    (void)state;
    float g[MOST], u[MOST], d[MOST], y[MOST];
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        float dg[MOST], du[MOST];
        fill(g, n, t, 4);
        fill(u, n, 50 + t, 1);
        fill(d, n, 90 + t, 1);
        memcpy(dg, g, sizeof g);
        memcpy(du, u, sizeof u);
        kernels()->swiglu(y, g, u, n);
        kernels()->swiglu_backward(dg, du, d, n);
        for (size_t i = 0; i < n; i++) {
            double s = 1 / (1 + exp(-(double)g[i])), silu = g[i] * s;
            double slope = s * (1 + g[i] * (1 - s));
            near((double)y[i], silu * u[i], 2e-6 * fabs(silu * u[i]), "swiglu", n);
            near((double)du[i], d[i] * silu, 2e-6 * fabs(d[i] * silu), "swiglu_backward up", n);
            near((double)dg[i], d[i] * u[i] * slope,
                 2e-6 * fabs((double)d[i] * u[i]) * (1 + fabs((double)g[i])),
                 "swiglu_backward gate", n);
        }
    }
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

// Blocks of products: 3e-6 of the terms' sizes; padding of strips and panels never shows.
static void check_block(size_t rows, size_t cols, size_t k, bool across_a, bool across_b) {
    enum { LD = 300 };
    static float a[LD * LD], b[LD * LD], c[LD * LD], packed[LD * (LD + KERNEL_STRIPS)];
    fill(a, LD * LD, rows, 1);
    fill(b, LD * LD, cols, 1);
    for (size_t i = 0; i < LD * LD; i++) c[i] = 7;
    kernels()->pack(packed, b, LD, cols, k, across_b);
    kernels()->block(c, LD, a, LD, across_a, packed, k, rows, cols, k, false);
    kernels()->block(c, LD, a, LD, across_a, packed, k, rows, cols, k, true);
    for (size_t i = 0; i < LD; i++)
        for (size_t j = 0; j < LD; j++) {
            double sum = 0, size = 0;
            for (size_t p = 0; p < k && i < rows && j < cols; p++) {
                double t = (double)a[across_a ? p * LD + i : i * LD + p] *
                           b[across_b ? j * LD + p : p * LD + j];
                sum += 2 * t;
                size += 2 * fabs(t);
            }
            bool inside = i < rows && j < cols;
            near((double)c[i * LD + j], inside ? sum : 7, inside ? 3e-6 * size : 0, "block", k);
        }
}

static void blocks(void **state) {
    (void)state;
    assert_true(KERNEL_STRIPS % kernels()->strip == 0);
    static const size_t shapes[][3] = {
        {1, 1, 1},  {8, 48, 16},   {13, 50, 33}, {64, 97, KERNEL_DEPTH},
        {4, 12, 3}, {31, 23, 100}, {107, 51, 70}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int t = 0; t < 4; t++)
            check_block(shapes[s][0], shapes[s][1], shapes[s][2], t & 1, t & 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponential), cmocka_unit_test(not_a_number), cmocka_unit_test(reductions),
        cmocka_unit_test(few_rows),    cmocka_unit_test(mixture),      cmocka_unit_test(norms),
        cmocka_unit_test(gated),       cmocka_unit_test(adamw),        cmocka_unit_test(blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The kernels that search rows and sum what they find, of the level in use, against plain loops.
#include "common/engine/kernels.h"
#include "tests/unit/kernel_rows.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void check_maxima(const float *x, size_t n, size_t each) {
    float most[MOST + 16];
    kernels()->maxima(most, x, n, each);
    for (size_t b = 0; 16 * b * each < n; b++)
        for (size_t l = 0; l < 16; l++) {
            float want = -INFINITY;
            for (size_t i = 0; i < each; i++) {
                size_t at = 16 * (b * each + i) + l;
                if (at < n && x[at] > want) want = x[at];
            }
            if (most[16 * b + l] != want) fail_msg("maxima %zu of %zu, lane %zu", each, n, l);
        }
}

static void check_limit(const float *x, size_t n, float limit) {
    int32_t at[MOST];
    float lane[16];
    double sum = 0, want = 0, size = 0;
    size_t found = 0, count = kernels()->at_least(at, x, n, limit), above = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] >= limit && (found >= count || at[found++] != (int32_t)i))
            fail_msg("at_least %g misses %zu of %zu", (double)limit, i, n);
        above += x[i] > limit;
        want += x[i] > limit ? 0 : (double)x[i];
        size += fabs((double)x[i]);
    }
    assert_int_equal(found, count);
    assert_int_equal(kernels()->sum_up_to(lane, x, n, limit), above);
    for (int l = 0; l < 16; l++) sum += (double)lane[l];
    near(sum, want, 1e-6 * size, "sum_up_to", n);
}

// With equals: x in steps of a half.
static void check_ranks(const float *x, size_t n) {
    float y[MOST];
    int32_t before[MOST];
    for (size_t i = 0; i < n; i++) y[i] = roundf(2 * x[i]) / 2;
    kernels()->ranks(before, y, n);
    for (size_t i = 0; i < n; i++) {
        int32_t want = 0;
        for (size_t j = 0; j < n; j++) want += y[j] > y[i] || (y[j] == y[i] && j < i);
        if (before[i] != want) fail_msg("ranks %zu of %zu: %d for %d", i, n, before[i], want);
    }
}

static void check_pairs(const float *x, size_t n) {
    float p[MOST], q[MOST], l[MOST], got[PAIR_SUMS];
    double sum[PAIR_SUMS] = {0}, size[PAIR_SUMS] = {0};
    fill(q, n, 5, 1);
    fill(l, n, 6, 1);
    for (size_t i = 0; i < n; i++) p[i] = i % 5 ? fabsf(x[i]) : 0;
    l[0] = -INFINITY; // where there is no p
    for (size_t i = 0; i < n; i++) {
        double a = p[i] > 0 ? (double)l[i] - (double)x[i] : 0, P = (double)p[i], Q = (double)q[i];
        const double term[PAIR_SUMS] = {P, Q, P * a, P * P, P * P * a, P * P * a * a, Q * Q, P * Q};
        for (int k = 0; k < PAIR_SUMS; k++) {
            sum[k] += term[k];
            size[k] += fabs(term[k]);
        }
    }
    kernels()->pair_sums(got, p, q, l, x, n);
    for (int k = 0; k < PAIR_SUMS; k++)
        near((double)got[k], sum[k], 2e-6 * size[k], "pair_sums", n);
}

static void check_outside(const float *x, size_t n) {
    float e[MOST], made = kernels()->exp_moment(e, x, n), z[MOST];
    struct outside o;
    kernels()->outside(&o, e, x, n);
    assert_true(o.moment == made);
    for (size_t l = 0; l < 16; l++) {
        double mass = 0;
        float most = -INFINITY;
        for (size_t i = l; i < n; i += 16) {
            mass += (double)e[i];
            most = fmaxf(most, x[i]);
        }
        near((double)o.mass[l], mass, 1e-6 * mass, "outside, mass", n);
        assert_true(o.most[l] == most);
    }
    for (size_t i = 0; i < n; i++) z[i] = i + 1 < n ? x[i] : -INFINITY;
    e[n - 1] = 0;
    kernels()->outside(&o, e, z, n);
    assert_true(isfinite(o.moment));
}

// What finds the largest numbers of a row and sums the others.
static void searches(void **state) {
    (void)state;
    float x[MOST];
    for (size_t t = 0; t < LENGTHS; t++) {
        size_t n = lengths[t];
        fill(x, n, t, 3);
        for (size_t each = 1; each < 9; each += 3) check_maxima(x, n, each);
        for (size_t i = 0; i < n; i += 1 + n / 4) check_limit(x, n, x[i]);
        check_ranks(x, n);
        check_limit(x, n, INFINITY);
        check_limit(x, n, -10);
        check_pairs(x, n);
        check_outside(x, n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(searches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

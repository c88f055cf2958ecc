// The support of an error budget, against the gradients themselves: those of the code that trains,
// from the whole p* and from what is kept of it.
#include "common/method/support.h"
#include "common/base/rng.h"
#include "common/engine/rowmath.h"
#include "common/method/divergence.h"
#include "common/method/teacher.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { V = 700, USED = 690, SALTS = 12 };

static const struct support_sizes none; // every position by its own gradient

static const enum divergence_kind kinds[] = {DIVERGENCE_FKL, DIVERGENCE_RKL};

static void log_softmax(float *z) {
    float lse = (float)row_lse(z, V);
    for (size_t v = 0; v < V; v++) z[v] -= lse;
}

// A student, and a teacher that is `far` from it. Some are sure, some are not.
static void make(uint64_t salt, double far, float *own, float *star) {
    for (size_t v = 0; v < V; v++) {
        double x = (1.5 + (double)(salt % 3)) * rng_normal(1, RNG_TEST, salt, v);
        double y = far * rng_normal(2, RNG_TEST, salt, v);
        own[v] = v < USED ? (float)x : -INFINITY;
        star[v] = v < USED ? (float)(x + y) : -INFINITY;
    }
    log_softmax(own);
    log_softmax(star);
}

// |g - h| / |g| of a student (V, log p) whose cache keeps ids (n).
static double error_of(enum divergence_kind kind, const float *student, const float *star,
                       const int32_t *ids, size_t n) {
    static float g[V], h[V], kept[V], p[V], scratch[2 * V];
    struct divergence d = {.kind = kind};
    struct teacher_entry e[V + 2];
    float logp[V + 2];
    int32_t token[V + 2];
    double unused, gg = 0, off = 0;
    struct teacher_rest rest;
    struct teacher_composed row = {.logp = kept, .p = p, .sum = 1};
    memcpy(kept, star, sizeof kept);
    row_exp(p, star, V, 0);
    n = teacher_take_row(ids, n, (const int32_t[]){-1, -1}, &row, V, e, &rest);
    for (size_t i = 0; i < n; i++) {
        token[i] = e[i].id;
        logp[i] = e[i].logp;
    }
    struct teacher_position t = {
        .n = (uint32_t)n, .ids = token, .logp = logp, .log_tail = (float)rest.log_tail};
    memcpy(g, student, sizeof g);
    memcpy(h, student, sizeof h);
    divergence_dense(&d, g, V, star, 1);
    divergence_sparse(&d, h, V, &t, 1, scratch, &unused);
    for (size_t v = 0; v < V; v++) {
        gg += (double)g[v] * (double)g[v];
        off += ((double)g[v] - (double)h[v]) * ((double)g[v] - (double)h[v]);
    }
    return sqrt(off / gg);
}

static void half_way(const float *own, const float *star, float *middle) {
    for (size_t v = 0; v < V; v++) middle[v] = v < USED ? (own[v] + star[v]) / 2 : -INFINITY;
    log_softmax(middle);
}

static void keeps_the_budget(void **state) {
    (void)state;
    static struct support_token scratch[V];
    static float own[V], star[V], middle[V];
    static const double far[] = {0.1, 1, 8, 40};
    int32_t ids[V];
    size_t n, fewer;
    for (size_t k = 0; k < 4; k++)
        for (uint64_t salt = 0; salt < SALTS; salt++) {
            struct support_budget b = {.error = 0.04, .middle = 0.15, .most = V};
            make(salt, far[k], own, star);
            half_way(own, star, middle);
            assert_true(support_within(&b, &none, star, own, V, scratch, ids, &n));
            assert_true(n >= 1 && n <= USED);
            double worst = 0;
            for (int kind = 0; kind < 2; kind++) {
                double start = error_of(kinds[kind], own, star, ids, n);
                double later = error_of(kinds[kind], middle, star, ids, n);
                assert_true(start <= b.error * 1.01 + 1e-6);
                assert_true(later <= b.middle * 1.01 + 1e-6);
                if (n > 1) { // one fewer breaks one of the four
                    worst = fmax(worst, error_of(kinds[kind], own, star, ids, n - 1) / b.error);
                    worst = fmax(worst, error_of(kinds[kind], middle, star, ids, n - 1) / b.middle);
                }
            }
            assert_true(n == 1 || worst > 0.99);
            struct support_budget loose = {.error = 0.2, .middle = 0.5, .most = V};
            assert_true(support_within(&loose, &none, star, own, V, scratch, ids, &fewer));
            assert_true(fewer <= n);
            struct support_budget small = {.error = 0.04, .middle = 0.15, .most = 3};
            assert_true(support_within(&small, &none, star, own, V, scratch, ids, &fewer) ==
                        (n <= 3));
            assert_true(fewer == (n < 3 ? n : 3));
        }
}

static void what_is_kept(void **state) { // the most likely one, none twice, no padding
    (void)state;
    static struct support_token scratch[V];
    static float own[V], star[V];
    int32_t ids[V];
    size_t n, likely = 0;
    for (uint64_t salt = 0; salt < SALTS; salt++) {
        bool in[V] = {0};
        make(salt, 5, own, star);
        for (size_t v = likely = 0; v < V; v++) likely = star[v] > star[likely] ? v : likely;
        struct support_budget b = {.error = 0.01, .middle = 0.05, .most = V};
        support_within(&b, &none, star, own, V, scratch, ids, &n);
        for (size_t i = 0; i < n; i++) {
            assert_true(ids[i] >= 0 && ids[i] < USED && !in[ids[i]]);
            in[ids[i]] = true;
        }
        assert_true(in[likely]);
    }
}

static void student_is_the_teacher(void **state) { // nothing to learn: nothing to keep
    (void)state;
    static struct support_token scratch[V];
    static float own[V], star[V];
    int32_t ids[V];
    size_t n;
    make(2, 0, own, star);
    struct support_budget b = {.error = 0.04, .middle = 0.15, .most = V};
    assert_true(support_within(&b, &none, own, own, V, scratch, ids, &n));
    assert_true(n <= 2);
}

// No token of a wide, flat row is likely; the most likely one of p* is kept all the same.
static void flat_row(void **state) {
    (void)state;
    enum { WIDE = 40000, AT = 31234 };
    static struct support_token scratch[WIDE];
    static float own[WIDE], star[WIDE];
    static int32_t ids[WIDE];
    size_t n, kept = 0;
    for (size_t v = 0; v < WIDE; v++) own[v] = star[v] = (float)-log(WIDE);
    star[AT] += 1e-3f;
    struct support_budget b = {.error = 0.03, .middle = 0.12, .most = WIDE};
    assert_true(support_within(&b, &(struct support_sizes){{{1, 1}, {1, 1}}}, star, own, WIDE,
                               scratch, ids, &n));
    for (size_t i = 0; i < n; i++) kept += ids[i] == AT;
    assert_int_equal(kept, 1);
}

static double size_of(enum divergence_kind kind, const float *student, const float *star) {
    static float g[V];
    struct divergence d = {.kind = kind};
    double sum = 0;
    memcpy(g, student, sizeof g);
    divergence_dense(&d, g, V, star, 1);
    for (size_t v = 0; v < V; v++) sum += (double)g[v] * (double)g[v];
    return sqrt(sum);
}

// A typical gradient larger than the position's own allows as much more; and the sizes are those of
// the gradients.
static void typical_gradients(void **state) {
    (void)state;
    static struct support_token scratch[V];
    static float own[V], star[V], middle[V];
    int32_t ids[V];
    size_t n, fewer;
    for (uint64_t salt = 0; salt < SALTS; salt++) {
        make(salt, 2, own, star);
        half_way(own, star, middle);
        struct support_sizes s = support_gradients(star, own, V), typical;
        for (int kind = 0; kind < 2; kind++) {
            assert_true(fabs(s.g[0][kind] / size_of(kinds[kind], own, star) - 1) < 1e-3);
            assert_true(fabs(s.g[1][kind] / size_of(kinds[kind], middle, star) - 1) < 1e-3);
            for (int k = 0; k < 2; k++) typical.g[k][kind] = 5 * s.g[k][kind];
        }
        struct support_budget tight = {.error = 0.02, .middle = 0.08, .most = V}, loose = tight;
        loose.error *= 5;
        loose.middle *= 5;
        assert_true(support_within(&tight, &typical, star, own, V, scratch, ids, &fewer));
        assert_true(support_within(&loose, &none, star, own, V, scratch, ids, &n));
        assert_int_equal(fewer, n);
    }
}

// log of what counts as likely: least, and e^H / 10 of it where p* is sure of fewer than ten tokens
static double likely_from(double least, const float *star) {
    double entropy = 0;
    for (size_t v = 0; v < USED; v++) entropy -= exp((double)star[v]) * (double)star[v];
    return log(least) + fmin(entropy - log(10), 0);
}

// From `least` on, of either, before all others, and nothing else where the budget asks for none.
static void what_is_likely(void **state) {
    (void)state;
    static struct support_token scratch[V];
    static float own[V], star[V];
    int32_t ids[V];
    size_t n, sure = 0;
    for (uint64_t salt = 0; salt < 2 * SALTS; salt++) {
        make(salt, salt % 2 ? 2 : 0.7, own, star);
        struct support_budget b = {.error = 5, .middle = 5, .least = 2e-3, .most = V};
        double from = likely_from(b.least, star);
        bool in[V] = {0};
        sure += from < log(b.least);
        assert_true(support_within(&b, &none, star, own, V, scratch, ids, &n));
        for (size_t i = 0; i < n; i++) in[ids[i]] = true;
        for (size_t v = 0; v < USED; v++) {
            double most = (double)fmaxf(own[v], star[v]);
            if (fabs(most - from) > 1e-3) assert_true(in[v] == (most > from));
        }
    }
    assert_true(sure > 0 && sure < 2 * SALTS);
}

// How many tokens the usual budget keeps, here and where a position weighs much, of all that `make`
// makes. Another number: raise SUPPORT_RULE, or caches of the former choice count as up to date.
static void rule_has_a_number(void **state) {
    (void)state;
    static struct support_token scratch[V];
    static float own[V], star[V];
    int32_t ids[V];
    size_t n, kept = 0;
    struct support_budget usual = support_budget_default(0.03);
    for (uint64_t salt = 0; salt < 4 * SALTS; salt++) {
        make(salt, (double)(salt % 4), own, star);
        struct support_sizes typical = support_gradients(star, own, V);
        for (double alpha = 1e-3; alpha < 10; alpha *= 8) {
            struct support_budget b = support_budget_of(&usual, alpha, 10);
            struct support_sizes s = support_sizes_of(&typical, alpha);
            support_within(&b, &s, star, own, V, scratch, ids, &n);
            kept += n;
        }
    }
    assert_int_equal(SUPPORT_RULE, 3);
    assert_int_equal(kept, 95669);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_budget),
        cmocka_unit_test(what_is_kept),
        cmocka_unit_test(student_is_the_teacher),
        cmocka_unit_test(typical_gradients),
        cmocka_unit_test(what_is_likely),
        cmocka_unit_test(rule_has_a_number),
        cmocka_unit_test(flat_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

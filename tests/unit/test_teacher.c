// The teacher in float32 against its definition in double (METHOD.md section 3).
#include "common/engine/rowmath.h"
#include "common/base/rng.h"
#include "common/method/teacher.h"
#include "common/method/teacher_kl.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { V = 1537 }; // blocks of 512 and one over

static bool near(double a, double b, double tolerance) {
    if (fabs(a - b) <= tolerance) return true;
    print_message("%.12g is not %.12g (+- %g)\n", a, b, tolerance);
    return false;
}

static void make(float *x, size_t n, uint64_t salt, double scale) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(scale * rng_normal(21, RNG_TEST, salt, i));
}

static double lse(const float *z, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)z[i]);
    return log(sum);
}

static void rows(void **state) {
    (void)state;
    static float x[152001], y[152001];
    size_t n = 152001;
    make(x, n, 1, 3);
    double expect = lse(x, n);
    assert_true(near(row_lse(x, n), expect, 1e-6));
    memcpy(y, x, n * sizeof *x);
    assert_true(near(row_softmax(y, n, 2), expect, 1e-6));
    assert_true(near(row_sum(y, n), 2, 1e-6));
    for (size_t i = 0; i < n; i += 97) {
        double p = 2 * exp((double)x[i] - expect);
        assert_true(near((double)y[i], p, 3e-6 * p));
    }
    memcpy(y, x, n * sizeof *x);
    row_softmax_known(y, n, expect, 2);
    for (size_t i = 0; i < n; i += 97) {
        double p = 2 * exp((double)x[i] - expect);
        assert_true(near((double)y[i], p, 3e-6 * p));
    }
    float small[5] = {-INFINITY, 2, -3, -INFINITY, 1};
    double sum;
    assert_true(row_sum_up_to(small + 1, 2, 1, &sum) == 1 && near(sum, -3, 0));
    assert_true(near(row_lse(small, 5), log(exp(2) + exp(1) + exp(-3)), 1e-6));
    row_softmax(small, 5, 1);
    assert_true(small[0] == 0 && small[3] == 0);
}

static void distance_and_alpha(void **state) {
    (void)state;
    static float a[V], b[V];
    make(a, V, 1, 2);
    make(b, V, 2, 2);
    double la = lse(a, V), lb = lse(b, V), tvd = 0;
    for (size_t v = 0; v < V; v++)
        tvd += 0.5 * fabs(exp((double)a[v] - la) - exp((double)b[v] - lb));
    assert_true(near(teacher_tvd(a, b, V), tvd, 1e-6));
    assert_true(teacher_tvd(a, a, V) == 0);
    for (size_t v = 0; v < V; v++) b[v] = v == 5 ? 80 : 0, a[v] = v == 6 ? 80 : 0;
    assert_true(near(teacher_tvd(a, b, V), 1, 1e-6));
    struct teacher_rule r = {.alpha = ALPHA_FIXED, .strength = 2};
    assert_true(near(teacher_alpha(&r, 0.25), 2, 0));
    r.alpha = ALPHA_DAMPED;
    assert_true(near(teacher_alpha(&r, 0.25), 1.501, 1e-15));
    r.alpha = ALPHA_TVD;
    assert_true(near(teacher_alpha(&r, 0.25), 0.501, 1e-15));
}

// log p* in double from the definition, on log-probabilities.
static void define(double plausible, double alpha, const float *base, const float *dpo,
                   const float *negative, double *out) {
    double lb = lse(base, V), ld = lse(dpo, V), ln = lse(negative, V), most = -INFINITY, sum = 0;
    for (size_t v = 0; v < V; v++) // fmax here is an internal error of gcc 12 for aarch64
        if ((double)base[v] - lb > most) most = (double)base[v] - lb;
    for (size_t v = 0; v < V; v++) {
        double b = (double)base[v] - lb, d = ((double)dpo[v] - ld) - ((double)negative[v] - ln);
        if (exp(b) < plausible * exp(most) || !isfinite(base[v])) d = 0;
        out[v] = b + alpha * d;
        sum += exp(out[v]);
    }
    for (size_t v = 0; v < V; v++) out[v] -= log(sum);
}

static void composition(void **state) {
    (void)state;
    static float base[V], dpo[V], negative[V], out[V], shifted[3][V];
    static double expect[V];
    static const double plausible[] = {0, 1e-3, 0.1}, alpha[] = {0, 0.3, 1, 20};
    make(base, V, 1, 2);
    make(dpo, V, 2, 2);
    make(negative, V, 3, 2);
    for (size_t v = V - 3; v < V; v++) base[v] = dpo[v] = negative[v] = -INFINITY;
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < 4; k++) {
            struct teacher_rule r = {.plausible = plausible[p]};
            define(plausible[p], alpha[k], base, dpo, negative, expect);
            teacher_compose(&r, alpha[k], base, dpo, negative, V, out);
            for (size_t v = 0; v < V - 3; v++)
                assert_true(near((double)out[v], expect[v], 1e-6 * (1 + fabs(expect[v]))));
            for (size_t v = V - 3; v < V; v++) assert_true(out[v] == -INFINITY);
            for (size_t v = 0; v < V; v++) { // from log-probabilities, in place
                shifted[0][v] = (float)((double)base[v] - lse(base, 64));
                shifted[1][v] = dpo[v] - 2.5f;
                shifted[2][v] = negative[v] + 1.25f;
            }
            teacher_compose(&r, alpha[k], shifted[0], shifted[1], shifted[2], V, shifted[0]);
            for (size_t v = 0; v < V - 3; v++)
                assert_true(near((double)shifted[0][v], expect[v], 2e-5 * (1 + alpha[k])));
        }
}

// KL(log p* of `define` || base) at alpha
static double kl_of(double plausible, double alpha, const float *base, const float *dpo,
                    const float *negative) {
    static double star[V], least[V];
    double kl = 0;
    define(plausible, alpha, base, dpo, negative, star);
    define(plausible, 0, base, dpo, negative, least);
    for (size_t v = 0; v < V; v++)
        if (isfinite(base[v])) kl += exp(star[v]) * (star[v] - least[v]);
    return kl;
}

// The composed row is K nats from its base in double, whichever of the models the base is.
static void alpha_of_kl(void **state) {
    (void)state;
    static float base[V], dpo[V], negative[V], out[V], again[V];
    static const double plausible[] = {0, 1e-3, 0.3}, K[] = {1e-3, 0.05, 0.5, 2, 6};
    for (int width = 0; width < 3; width++) { // how far the models are apart
        make(base, V, 1, 3);
        make(dpo, V, 2, width ? 0.3 : 3);
        make(negative, V, 3, width ? 0.3 : 3);
        for (size_t v = 0; width && v < V; v++) dpo[v] += base[v], negative[v] += base[v];
        for (size_t v = 0; v < V; v++)
            negative[v] = width == 2 ? dpo[v] + 1e-3f * negative[v] : negative[v];
        for (size_t v = V - 3; v < V; v++) base[v] = dpo[v] = negative[v] = -INFINITY;
        const float *bases[] = {base, dpo, negative};
        int bounds = 0, inside = 0;
        for (int b = 0; b < 3; b++)
            for (int p = 0; p < 3; p++) {
                double last = 0, tvd;
                for (int k = 0; k < 5; k++) {
                    struct teacher_rule r = {
                        .alpha = ALPHA_KL, .strength = K[k], .plausible = plausible[p]};
                    double alpha = teacher_star(&r, bases[b], dpo, negative, V, out, &tvd);
                    double kl = kl_of(plausible[p], alpha, bases[b], dpo, negative);
                    teacher_compose(&r, alpha, bases[b], dpo, negative, V, again);
                    assert_memory_equal(out, again, sizeof out);
                    assert_true(alpha >= last && alpha > 0); // more with K
                    last = alpha;
                    bounds += alpha == TEACHER_ALPHA_MOST;
                    inside += alpha < TEACHER_ALPHA_MOST;
                    if (alpha < TEACHER_ALPHA_MOST)
                        assert_true(near(kl, K[k], 2e-4 * K[k] + 2e-6));
                    else
                        assert_true(alpha == TEACHER_ALPHA_MOST && kl <= K[k] + 1e-5);
                }
            }
        assert_true(width == 2 ? bounds > 30 : inside > 25);
    }
    // nothing differs; one token has all of the difference and nearly all of the base; no numbers
    struct teacher_rule r = {.alpha = ALPHA_KL, .strength = 0.5};
    double tvd;
    make(base, V, 1, 3);
    assert_true(teacher_star(&r, base, base, base, V, out, &tvd) == TEACHER_ALPHA_MOST);
    for (size_t v = 0; v < V; v++)
        assert_true(near((double)out[v], (double)base[v] - lse(base, V), 2e-6));
    memcpy(dpo, base, sizeof base);
    dpo[7] = base[7] = 40;
    dpo[7] += 1;
    assert_true(teacher_star(&r, base, dpo, base, V, out, &tvd) == TEACHER_ALPHA_MOST);
    dpo[9] = NAN;
    assert_true(isnan(teacher_star(&r, base, dpo, base, V, out, &tvd)));
}

// The derivative that Newton's steps take, and that KL grows with alpha.
static void tilts(void **state) {
    (void)state;
    static const float logp[] = {-0.1f, -2.5f, -7}, d[] = {-1, 0.5f, 3};
    struct tilt t = {3, logp, d, 0.0122};
    double last = 0, variance, ignored;
    for (double alpha = 0.25; alpha < 32; alpha *= 2) {
        double kl = tilt_kl(&t, alpha, &variance), h = alpha / 256;
        double slope =
            (tilt_kl(&t, alpha + h, &ignored) - tilt_kl(&t, alpha - h, &ignored)) / (2 * h);
        assert_true(kl >= last);
        assert_true(near(slope, alpha * variance, 1e-3 * slope + 1e-5));
        last = kl;
    }
    assert_true(near(last, 7, 0.1)); // all on the last token
}

static void limits(void **state) { // p_dpo = p_neg, alpha -> 0, base = negative with alpha 1
    (void)state;
    static float base[V], dpo[V], out[V];
    make(base, V, 1, 2);
    make(dpo, V, 2, 2);
    double lb = lse(base, V), ld = lse(dpo, V);
    struct teacher_rule r = {.plausible = 1e-2};
    teacher_compose(&r, 7, base, dpo, dpo, V, out);
    for (size_t v = 0; v < V; v++) assert_true(near((double)out[v], (double)base[v] - lb, 2e-6));
    teacher_compose(&r, 1e-9, base, dpo, base, V, out);
    for (size_t v = 0; v < V; v++) assert_true(near((double)out[v], (double)base[v] - lb, 2e-6));
    r.plausible = 0;
    teacher_compose(&r, 1, base, dpo, base, V, out);
    for (size_t v = 0; v < V; v++) assert_true(near((double)out[v], (double)dpo[v] - ld, 2e-6));
    double entropy = 0;
    for (size_t v = 0; v < V; v++) entropy -= exp((double)dpo[v] - ld) * ((double)dpo[v] - ld);
    assert_true(near(teacher_entropy(out, V), entropy, 1e-5));
}

static int by_rank(const void *a, const void *b) {
    const struct teacher_entry *x = a, *y = b;
    if (x->logp != y->logp) return x->logp < y->logp ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static void check_cut(const float *logp, const struct teacher_cut *cut, int32_t realised) {
    static struct teacher_entry all[V], got[V + 2];
    bool in[V] = {0};
    double sum = 0, log_tail, tail = 0;
    size_t n = 0, want = 0;
    for (size_t v = 0; v < V; v++)
        if (logp[v] > -INFINITY) all[n++] = (struct teacher_entry){(int32_t)v, logp[v]};
    qsort(all, n, sizeof *all, by_rank);
    while (want < n && want < cut->top_k && (cut->mass >= 1 || sum < cut->mass))
        sum += exp((double)all[want++].logp);
    for (size_t i = 0; i < want; i++) in[all[i].id] = true;
    if (realised >= 0) in[realised] = true;
    if (cut->eos >= 0) in[cut->eos] = true;
    size_t m = teacher_truncate(cut, logp, V, realised, got, &log_tail), at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!in[all[i].id]) {
            tail += exp((double)all[i].logp);
            continue;
        }
        assert_true(at < m);
        assert_int_equal(got[at].id, all[i].id);
        assert_true(got[at].logp == all[i].logp);
        at++;
    }
    assert_int_equal(at, m);
    assert_true(near(log_tail, log(fmax(tail, 1e-30)), 1e-6));
}

static void truncation(void **state) {
    (void)state;
    static float z[V];
    static const size_t top[] = {1, 2, 64, 0, V, V + 100};
    static const double mass[] = {0.5, 0.9, 0.999, 1};
    struct teacher_rule r = {0};
    for (uint64_t salt = 0; salt < 8; salt++) {
        make(z, V, salt, 1 + (double)salt);
        for (size_t v = 0; v < V && salt % 2; v++) z[v] = roundf(z[v]); // many ties
        for (size_t v = 0; v < V && salt >= 6; v++)
            z[v] = salt == 6 ? 1 : 0.01f * (float)(v % 700); // ties alone, ascending numbers
        for (size_t v = V - 4; v < V; v++) z[v] = -INFINITY;
        teacher_compose(&r, 0, z, z, z, V, z);
        for (int t = 0; t < 6; t++)
            for (int k = 0; k < 4; k++) {
                struct teacher_cut cut = {.top_k = top[t], .mass = mass[k], .eos = 7};
                check_cut(z, &cut, (int32_t)(100 * salt));
                cut.eos = -1;
                check_cut(z, &cut, -1);
            }
    }
}

// A row composed and cut in one go has the numbers of the functions that do a part each.
static void check_row(const struct teacher_cut *cut, const struct teacher_rule *rule,
                      const float *dpo, const float *negative) {
    static float logp[V], p[2 * V], star[V];
    static struct teacher_entry want[V + 2], got[V + 2], taken[V + 2];
    static int32_t ids[V];
    struct teacher_composed row = {.logp = logp, .p = p};
    struct teacher_rest rest;
    double tvd, tvd_again, tail;
    double alpha = teacher_star(rule, dpo, dpo, negative, V, star, &tvd);
    size_t n = teacher_truncate(cut, star, V, 11, want, &tail);
    for (int take = 0; take < 2; take++) {
        assert_true(teacher_star_row(rule, dpo, dpo, negative, V, &row, &tvd_again) == alpha);
        assert_true(tvd_again == tvd && !memcmp(logp, star, sizeof star));
        for (size_t i = 0; i < n; i++) ids[i] = want[n - 1 - i].id;
        size_t m = take ? teacher_take_row(ids + 1, n - 1, (const int32_t[]){ids[0], -1}, &row, V,
                                           taken, &rest)
                        : teacher_truncate_row(cut, &row, V, 11, got, &rest);
        assert_int_equal(m, n);
        assert_memory_equal(take ? taken : got, want, n * sizeof *want);
        assert_memory_equal(logp, star, sizeof star);
        assert_true(near(rest.log_tail, tail, 2e-6));
        assert_true(near(rest.entropy, teacher_entropy(star, V), 2e-6 * (1 + rest.entropy)));
        assert_true(rest.log_most == teacher_most(star, V, want, n));
    }
}

static void whole_rows(void **state) {
    (void)state;
    static float a[V], b[V];
    for (uint64_t salt = 0; salt < 8; salt++) { // flat rows and sharp ones
        struct teacher_rule r = {
            .base_dpo = true, .alpha = ALPHA_TVD, .strength = salt < 4 ? 1 : 40};
        make(a, V, salt, 0.1 + 2 * (double)(salt % 4));
        make(b, V, 90 + salt, 1 + (double)(salt % 4));
        for (size_t v = 0; v < V; v++) b[v] = a[v] + b[v] / 4;
        a[V - 1] = b[V - 1] = -INFINITY;
        struct teacher_cut cut = {.top_k = 40, .mass = salt % 2 ? 1 : 0.95, .eos = 3};
        check_row(&cut, &r, a, b);
        cut.top_k = V;
        check_row(&cut, &r, a, b);
    }
}

static void truncation_by_hand(void **state) {
    (void)state;
    float logp[5];
    const double p[5] = {0.25, 0.1, 0.4, 0.25, 0};
    for (int i = 0; i < 5; i++) logp[i] = (float)log(p[i]);
    struct teacher_entry e[4];
    struct teacher_cut cut = {.top_k = 2, .mass = 0.999, .eos = -1};
    double tail;
    assert_int_equal(teacher_truncate(&cut, logp, 5, 3, e, &tail), 3);
    assert_true(e[0].id == 2 && e[1].id == 0 && e[2].id == 3);
    assert_true(near(tail, log(0.1), 1e-6));
    cut.mass = 0.3;
    assert_int_equal(teacher_truncate(&cut, logp, 5, 2, e, &tail), 1);
    assert_true(near(tail, log(0.6), 1e-6));
    struct teacher_entry all[7];
    cut = (struct teacher_cut){.top_k = 5, .mass = 1, .eos = 1};
    assert_int_equal(teacher_truncate(&cut, logp, 5, 2, all, &tail), 4); // padding never enters
    assert_true(near(tail, log(1e-30), 1e-5));
    const int32_t must[] = {1, 2};
    cut = (struct teacher_cut){.top_k = 5, .mass = 1, .eos = -1, .least = 0.3};
    assert_int_equal(teacher_truncate(&cut, logp, 5, 2, all, &tail), 1); // the others are too rare
    assert_true(near(tail, log(0.6), 1e-6));
    cut.least = 0.9;
    assert_int_equal(teacher_truncate(&cut, logp, 5, 2, all, &tail), 1); // the most likely stays
    cut.must = must;
    cut.n_must = 2;
    assert_int_equal(teacher_truncate(&cut, logp, 5, 2, all, &tail), 2);
    assert_true(all[0].id == 2 && all[1].id == 1 && near(tail, log(0.5), 1e-6));
    const float deep[4] = {0, -300, -90, -1500}; // the realised token is kept with its own value
    cut = (struct teacher_cut){.top_k = 1, .mass = 1, .eos = 3};
    assert_int_equal(teacher_truncate(&cut, deep, 4, 1, e, &tail), 3);
    assert_true(e[1].id == 1 && e[1].logp == -300 && e[2].id == 3 && e[2].logp == -1500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),        cmocka_unit_test(distance_and_alpha),
        cmocka_unit_test(composition), cmocka_unit_test(alpha_of_kl),
        cmocka_unit_test(tilts),       cmocka_unit_test(limits),
        cmocka_unit_test(truncation),  cmocka_unit_test(truncation_by_hand),
        cmocka_unit_test(whole_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

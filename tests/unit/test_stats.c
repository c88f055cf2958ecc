// Statistics against closed forms.
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/method/winrate.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool near(double a, double b, double tolerance) {
    if (fabs(a - b) <= tolerance) return true;
    print_message("%.12g is not %.12g (+- %g)\n", a, b, tolerance);
    return false;
}

static void moments(void **state) {
    (void)state;
    double x[] = {4, 1, 3, 2};
    assert_true(near(stats_mean(x, 4), 2.5, 0));
    assert_true(near(stats_deviation(x, 4), sqrt(5.0 / 3), 1e-15));
    assert_true(near(stats_standard_error(x, 4), sqrt(5.0 / 12), 1e-15));
    assert_true(isnan(stats_mean(x, 0)) && isnan(stats_standard_error(x, 1)));
    stats_sort(x, 4);
    assert_true(x[0] == 1 && x[3] == 4);
    assert_true(near(stats_quantile(x, 4, 0.5), 2.5, 1e-15));
    assert_true(near(stats_quantile(x, 4, 0.1), 1.3, 1e-15));
    assert_true(stats_quantile(x, 4, 1) == 4 && stats_quantile(x, 4, 0) == 1);
    assert_true(stats_quantile(x, 1, 0.7) == 1 && isnan(stats_quantile(x, 0, 0.5)));
}

static void win_rates(void **state) {
    (void)state;
    const double p[] = {1, 0.9, 0.5, 0.2, 0};
    struct win_rate w = winrate_plain(p, 5);
    assert_true(near(w.rate, 0.52, 1e-15) && near(w.discrete, 0.5, 1e-15));
    assert_true(w.wins == 2 && w.losses == 2 && w.draws == 1 && w.total == 5);
    assert_true(near(w.standard_error, sqrt(0.748 / 4 / 5), 1e-12));
}

static void logistic_closed_forms(void **state) {
    (void)state;
    // two groups: constant = logit of the first's mean, slope = difference of logits
    const double x[] = {1, 0, 1, 0, 1, 1, 1, 1, 1, 1}, y[] = {0.2, 0.4, 0.9, 1, 0.5};
    const double weight[] = {1, 1, 1, 2, 1};
    struct logistic_data d = {5, 2, x, y, weight, NULL, 0};
    double w[2], low = log(0.3 / 0.7), p = (0.9 + 2 + 0.5) / 4, high = log(p / (1 - p));
    assert_true(winrate_logistic(&d, w) < 1e-9);
    assert_true(near(w[0], low, 1e-9) && near(w[1], high - low, 1e-9));
    // labels may come as a linear term instead
    const double none[5] = {0}, linear[2] = {0.6 + 0.9 + 2 + 0.5, 0.9 + 2 + 0.5};
    struct logistic_data e = {5, 2, x, none, weight, linear, 0};
    double v[2];
    winrate_logistic(&e, v);
    assert_true(near(v[0], w[0], 1e-8) && near(v[1], w[1], 1e-8));
    // separable: finite with a ridge, w the root of n (1 - s) = ridge w
    const double ones[] = {1, 1, 1, 1, 1};
    struct logistic_data s = {5, 1, ones, ones, NULL, NULL, 1e-3};
    double u[1];
    winrate_logistic(&s, u);
    assert_true(near(5 / (1 + exp(u[0])), 1e-3 * u[0], 1e-9));
}

static void logistic_stationary(void **state) { // 1e-9 of gradient in a random fit far from 0
    (void)state;
    enum { N = 300, K = 5 };
    static double x[N * K], y[N];
    for (size_t i = 0; i < N * K; i++) x[i] = 3 * rng_normal(2, RNG_TEST, i, 0);
    for (size_t i = 0; i < N; i++)
        y[i] = rng_uniform(2, RNG_TEST, i, 1) < 1 / (1 + exp(-4 * x[i * K] + 2 * x[i * K + 1]));
    struct logistic_data d = {N, K, x, y, NULL, NULL, 1e-4};
    double w[K];
    assert_true(winrate_logistic(&d, w) < 1e-8);
    assert_true(w[0] > 1 && w[1] < -0.5);
}

static void length_control(void **state) {
    (void)state;
    enum { N = 4000 };
    static double p[N], q[N], length[N], difficulty[N];
    double deviation, w0 = -1.5, w1 = 0.8, w2 = -0.4, expect = 0;
    for (size_t i = 0; i < N; i++) {
        length[i] = 500 * rng_normal(3, RNG_TEST, i, 0) - 300; // the model is longer
        difficulty[i] = rng_normal(3, RNG_TEST, i, 1);
    }
    deviation = stats_deviation(length, N);
    for (size_t i = 0; i < N; i++) { // exact probabilities as soft labels
        double t = tanh(length[i] / deviation);
        p[i] = 1 / (1 + exp(-(w0 * t + w1 * difficulty[i] + w2)));
        q[i] = 1 / (1 + exp(-(w0 * t + w2)));
        expect += 1 / (1 + exp(-(w1 * difficulty[i] + w2))) / N;
    }
    struct length_control r = winrate_length_control(p, length, difficulty, N, NULL);
    assert_true(near(r.rate, expect, 1e-6) && near(r.length, w0, 1e-4));
    assert_true(near(r.difficulty, w1, 1e-4) && near(r.constant, w2, 1e-4));
    assert_true(winrate_plain(p, N).rate > r.rate + 0.05); // what length had earned
    r = winrate_length_control(q, length, NULL, N, NULL);
    assert_true(near(r.rate, 1 / (1 + exp(-w2)), 1e-6) && r.difficulty == 0);
    // sqrt(s (1 - s) / n) at the least, as for a known length effect
    assert_true(r.fit_error > 0.9 * sqrt(0.24 / N) && r.fit_error < 0.02);
    struct gamed_moments same = {0, 0, 50}; // of rows that obey the same weights: nothing changes
    for (size_t i = 0; i < 2 * N; i++) {
        double t = i < N ? 0.6 : -0.6, d = difficulty[i % N];
        double s = 1 / (1 + exp(-(w0 * t + w1 * d)));
        same.length += t * s;
        same.difficulty += d * s;
    }
    struct length_control fit = winrate_length_control(p, length, difficulty, N, &same);
    assert_true(near(fit.rate, expect, 1e-6) && near(fit.length, w0, 1e-4));
    assert_true(near(fit.difficulty, w1, 1e-4) && near(fit.constant, w2, 1e-4));
    struct gamed_moments heavy = {0, 0, 1e6}; // moments 0 pull both weights to theirs
    r = winrate_length_control(p, length, difficulty, N, &heavy);
    assert_true(fabs(r.length - w0) > 1);
    for (size_t i = 0; i < N; i++) length[i] = 7; // all alike: the plain rate
    r = winrate_length_control(q, length, NULL, N, NULL);
    assert_true(near(r.rate, stats_mean(q, N), 1e-6));
}

static void correlation(void **state) { // by hand: deviations (-1,0,1), (-2,1,1): r = 3 / sqrt(12)
    (void)state;
    struct paired_sums s = {0}, constant = {0};
    static const double x[] = {4, 5, 6}, y[] = {1, 4, 4};
    assert_true(isnan(stats_correlation(&s)));
    for (int i = 0; i < 3; i++) stats_pair(&s, x[i], y[i]), stats_pair(&constant, 2, y[i]);
    assert_true(fabs(stats_correlation(&s) - 3 / sqrt(12)) < 1e-12);
    assert_true(isnan(stats_correlation(&constant)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlation),         cmocka_unit_test(moments),
        cmocka_unit_test(win_rates),           cmocka_unit_test(logistic_closed_forms),
        cmocka_unit_test(logistic_stationary), cmocka_unit_test(length_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

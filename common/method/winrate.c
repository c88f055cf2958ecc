#include "common/method/winrate.h"
#include "common/base/mem.h"
#include "common/base/stats.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct win_rate winrate_plain(const double *preference, size_t n) {
    struct win_rate w = {.total = n};
    for (size_t i = 0; i < n; i++) {
        w.wins += preference[i] > 0.5;
        w.losses += preference[i] < 0.5;
        w.draws += preference[i] == 0.5;
    }
    w.rate = stats_mean(preference, n);
    w.standard_error = stats_standard_error(preference, n);
    w.discrete = n ? ((double)w.wins + 0.5 * (double)w.draws) / (double)n : NAN;
    return w;
}

struct normal_equations {
    double value, gradient[WINRATE_FEATURES], hessian[WINRATE_FEATURES][WINRATE_FEATURES];
};

static double softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sigmoid(double x) {
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static void add_row(struct normal_equations *e, const double *x, double y, double weight,
                    const double *w, size_t k) {
    double z = 0;
    for (size_t i = 0; i < k; i++) z += x[i] * w[i];
    double s = sigmoid(z), curve = weight * s * (1 - s);
    e->value += weight * (y * z - softplus(z));
    for (size_t i = 0; i < k; i++) {
        e->gradient[i] += weight * (y - s) * x[i];
        for (size_t j = 0; j < k; j++) e->hessian[i][j] += curve * x[i] * x[j];
    }
}

static struct normal_equations evaluate(const struct logistic_data *d, const double *w) {
    struct normal_equations e = {0};
    for (size_t i = 0; i < d->n; i++)
        add_row(&e, d->x + i * d->k, d->y[i], d->weight ? d->weight[i] : 1, w, d->k);
    for (size_t i = 0; i < d->k; i++) {
        double linear = d->linear ? d->linear[i] : 0;
        e.value += w[i] * (linear - 0.5 * d->ridge * w[i]);
        e.gradient[i] += linear - d->ridge * w[i];
        e.hessian[i][i] += d->ridge;
    }
    return e;
}

// Solves a x = b (k) by Cholesky; a must be positive definite.
static bool solve(const double a[WINRATE_FEATURES][WINRATE_FEATURES], const double *b, size_t k,
                  double *x) {
    double l[WINRATE_FEATURES][WINRATE_FEATURES];
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (size_t m = 0; m < j; m++) sum -= l[i][m] * l[j][m];
            if (i == j && !(sum > 0)) return false;
            l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
        }
    for (size_t i = 0; i < k; i++) {
        x[i] = b[i];
        for (size_t m = 0; m < i; m++) x[i] -= l[i][m] * x[m];
        x[i] /= l[i][i];
    }
    for (size_t i = k; i-- > 0;) {
        for (size_t m = i + 1; m < k; m++) x[i] -= l[m][i] * x[m];
        x[i] /= l[i][i];
    }
    return true;
}

static double largest(const double *x, size_t k) {
    double most = 0;
    for (size_t i = 0; i < k; i++) most = fmax(most, fabs(x[i]));
    return most;
}

// Whether a step was worth taking; near the maximum only the gradient still tells.
static bool is_better(const struct normal_equations *after, const struct normal_equations *before,
                      size_t k) {
    return after->value > before->value ||
           largest(after->gradient, k) < largest(before->gradient, k);
}

double winrate_logistic(const struct logistic_data *d, double *w) {
    assert(d->k <= WINRATE_FEATURES);
    memset(w, 0, d->k * sizeof *w);
    struct normal_equations e = evaluate(d, w);
    for (int step = 0; step < 100 && largest(e.gradient, d->k) > 1e-10; step++) {
        double move[WINRATE_FEATURES], next[WINRATE_FEATURES];
        if (!solve(e.hessian, e.gradient, d->k, move)) break;
        struct normal_equations after = e;
        double part = 1;
        do { // the objective is concave: halve until it does not fall
            for (size_t i = 0; i < d->k; i++) next[i] = w[i] + part * move[i];
            after = evaluate(d, next);
            part /= 2;
        } while (!is_better(&after, &e, d->k) && part > 1e-12);
        if (!is_better(&after, &e, d->k)) break; // as good as rounding allows
        memcpy(w, next, d->k * sizeof *w);
        e = after;
    }
    return largest(e.gradient, d->k);
}

// Length terms of the gamed rows, not published row by row: one row at +SPREAD (concise) and one at
// -SPREAD (verbose) for each instruction, the value that fits the published weights of 40 models.
static const double gamed_spread = 0.6;

static void gamed_rows(double *x, double *y, double *weight, const double *difficulty, size_t n,
                       double lambda) {
    for (size_t i = 0; i < 2 * n; i++) {
        x[3 * i] = i < n ? gamed_spread : -gamed_spread;
        x[3 * i + 1] = difficulty[i % n];
        x[3 * i + 2] = 0; // no constant: these are the baseline itself
        y[i] = 0;         // the labels enter through their moments
        weight[i] = lambda / 2;
    }
}

// Standard error of the mean prediction at zero length difference.
static double mean_error(const struct logistic_data *d, const double *w, size_t n) {
    struct normal_equations e = evaluate(d, w);
    double slope[WINRATE_FEATURES] = {0}, x[WINRATE_FEATURES], variance = 0;
    for (size_t i = 0; i < n; i++) {
        double s = sigmoid(w[1] * d->x[3 * i + 1] + w[2]);
        slope[1] += s * (1 - s) * d->x[3 * i + 1] / (double)n;
        slope[2] += s * (1 - s) / (double)n;
    }
    if (!solve(e.hessian, slope, 3, x)) return NAN;
    for (int i = 0; i < 3; i++) variance += slope[i] * x[i];
    return sqrt(variance);
}

struct length_control winrate_length_control(const double *preference,
                                             const double *length_difference,
                                             const double *difficulty, size_t n,
                                             const struct gamed_moments *gamed) {
    assert(!gamed || difficulty);
    size_t rows = gamed ? 3 * n : n;
    double *x = xcalloc(3 * rows, sizeof *x), *y = xcalloc(rows, sizeof *y);
    double *weight = xcalloc(rows, sizeof *weight);
    double deviation = stats_deviation(length_difference, n), w[3], linear[3] = {0};
    for (size_t i = 0; i < n; i++) {
        x[3 * i] = deviation > 0 ? tanh(length_difference[i] / deviation) : 0;
        x[3 * i + 1] = difficulty ? difficulty[i] : 0;
        x[3 * i + 2] = 1;
        y[i] = preference[i];
        weight[i] = 1;
    }
    if (gamed) {
        gamed_rows(x + 3 * n, y + n, weight + n, difficulty, n, gamed->lambda);
        linear[0] = gamed->lambda / 2 * gamed->length;
        linear[1] = gamed->lambda / 2 * gamed->difficulty;
    }
    struct logistic_data d = {rows, 3, x, y, weight, linear, 1e-4};
    winrate_logistic(&d, w);
    double *equal = xcalloc(n, sizeof *equal); // predictions at equal lengths
    for (size_t i = 0; i < n; i++) equal[i] = sigmoid(w[1] * x[3 * i + 1] + w[2]);
    struct length_control r = {.rate = stats_mean(equal, n),
                               .standard_error = stats_standard_error(equal, n),
                               .fit_error = mean_error(&d, w, n),
                               .length = w[0],
                               .difficulty = w[1],
                               .constant = w[2]};
    free(equal);
    free(x);
    free(y);
    free(weight);
    return r;
}

#include "common/method/arena.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/method/winrate.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool arena_label(const char *label, double *outcome, bool *strong) {
    static const struct {
        const char *label;
        double outcome;
        bool strong;
    } labels[] = {{"A>>B", 0, true}, {"A>B", 0, false},  {"A=B", 0.5, false}, {"B>A", 1, false},
                  {"B>>A", 1, true}, {"A<B", 1, false},  {"A<<B", 1, true},   {"B<A", 0, false},
                  {"B<<A", 0, true}, {"B=A", 0.5, false}};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (!strcmp(labels[i].label, label)) {
            *outcome = labels[i].outcome;
            *strong = labels[i].strong;
            return true;
        }
    return false;
}

struct design { // of the regression: one row a battle
    size_t n, k, models, styles;
    double *x, *y, *weight; // (n,k), (n), (n)
    double ridge, scale;    // scale: of a model's column
};

// ---- style

static bool controlled(const struct arena_rules *r, size_t style) {
    return style ? r->markdown : r->length;
}

static double style_difference(const struct arena_battle *b, enum arena_version version,
                               size_t style) {
    double ours = b->ours[style], theirs = b->baseline[style], floor = 1;
    if (version == ARENA_V2 && style) { // a token
        ours /= b->ours[0];
        theirs /= b->baseline[0];
    }
    if (version == ARENA_V2 && !style) floor = 0;
    double sum = ours + theirs + floor;
    return sum > 0 ? (ours - theirs) / sum : 0;
}

// The column of one style, to mean 0 and deviation 1. A style that never differs stays 0.
static void style_column(const struct arena_battle *b, enum arena_version version, size_t style,
                         const struct design *d, size_t column) {
    double *value = xmalloc(d->n * sizeof *value);
    for (size_t i = 0; i < d->n; i++) value[i] = style_difference(&b[i], version, style);
    double mean = stats_mean(value, d->n), deviation = stats_deviation(value, d->n);
    if (version == ARENA_V01 && d->n > 1) deviation *= sqrt((double)(d->n - 1) / (double)d->n);
    for (size_t i = 0; i < d->n; i++)
        d->x[i * d->k + column] = deviation > 0 ? (value[i] - mean) / deviation : 0;
    free(value);
}

// ---- the regression

// Columns: the models; with a ridge the baseline too (it has a rating to be shrunk); the styles.
static struct design design_new(const struct arena_battle *b, size_t n, size_t models,
                                const struct arena_rules *r) {
    struct design d = {.n = n, .models = models, .ridge = 0, .scale = 1};
    for (size_t s = 0; s < ARENA_STYLES; s++) d.styles += controlled(r, s);
    bool ridge = r->version == ARENA_V01 && d.styles;
    size_t first_style = models + ridge;
    d.k = first_style + d.styles;
    assert(d.k <= WINRATE_FEATURES);
    d.x = xcalloc(n * d.k, sizeof *d.x);
    d.y = xmalloc(n * sizeof *d.y);
    d.weight = xmalloc(n * sizeof *d.weight);
    if (ridge) {
        d.ridge = 1;
        d.scale = log(10);
    }
    for (size_t i = 0; i < n; i++) {
        d.x[i * d.k + b[i].model] = d.scale;
        if (ridge) d.x[i * d.k + models] = -d.scale;
        d.y[i] = b[i].outcome;
        d.weight[i] = ridge ? 2 : 1;
    }
    for (size_t s = 0, column = first_style; s < ARENA_STYLES; s++)
        if (controlled(r, s)) style_column(b, r->version, s, &d, column++);
    return d;
}

static void design_release(struct design *d) {
    free(d->x);
    free(d->y);
    free(d->weight);
}

// rate (models): predicted wins over the baseline at the mean style. w (k): the coefficients.
static void fit(const struct design *d, const double *weight, double *rate, double *w) {
    struct logistic_data data = {d->n, d->k, d->x, d->y, weight, NULL, d->ridge};
    winrate_logistic(&data, w);
    double baseline = d->ridge > 0 ? w[d->models] : 0;
    for (size_t m = 0; m < d->models; m++) rate[m] = 1 / (1 + exp(-d->scale * (w[m] - baseline)));
}

// Without a style the models' ratings do not touch: the likelihood's maximum is the mean outcome.
static void means(const struct design *d, const struct arena_battle *b, const double *weight,
                  double *rate) {
    double *total = xcalloc(d->models, sizeof *total);
    memset(rate, 0, d->models * sizeof *rate);
    for (size_t i = 0; i < d->n; i++) {
        rate[b[i].model] += weight[i] * b[i].outcome;
        total[b[i].model] += weight[i];
    }
    for (size_t m = 0; m < d->models; m++) rate[m] /= total[m]; // NaN: no battle
    free(total);
}

static void estimate(const struct design *d, const struct arena_battle *b, const double *weight,
                     double *rate, double *w) {
    if (!d->styles) {
        means(d, b, weight, rate);
        return;
    }
    double *seen = xmalloc(d->models * sizeof *seen);
    fit(d, weight, rate, w);
    means(d, b, weight, seen);
    for (size_t m = 0; m < d->models; m++)
        if (isnan(seen[m])) rate[m] = NAN;
    free(seen);
}

// ---- the bootstrap

// Battles drawn with replacement; v2 without style draws within each model's own.
static void draw(const struct design *d, const struct arena_battle *b, const struct arena_rules *r,
                 size_t round, double *weight) {
    bool within = r->version == ARENA_V2 && !d->styles;
    for (size_t i = 0; i < d->n; i++) weight[i] = 0;
    for (size_t m = 0; m < (within ? d->models : 1); m++) {
        size_t count = 0, *index = xmalloc(d->n * sizeof *index);
        for (size_t i = 0; i < d->n; i++)
            if (!within || b[i].model == m) index[count++] = i;
        for (size_t i = 0; i < count; i++) {
            double u = rng_uniform(r->seed, RNG_BOOTSTRAP, round, index[i]);
            weight[index[(size_t)(u * (double)count)]] += d->weight[0];
        }
        free(index);
    }
}

static void interval(double *rates, size_t rounds, enum arena_version version,
                     struct arena_score *s) {
    double tail = version == ARENA_V01 ? 0.025 : 0.05;
    size_t n = 0;
    for (size_t i = 0; i < rounds; i++)
        if (!isnan(rates[i])) rates[n++] = rates[i];
    stats_sort(rates, n);
    s->lower = stats_quantile(rates, n, tail);
    s->upper = stats_quantile(rates, n, 1 - tail);
}

void arena_scores(const struct arena_battle *b, size_t n, size_t models,
                  const struct arena_rules *rules, struct arena_score *score,
                  double style[ARENA_STYLES]) {
    struct design d = design_new(b, n, models, rules);
    double *rate = xmalloc(models * sizeof *rate), *weight = xmalloc(n * sizeof *weight);
    double *rounds = xmalloc((models * rules->rounds + 1) * sizeof *rounds); // (models,rounds)
    double w[WINRATE_FEATURES];
    estimate(&d, b, d.weight, rate, w);
    for (size_t m = 0; m < models; m++) score[m] = (struct arena_score){rate[m], NAN, NAN};
    for (size_t s = 0, column = d.k - d.styles; s < ARENA_STYLES; s++)
        style[s] = controlled(rules, s) ? w[column++] : NAN;
    for (size_t i = 0; i < rules->rounds; i++) {
        draw(&d, b, rules, i, weight);
        estimate(&d, b, weight, rate, w);
        for (size_t m = 0; m < models; m++) rounds[m * rules->rounds + i] = rate[m];
    }
    for (size_t m = 0; m < models; m++)
        interval(rounds + m * rules->rounds, rules->rounds, rules->version, &score[m]);
    free(rate);
    free(weight);
    free(rounds);
    design_release(&d);
}

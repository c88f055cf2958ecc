#include "formats/teachers/teacher_components.h"
#include "common/base/jsonout.h"
#include "common/engine/rowmath.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- the grid

bool teacher_grid_parse(const char *text, struct teacher_grid *g) {
    *g = (struct teacher_grid){0};
    for (const char *at = text; *at;) {
        char *end;
        double x = strtod(at, &end);
        bool fits = end != at && isfinite(x) && x >= 0 && g->n < GRID_MOST &&
                    (!g->n || x > g->alpha[g->n - 1]) && (!*end || (*end == ',' && end[1]));
        if (!fits) return false;
        g->alpha[g->n++] = x;
        at = *end ? end + 1 : end;
    }
    return g->n >= 3;
}

char *teacher_grid_text(const struct teacher_grid *g) {
    struct str s = {0};
    for (size_t i = 0; i < g->n; i++) {
        char digits[32];
        jsonout_digits(g->alpha[i], digits);
        str_printf(&s, "%s%s", i ? "," : "", digits);
    }
    return s.text;
}

struct teacher_grid teacher_grid_around(double strength) {
    double S = strength > 0 ? strength : 1;
    return (struct teacher_grid){7, {0, S / 8, S / 4, S / 2, S, 1.5 * S, 2 * S}};
}

bool teacher_grid_covers(const struct teacher_grid *g, const struct teacher_rule *rule, double *low,
                         double *high) {
    double a = teacher_alpha(rule, 0), b = teacher_alpha(rule, 1), slack = 1e-3 + 1e-12;
    *low = fmin(a, b);
    *high = fmax(a, b);
    return *low >= g->alpha[0] && *high <= g->alpha[g->n - 1] + slack;
}

// ---- composition

// x (n) = (1 - w) low + w high from `at` on
static void mix(const struct teacher_components *p, size_t at, size_t n, double w, float *x) {
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((1 - w) * (double)p->low[at + i] + w * (double)p->high[at + i]);
}

// log of the sum of exp u over the support
static double mix_lse(const struct teacher_components *p, size_t n, double w) {
    float x[ROW_BLOCK], most = -INFINITY;
    double sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t at = 0; at < n; at += ROW_BLOCK) {
            size_t m = n - at < ROW_BLOCK ? n - at : ROW_BLOCK;
            mix(p, at, m, w, x);
            if (pass)
                sum += row_sum_exp(x, m, most);
            else
                most = fmaxf(most, row_max(x, m));
        }
    return (double)most + log(sum);
}

static double share_of_grid(const struct teacher_grid *g, double alpha) {
    return (alpha - g->alpha[0]) / (g->alpha[g->n - 1] - g->alpha[0]);
}

// The line through grid points i and i + 1 at alpha.
static double chord(const struct teacher_grid *g, const double *t, size_t i, double alpha) {
    double w = (alpha - g->alpha[i]) / (g->alpha[i + 1] - g->alpha[i]);
    return (1 - w) * t[i] + w * t[i + 1];
}

// t at alpha from its values at grid points first .. end - 1; cell: alpha lies after grid point
// `cell`. within: what convexity leaves.
static double interpolate(const struct teacher_grid *g, const double *t, size_t first, size_t end,
                          size_t cell, double alpha, double within[2]) {
    double sum = 0;
    within[1] = chord(g, t, cell, alpha);
    within[0] = -INFINITY;
    if (cell > first) within[0] = chord(g, t, cell - 1, alpha);
    if (cell + 2 < end) within[0] = fmax(within[0], chord(g, t, cell + 1, alpha));
    within[0] = fmin(within[0], within[1]); // what is coded may be a little off
    for (size_t i = first; i < end; i++) {
        double weight = 1;
        for (size_t k = first; k < end; k++)
            if (k != i) weight *= (alpha - g->alpha[k]) / (g->alpha[i] - g->alpha[k]);
        sum += weight * t[i];
    }
    if (alpha > g->alpha[g->n - 1]) return sum; // at most 0.001 further: no bracket there
    return fmin(fmax(sum, within[0]), within[1]);
}

// log Q from the logarithm of the odds Q / (1 - Q)
static double log_of_odds(double odds) {
    return odds > 0 ? -log1p(exp(-odds)) : odds - log1p(exp(odds));
}

void teacher_components_compose(const struct teacher_grid *g, const struct teacher_components *p,
                                size_t n, double alpha, float *logp, float *log_tail,
                                double bracket[2]) {
    double t[GRID_MOST], within[2], w = share_of_grid(g, alpha), lse = mix_lse(p, n, w);
    size_t cell = 0;
    while (cell + 2 < g->n && alpha >= g->alpha[cell + 1]) cell++;
    size_t end = cell < 2 ? 4 : cell + 3; // of the four nearest grid points
    end = end < g->n ? end : g->n;
    size_t first = end > 4 ? end - 4 : 0;
    for (size_t i = first; i < end; i++) {
        double tail = fmin((double)p->tail[i], -1e-9); // Q < 1
        t[i] = tail - log1p(-exp(tail)) + mix_lse(p, n, share_of_grid(g, g->alpha[i]));
    }
    double odds = interpolate(g, t, first, end, cell, alpha, within) - lse;
    double tail = log_of_odds(odds), scale = log_of_odds(-odds) - lse;
    *log_tail = fmaxf((float)tail, ROW_LOG_FLOOR);
    for (size_t at = 0; at < n; at += ROW_BLOCK) {
        size_t m = n - at < ROW_BLOCK ? n - at : ROW_BLOCK;
        mix(p, at, m, w, logp + at);
        for (size_t i = at; i < at + m; i++) logp[i] += (float)scale;
    }
    for (int k = 0; bracket && k < 2; k++) bracket[k] = log_of_odds(within[k] - lse);
}

// ---- levels

static const struct table {
    int bits;
    double first, power, k;
} tables[] = {{16, 1. / 16384, 0.5, 4000},
              {12, 1. / 500, 0.75, 40},
              {8, 1. / 72, 0.5, 18},
              {6, 1. / 12, 0.5, 6}};
static const double deepest = 2000;

static double step_at(const struct table *t, double x) {
    return fmin(t->first * exp(t->power * x), (1 + x) / t->k);
}

float *teacher_components_levels(int bits, size_t *n) {
    const struct table *t = NULL;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i].bits == bits) t = &tables[i];
    *n = 0;
    if (!t) return NULL;
    float *level = xmalloc(((size_t)1 << bits) * sizeof *level);
    double x = 0;
    for (;;) {
        assert(*n < (size_t)1 << bits);
        level[(*n)++] = (float)-x;
        if (x >= deepest) break;
        x += step_at(t, x);
    }
    return level;
}

double teacher_components_error(int bits, double logp) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i].bits == bits) return step_at(&tables[i], logp < 0 ? -logp : 0) / 2;
    return 0;
}

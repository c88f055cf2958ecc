#include "common/base/stats.h"
#include "stages/shared/plot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Further from the median than this many median deviations is out of the picture.
static const double FAR = 5;

static size_t usable(const struct plot_axis *a, const double *value, size_t n, double *to) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        double v = a->log ? (value[i] > 0 ? log10(value[i]) : (double)NAN) : value[i];
        if (isfinite(v)) to[used++] = v;
    }
    stats_sort(to, used);
    return used;
}

// Cuts sorted v to the bulk; ends that are near it stay.
static void find_bulk(struct plot_axis *a, const double *v, size_t n) {
    double middle = stats_quantile(v, n, 0.5), *away = xmalloc(n * sizeof *away);
    for (size_t i = 0; i < n; i++) away[i] = fabs(v[i] - middle);
    stats_sort(away, n);
    double reach = FAR * stats_quantile(away, n, 0.5);
    free(away);
    if (!(reach > 0)) return;
    size_t first = 0, last = n - 1;
    while (v[first] < middle - reach) first++;
    while (v[last] > middle + reach) last--;
    a->cut = first > 0 || last + 1 < n;
    a->low = v[first];
    a->high = v[last];
}

bool plot_axis_fit(struct plot_axis *a, const double *value, size_t n, bool zoom) {
    double *v = xmalloc((n + 1) * sizeof *v);
    size_t used = usable(a, value, n, v);
    a->cut = false;
    if (used) {
        a->low = v[0];
        a->high = v[used - 1];
        if (zoom) find_bulk(a, v, used);
        double margin = (a->high - a->low) * 0.05;
        if (!(margin > 0)) margin = a->log ? 0.3 : fmax(fabs(a->high) * 0.1, 1e-3);
        // a quantity that is never negative keeps its zero at the edge
        bool positive = !a->log && a->low >= 0;
        a->low = positive ? fmax(0, a->low - margin) : a->low - margin;
        a->high += margin;
    }
    free(v);
    return used > 0;
}

void plot_axis_hold(struct plot_axis *a, double value) {
    double v = a->log ? (value > 0 ? log10(value) : (double)NAN) : value, margin;
    if (!isfinite(v)) return;
    margin = (a->high - a->low) * 0.03;
    if (v < a->low) a->low = v - margin;
    if (v > a->high) a->high = v + margin;
}

void plot_axis_hold_errors(struct plot_axis *a, const double *value, const double *low,
                           const double *high, size_t n) {
    struct plot_axis before = *a;
    before.from = 0;
    before.to = 1;
    for (size_t i = 0; i < n; i++) {
        double at = plot_axis_place(&before, value[i]);
        if (!(at >= 0 && at <= 1)) continue;
        if (low) plot_axis_hold(a, low[i]);
        if (high) plot_axis_hold(a, high[i]);
    }
}

bool plot_axis_gains(const struct plot_axis *whole, const struct plot_axis *bulk) {
    return whole->high - whole->low >= 1.6 * (bulk->high - bulk->low);
}

double plot_axis_place(const struct plot_axis *a, double value) {
    if (a->log) value = value > 0 ? log10(value) : (double)NAN;
    if (!isfinite(value)) return NAN;
    return a->from + (a->to - a->from) * (value - a->low) / (a->high - a->low);
}

static void add_tick(struct plot_ticks *t, double at, int decimals) {
    if (t->n == sizeof t->at / sizeof *t->at) return;
    t->at[t->n] = at;
    if (fabs(at) < 1e-12) at = 0;
    if (at && (fabs(at) >= 1e6 || fabs(at) < 1e-4))
        snprintf(t->text[t->n], sizeof *t->text, "%.3g", at);
    else
        snprintf(t->text[t->n], sizeof *t->text, "%.*f", decimals, at);
    t->n++;
}

static void linear_ticks(double low, double high, size_t wanted, struct plot_ticks *t) {
    double rough = (high - low) / (double)wanted, unit = pow(10, floor(log10(rough)));
    double step = rough <= 1.5 * unit   ? unit
                  : rough <= 3.5 * unit ? 2 * unit
                  : rough <= 7.5 * unit ? 5 * unit
                                        : 10 * unit;
    int decimals = (int)fmax(0, ceil(-log10(step) - 1e-9));
    for (double k = ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
        add_tick(t, k * step, decimals);
}

static int decimals_of(double v) { // of 1, 2 or 5 times a power of ten
    return (int)fmax(0, -floor(log10(v) + 1e-9));
}

void plot_axis_ticks(const struct plot_axis *a, size_t wanted, struct plot_ticks *t) {
    t->n = 0;
    if (!a->log) {
        linear_ticks(a->low, a->high, wanted, t);
        return;
    }
    static const double within[] = {1, 2, 5};
    size_t each = a->high - a->low < 2 ? 3 : 1; // of `within`
    double every = fmax(1, ceil((a->high - a->low) / (double)wanted / 1.5));
    for (double e = floor(a->low); e <= a->high; e += every)
        for (size_t i = 0; i < each; i++) {
            double v = within[i] * pow(10, e), at = log10(v);
            if (at >= a->low && at <= a->high) add_tick(t, v, decimals_of(v));
        }
    if (t->n > 1) return;
    t->n = 0; // less than a tick of these: evenly between the ends
    linear_ticks(pow(10, a->low), pow(10, a->high), wanted, t);
}

void plot_number(char text[32], double value) {
    double size = fabs(value);
    if (size >= 1e6 || (size > 0 && size < 1e-3))
        snprintf(text, 32, "%.3g", value);
    else
        snprintf(text, 32, "%.*f",
                 size >= 1000 || value == rint(value) ? 0
                 : size >= 20                         ? 1
                 : size >= 1                          ? 2
                                                      : 3,
                 value);
}

int plot_decimals(const double *value, const double *error, size_t n) {
    double *off = xmalloc((n + 1) * sizeof *off), most = 0, usual = 0;
    size_t errors = 0;
    bool whole = true;
    for (size_t i = 0; i < n; i++) {
        if (error && error[i] > 0 && isfinite(error[i])) off[errors++] = error[i];
        if (!isfinite(value[i])) continue;
        most = fmax(most, fabs(value[i]));
        whole = whole && value[i] == rint(value[i]);
    }
    stats_sort(off, errors);
    if (errors) usual = stats_quantile(off, errors, 0.5);
    free(off);
    if (errors) return (int)fmin(9, fmax(0, -floor(log10(usual / 2.5))));
    if (whole || most >= 1000) return 0;
    return most >= 20 ? 1 : most >= 1 ? 2 : most >= 0.01 ? 3 : 5;
}

void plot_number_with_error(char text[72], double value, double low, double high) {
    double error = (high - low) / 2;
    if (!(error > 0) || !isfinite(error)) {
        plot_number(text, value);
        return;
    }
    int decimals = plot_decimals(&value, &error, 1);
    snprintf(text, 72, "%.*f ± %.*f", decimals, value, decimals, error);
}

double plot_text_width(const char *text, double size) {
    size_t n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80; // characters of UTF-8
    return (double)n * size * 0.6;
}

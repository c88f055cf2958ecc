// A row for each category: its name, a bar (or a dot) with its error, and in a column at the right
// the number. So names of any length are read without turning one's head, and nothing hides a bar.
#include "stages/shared/html.h"
#include "stages/shared/plot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FONT = 13, ROW = 26, NAMES = 190, GAP = 10, BELOW = 42 };

// Errors are half of what lies between the ends; NaN: none.
static double error_of(const struct plot_series *s, size_t i) {
    return s->low && s->high ? (s->high[i] - s->low[i]) / 2 : (double)NAN;
}

static int decimals_of(const struct plot_series *s) {
    double *error = xmalloc((s->n + 1) * sizeof *error);
    for (size_t i = 0; i < s->n; i++) error[i] = error_of(s, i);
    int decimals = plot_decimals(s->y, error, s->n);
    free(error);
    return decimals;
}

static void number_of(const struct plot_series *s, size_t i, int decimals, char text[72]) {
    double error = error_of(s, i);
    if (error > 0)
        snprintf(text, 72, "%.*f ± %.*f", decimals, s->y[i], decimals, error);
    else
        snprintf(text, 72, "%.*f", decimals, s->y[i]);
}

static bool fit(const struct plot *p, struct plot_axis *a) {
    const struct plot_series *s = p->series;
    struct plot_axis bulk = *a;
    bool any = plot_axis_fit(a, s->y, s->n, false);
    if (any) plot_axis_hold(a, p->base);
    if (any) plot_axis_hold_errors(a, s->y, s->low, s->high, s->n);
    if (!any || !p->zoom) return any;
    plot_axis_fit(&bulk, s->y, s->n, true);
    plot_axis_hold(&bulk, p->base);
    plot_axis_hold_errors(&bulk, s->y, s->low, s->high, s->n);
    if (plot_axis_gains(a, &bulk)) *a = bulk;
    return true;
}

// A name cut to what has room; the whole one is in its <title>.
static void put_name(const char *name, double at, double y, struct str *to) {
    struct str cut = {0};
    size_t n = strlen(name);
    str_puts(&cut, name);
    while (plot_text_width(cut.text, FONT) > NAMES) {
        do n--;
        while (n && ((unsigned char)name[n] & 0xC0) == 0x80);
        cut.length = 0;
        str_add(&cut, name, n);
        str_puts(&cut, "…");
    }
    plot_text(to, at, y, "end", "name", cut.text);
    str_release(&cut);
}

static double clamp(const struct plot_axis *a, double at) {
    return fmin(fmax(at, a->from), a->to);
}

// The bar or dot, or where the value lies outside an arrow at the edge.
static void put_shape(const struct plot_axis *a, double base, double at, double y, struct str *to) {
    double inside = clamp(a, at);
    if (at != inside)
        str_printf(to, "<path class=\"outside\" d=\"M%.1f %.1fl%d -5v10z\" fill=\"currentColor\">",
                   inside, y, at < inside ? 9 : -9);
    else if (isfinite(base))
        str_printf(to,
                   "<path class=\"bar\" d=\"M%.1f %.1fH%.1fv16H%.1fz\" fill=\"currentColor\" "
                   "fill-opacity=\".75\">",
                   base, y - 8, at, base);
    else
        str_printf(to,
                   "<path class=\"ring\" d=\"M%.1f %.1fa4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z\" "
                   "fill=\"currentColor\">",
                   at - 4.5, y);
}

static void put_row(const struct plot *p, const struct plot_axis *a, size_t i, double y,
                    struct str *to) {
    const struct plot_series *s = p->series;
    double at = plot_axis_place(a, s->y[i]), low = at, high = at;
    double base = plot_axis_place(a, p->base);
    char text[72];
    number_of(s, i, decimals_of(s), text);
    put_name(s->category[i], a->from - GAP, y + 4.5, to);
    plot_text(to, PLOT_WIDE, y + 4.5, "end", "value", text);
    str_printf(to, "<g class=\"c%d\">", s->colour % PLOT_COLOURS);
    put_shape(a, isfinite(base) ? clamp(a, base) : base, at, y, to);
    str_puts(to, "<title>");
    html_text(to, s->category[i], strlen(s->category[i]));
    str_printf(to, ": %s</title></path></g>\n", text);
    if (s->low) low = clamp(a, plot_axis_place(a, s->low[i]));
    if (s->high) high = clamp(a, plot_axis_place(a, s->high[i]));
    if (low < high && at == clamp(a, at))
        str_printf(to,
                   "<path class=\"error\" style=\"stroke:var(--ink)\" stroke-width=\"1.4\" "
                   "d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\"/>\n",
                   low, y, high, low, y - 4, high, y - 4);
}

static void put_axis(const struct plot *p, const struct plot_axis *a, double top, double bottom,
                     struct str *to) {
    struct plot_ticks t;
    plot_axis_ticks(a, 4, &t);
    for (size_t i = 0; i < t.n; i++) {
        double at = plot_axis_place(a, t.at[i]);
        str_printf(to, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", at, bottom, top);
        plot_text(to, at, bottom + 16, "middle", "soft", t.text[i]);
    }
    double base = plot_axis_place(a, p->base);
    if (isfinite(base))
        str_printf(to, "<path class=\"axis\" d=\"M%.1f %.1fV%.1f\"/>\n", base, bottom, top);
    if (p->y_label) plot_text(to, a->to, bottom + 33, "end", "soft", p->y_label);
}

double plot_bars(const struct plot *p, double left, struct str *to) {
    const struct plot_series *s = p->series;
    struct plot_axis a = {.log = p->log_y};
    double names = 0, values = 0, top = p->title ? 30 : 8;
    size_t rows = 0;
    char text[72];
    if (!p->n || !fit(p, &a)) return 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!isfinite(s->y[i])) continue;
        number_of(s, i, decimals_of(s), text);
        names = fmax(names, plot_text_width(s->category[i], FONT));
        values = fmax(values, plot_text_width(text, FONT));
        rows++;
    }
    a.from = fmin(names, NAMES) + GAP;
    a.to = PLOT_WIDE - values - 2 * GAP;
    double bottom = top + (double)rows * ROW;
    double high = bottom + (p->y_label ? BELOW : 24);
    plot_begin(p, left, high, to);
    if (p->title) plot_text(to, 0, 16, "start", "title", p->title);
    put_axis(p, &a, top, bottom, to);
    for (size_t i = 0, row = 0; i < s->n; i++)
        if (isfinite(s->y[i])) put_row(p, &a, i, top + ((double)row++ + 0.5) * ROW, to);
    str_puts(to, "</svg>\n");
    return high;
}

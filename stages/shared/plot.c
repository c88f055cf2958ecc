#include "stages/shared/plot.h"
#include "stages/shared/html.h"
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum { FONT = 13, HIGH = 230, BELOW = 42, EDGE = 8 };

struct pen { // a plot while it is drawn
    const struct plot *p;
    struct plot_axis x, y;
    struct str *to;
};

static void put_text(struct str *to, const char *text) {
    html_text(to, text, strlen(text));
}

void plot_text(struct str *to, double x, double y, const char *anchor, const char *class,
               const char *text) {
    str_printf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
               class);
    put_text(to, text);
    str_puts(to, "</text>\n");
}

// ---- marks: a shape for each colour, so that they are told apart without colours
// ------------------

static void put_shape(struct str *to, int colour, double x, double y, double r) {
    switch (colour % 4) {
    case 0:
        str_printf(to, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", x, y, r);
        break;
    case 1:
        str_printf(to, "<path class=\"ring\" d=\"M%.1f %.1fh%.1fv%.1fh%.1fz\"", x - r * 0.9,
                   y - r * 0.9, r * 1.8, r * 1.8, -r * 1.8);
        break;
    case 2:
        str_printf(to, "<path class=\"ring\" d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"", x, y - r * 1.15,
                   r * 1.15, r * 2, -r * 2.3);
        break;
    default:
        str_printf(to, "<path class=\"ring\" d=\"M%.1f %.1fl%.1f %.1f%.1f %.1f%.1f %.1fz\"", x,
                   y - r * 1.25, r * 1.25, r * 1.25, -r * 1.25, r * 1.25, -r * 1.25, -r * 1.25);
    }
    str_puts(to, " fill=\"currentColor\" stroke-width=\".8\">");
}

static void put_value(struct str *to, const char *label, double value, double low, double high) {
    char text[72];
    plot_number_with_error(text, value, low, high);
    if (label) str_puts(to, " "), put_text(to, label);
    str_printf(to, " %s", text);
}

static double of(const double *x, size_t i) {
    return x ? x[i] : (double)NAN;
}

// What the pointer shows, and the end of the shape.
static void put_tip(const struct pen *d, const struct plot_series *s, size_t i) {
    str_puts(d->to, "<title>");
    if (s->name) put_text(d->to, s->name);
    if (s->category && s->category[i]) {
        if (s->name) str_puts(d->to, " ");
        put_text(d->to, s->category[i]);
    }
    str_puts(d->to, ":");
    put_value(d->to, d->p->x_label, s->x[i], of(s->left, i), of(s->right, i));
    str_puts(d->to, ",");
    put_value(d->to, d->p->y_label, s->y[i], of(s->low, i), of(s->high, i));
    str_puts(d->to, "</title>");
}

static double clamp(double v, double a, double b) {
    return fmin(fmax(v, fmin(a, b)), fmax(a, b));
}

// An arrow at the edge for a point outside, with its value where `told`.
static void put_outside(const struct pen *d, const struct plot_series *s, size_t i, bool told) {
    double x = plot_axis_place(&d->x, s->x[i]), y = plot_axis_place(&d->y, s->y[i]);
    double at_x = clamp(x, d->x.from, d->x.to), at_y = clamp(y, d->y.from, d->y.to);
    double angle = atan2(y - at_y, x - at_x) * 180 / 3.14159265358979;
    str_printf(d->to,
               "<path class=\"outside\" transform=\"translate(%.1f %.1f)rotate(%.0f)\" "
               "d=\"M5 0L-4 -4.5V4.5z\" fill=\"currentColor\">",
               at_x, at_y, angle);
    put_tip(d, s, i);
    str_puts(d->to, "</path>\n");
    if (!told) return;
    char text[80], value[32];
    plot_number(value, x != at_x ? s->x[i] : s->y[i]);
    snprintf(text, sizeof text, "%s", value);
    bool right = at_x > (d->x.from + d->x.to) / 2;
    plot_text(d->to, at_x + (right ? -9 : 9),
              at_y + (y > at_y   ? -6
                      : y < at_y ? 14
                                 : 4),
              right ? "end" : "start", "note", text);
}

// ---- lines and points
// -----------------------------------------------------------------------------

static bool drawable(const struct pen *d, const struct plot_series *s, size_t i) {
    return isfinite(plot_axis_place(&d->x, s->x[i])) && isfinite(plot_axis_place(&d->y, s->y[i]));
}

static bool inside(const struct pen *d, const struct plot_series *s, size_t i) {
    double x = plot_axis_place(&d->x, s->x[i]), y = plot_axis_place(&d->y, s->y[i]);
    return x == clamp(x, d->x.from, d->x.to) && y == clamp(y, d->y.from, d->y.to);
}

static size_t count_drawable(const struct pen *d, const struct plot_series *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += drawable(d, s, i);
    return n;
}

static void put_path(const struct pen *d, const struct plot_series *s, const double *y) {
    bool first = true;
    for (size_t i = 0; i < s->n; i++) {
        if (!drawable(d, s, i)) continue;
        double at = plot_axis_place(&d->y, y[i]);
        if (!isfinite(at)) at = plot_axis_place(&d->y, s->y[i]);
        str_printf(d->to, "%s%.1f %.1f", first ? "M" : "L", plot_axis_place(&d->x, s->x[i]), at);
        first = false;
    }
}

static void put_band(const struct pen *d, const struct plot_series *s) {
    bool any = false;
    str_puts(d->to, "<path class=\"band\" fill=\"currentColor\" fill-opacity=\".16\" d=\"");
    put_path(d, s, s->high);
    for (size_t i = s->n; i-- > 0;) {
        if (!drawable(d, s, i)) continue;
        double at = plot_axis_place(&d->y, s->low[i]);
        if (!isfinite(at)) at = plot_axis_place(&d->y, s->y[i]);
        str_printf(d->to, "L%.1f %.1f", plot_axis_place(&d->x, s->x[i]), at);
        any = true;
    }
    str_puts(d->to, any ? "z\"/>\n" : "\"/>\n");
}

static void put_line(const struct pen *d, const struct plot_series *s) {
    str_printf(d->to,
               "<path fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" "
               "stroke-linejoin=\"round\"%s d=\"",
               s->dashed ? " stroke-dasharray=\"5 4\"" : "");
    put_path(d, s, s->y);
    str_puts(d->to, "\">");
    if (s->name) {
        str_puts(d->to, "<title>");
        put_text(d->to, s->name);
        str_puts(d->to, "</title>");
    }
    str_puts(d->to, "</path>\n");
}

static void put_bars_of(const struct pen *d, const struct plot_series *s, size_t i) {
    double x = plot_axis_place(&d->x, s->x[i]), y = plot_axis_place(&d->y, s->y[i]);
    double low = plot_axis_place(&d->y, of(s->low, i)),
           high = plot_axis_place(&d->y, of(s->high, i));
    double left = plot_axis_place(&d->x, of(s->left, i));
    double right = plot_axis_place(&d->x, of(s->right, i));
    if (isfinite(low) && isfinite(high))
        str_printf(d->to, "<path class=\"error\" stroke=\"currentColor\" d=\"M%.1f %.1fV%.1f\"/>\n",
                   x, low, high);
    if (isfinite(left) && isfinite(right))
        str_printf(d->to, "<path class=\"error\" stroke=\"currentColor\" d=\"M%.1f %.1fH%.1f\"/>\n",
                   left, y, right);
}

// The point outside that lies furthest, whose value is told; s->n: none.
static size_t furthest(const struct pen *d, const struct plot_series *s) {
    size_t best = s->n;
    double most = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!drawable(d, s, i) || inside(d, s, i)) continue;
        double x = plot_axis_place(&d->x, s->x[i]), y = plot_axis_place(&d->y, s->y[i]);
        double away =
            fabs(x - clamp(x, d->x.from, d->x.to)) + fabs(y - clamp(y, d->y.from, d->y.to));
        if (away > most) most = away, best = i;
    }
    return best;
}

static void put_marks(const struct pen *d, const struct plot_series *s) {
    size_t far = furthest(d, s);
    double r = s->bare ? 2.2 : d->p->kind == PLOT_POINTS && !s->joined ? 4.2 : 3.4;
    for (size_t i = 0; i < s->n; i++) {
        if (!drawable(d, s, i)) continue;
        if (!inside(d, s, i)) {
            put_outside(d, s, i, i == far);
            continue;
        }
        double x = plot_axis_place(&d->x, s->x[i]), y = plot_axis_place(&d->y, s->y[i]);
        put_shape(d->to, s->colour, x, y, r);
        put_tip(d, s, i);
        str_puts(d->to, s->colour % 4 ? "</path>\n" : "</circle>\n");
    }
}

static void put_series(const struct pen *d, const struct plot_series *s) {
    size_t n = count_drawable(d, s);
    bool joined = (d->p->kind == PLOT_LINES || s->joined) && n > 1;
    if (!n) return;
    str_printf(d->to, "<g class=\"c%d\">\n", s->colour % PLOT_COLOURS);
    // what lies outside is cut off at the frame; marks on it are drawn whole
    str_printf(d->to,
               "<svg x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" viewBox=\"%.1f %.1f %.1f "
               "%.1f\">\n",
               d->x.from, d->y.to, d->x.to - d->x.from, d->y.from - d->y.to, d->x.from, d->y.to,
               d->x.to - d->x.from, d->y.from - d->y.to);
    if (d->p->kind == PLOT_LINES && s->low && joined) put_band(d, s);
    if (joined) put_line(d, s);
    if (d->p->kind == PLOT_POINTS || n == 1)
        for (size_t i = 0; i < s->n; i++)
            if (drawable(d, s, i)) put_bars_of(d, s, i);
    str_puts(d->to, "</svg>\n");
    if (!s->bare || n == 1) put_marks(d, s);
    str_puts(d->to, "</g>\n");
}

static void put_rules(const struct pen *d) {
    for (size_t i = 0; i < d->p->rules; i++) {
        double x = plot_axis_place(&d->x, d->p->rule[i].at);
        if (!isfinite(x) || x != clamp(x, d->x.from, d->x.to)) continue;
        bool late = x > d->x.from + 0.8 * (d->x.to - d->x.from);
        str_printf(d->to, "<path class=\"rule\" d=\"M%.1f %.1fV%.1f\"/>\n", x, d->y.from, d->y.to);
        plot_text(d->to, x + (late ? -4 : 4), d->y.to - 4, late ? "end" : "start", "soft",
                  d->p->rule[i].text);
    }
}

// ---- title, legend, axes: what stands around
// -------------------------------------------------------

// Names in rows of the plot's width, from `top` on; returns where they end. to NULL: measured only.
static double put_legend(const struct plot *p, double top, struct str *to) {
    double x = 0, y = top;
    size_t named = 0;
    for (size_t i = 0; i < p->n; i++) named += p->series[i].name != NULL;
    if (named < 1 || (named == 1 && p->n == 1)) return top;
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_series *s = &p->series[i];
        if (!s->name) continue;
        double wide = 26 + plot_text_width(s->name, FONT) + 14;
        if (x > 0 && x + wide > PLOT_WIDE) x = 0, y += 19;
        if (to) {
            str_printf(to, "<g class=\"c%d\">", s->colour % PLOT_COLOURS);
            if (p->kind == PLOT_LINES || s->joined)
                str_printf(
                    to, "<path stroke=\"currentColor\" stroke-width=\"2\"%s d=\"M%.1f %.1fh20\"/>",
                    s->dashed ? " stroke-dasharray=\"5 4\"" : "", x, y + 9);
            if (!s->bare) {
                put_shape(to, s->colour, x + 10, y + 9, 3.6);
                str_puts(to, s->colour % 4 ? "</path>" : "</circle>");
            }
            str_puts(to, "</g>");
            plot_text(to, x + 26, y + 13.5, "start", "key", s->name);
        }
        x += wide;
    }
    return y + 24;
}

static void put_down(const struct pen *d) {
    struct plot_ticks t;
    plot_axis_ticks(&d->y, 5, &t);
    for (size_t i = 0; i < t.n; i++) {
        double at = plot_axis_place(&d->y, t.at[i]);
        str_printf(d->to, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", d->x.from, at, d->x.to);
        plot_text(d->to, d->x.from - 6, at + 4, "end", "soft", t.text[i]);
    }
}

static void put_across(const struct pen *d) {
    struct plot_ticks t;
    double bottom = d->y.from, taken = -1;
    str_printf(d->to, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", d->x.from, bottom, d->x.to);
    plot_axis_ticks(&d->x, 6, &t);
    for (size_t i = 0; i < t.n; i++) {
        double at = plot_axis_place(&d->x, t.at[i]), half = plot_text_width(t.text[i], FONT) / 2;
        if (at - half < taken) continue; // the one before stands there
        taken = at + half + 4;
        str_printf(d->to, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>\n", at, bottom);
        plot_text(d->to, at, bottom + 17, "middle", "soft", t.text[i]);
    }
    if (d->p->x_label) plot_text(d->to, d->x.to, bottom + 34, "end", "soft", d->p->x_label);
}

static double put_head(const struct plot *p, struct str *to) {
    double y = 0;
    if (p->title) plot_text(to, 0, y += 16, "start", "title", p->title);
    y = put_legend(p, y + 6, to);
    if (p->y_label) plot_text(to, 0, y += 14, "start", "soft", p->y_label);
    return y;
}

// ---- all of it
// ---------------------------------------------------------------------------------------

// Every value along an axis in one array, with the ends of errors or without; free() it.
static double *gather(const struct plot *p, bool across, bool errors, size_t *n) {
    size_t all = 0;
    *n = 0;
    for (size_t i = 0; i < p->n; i++) all += 3 * p->series[i].n;
    double *v = xmalloc((all + p->rules + 1) * sizeof *v);
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_series *s = &p->series[i];
        const double *from[] = {across ? s->x : s->y, across ? s->left : s->low,
                                across ? s->right : s->high};
        for (size_t k = 0; k < (errors ? 3 : 1); k++)
            for (size_t j = 0; from[k] && j < s->n; j++)
                if (isfinite(s->x[j]) && isfinite(s->y[j])) v[(*n)++] = from[k][j];
    }
    return v;
}

// Where series begin, which is what the rest is compared with; and the errors of what is inside.
static void hold_what_matters(const struct plot *p, struct plot_axis *a, bool across) {
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_series *s = &p->series[i];
        if (s->n && (s->joined || p->kind == PLOT_LINES))
            plot_axis_hold(a, across ? s->x[0] : s->y[0]);
    }
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_series *s = &p->series[i];
        plot_axis_hold_errors(a, across ? s->x : s->y, across ? s->left : s->low,
                              across ? s->right : s->high, s->n);
    }
}

// Lines reach the frame on both sides.
static void fit_tightly(struct plot_axis *a, const double *v, size_t n) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i])) low = fmin(low, v[i]), high = fmax(high, v[i]);
    if (low < high) a->low = low, a->high = high;
}

static bool fit(const struct plot *p, struct plot_axis *a, bool across) {
    size_t n;
    double *v = gather(p, across, true, &n);
    struct plot_axis whole = *a;
    bool any = plot_axis_fit(&whole, v, n, false);
    *a = whole;
    if (any && across && !a->log && p->kind == PLOT_LINES) {
        fit_tightly(a, v, n);
    } else if (any && p->zoom) {
        free(v);
        v = gather(p, across, false, &n);
        plot_axis_fit(a, v, n, true);
        hold_what_matters(p, a, across);
        if (!plot_axis_gains(&whole, a)) *a = whole;
    }
    free(v);
    return any;
}

static double widest_tick(const struct plot_axis *y) {
    struct plot_ticks t;
    double wide = 0;
    plot_axis_ticks(y, 5, &t);
    for (size_t i = 0; i < t.n; i++) wide = fmax(wide, plot_text_width(t.text[i], FONT));
    return wide;
}

static double put_curves(const struct plot *p, double left, struct str *to) {
    struct pen d = {.p = p, .x = {.log = p->log_x}, .y = {.log = p->log_y}, .to = to};
    struct str head = {0};
    if (!fit(p, &d.x, true) || !fit(p, &d.y, false)) return 0;
    double top = put_head(p, &head) + (p->rules ? 22 : 12);
    d.y.from = top + HIGH;
    d.y.to = top;
    d.x.from = fmax(24, widest_tick(&d.y) + 8);
    d.x.to = PLOT_WIDE - EDGE - (p->kind == PLOT_LINES ? 4 : 0);
    double high = d.y.from + (p->x_label ? BELOW : 24);
    plot_begin(p, left, high, to);
    str_add(to, head.text ? head.text : "", head.length);
    put_down(&d);
    put_across(&d);
    put_rules(&d);
    for (size_t i = 0; i < p->n; i++) put_series(&d, &p->series[i]);
    str_puts(to, "</svg>\n");
    str_release(&head);
    return high;
}

double plot_draw(const struct plot *p, double left, struct str *to) {
    return p->kind == PLOT_BARS ? plot_bars(p, left, to) : put_curves(p, left, to);
}

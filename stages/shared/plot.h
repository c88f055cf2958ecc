// Small plots as SVG, drawn here: lines with bands, points with error bars, bars with error bars. A
// plot is PLOT_WIDE units wide and as high as its legend needs, which stands above the curves and
// never on them. Colours are classes (see plot_style), so that a page or the file itself gives them
// for light and dark; nothing but <title> texts for the pointer, no scripts, nothing loaded.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>

enum { PLOT_WIDE = 460, PLOT_COLOURS = 8 };

// PLOT_LINES   y over x, low .. high as a band; marks where the points are few, or a single one
// PLOT_POINTS  the same with error bars for each point; joined or not
// PLOT_BARS    one row for each category, from left to right; of the first series
enum plot_kind { PLOT_LINES, PLOT_POINTS, PLOT_BARS };

struct plot_series {
    const char *name; // NULL: not in the legend
    size_t n;
    const double *x, *y;         // (n) NaN: no such point; x is not used for bars
    const double *low, *high;    // (n) ends of the band or error bar of y; NULL: none
    const double *left, *right;  // (n) of x; PLOT_POINTS
    const char *const *category; // (n) PLOT_BARS: names of the rows; else names for the pointer, or
                                 // NULL
    int colour;                  // 0 .. PLOT_COLOURS-1; also the shape of its marks
    bool dashed, joined, bare;   // joined: by a line (PLOT_POINTS); bare: no marks on the line
};
struct plot_rule { // a line across the plot at an x, as the beginning of an epoch
    double at;
    const char *text;
};
struct plot {
    enum plot_kind kind;
    const char *title, *x_label, *y_label; // NULL: none
    bool log_x, log_y;                     // by powers of ten; values <= 0 are left out
    // The axes show the bulk of the points and where each series begins: what lies far outside is
    // marked at the edge with its value. Without it they hold every point with its error.
    bool zoom;
    double base; // PLOT_BARS: where they begin; NaN: dots instead of bars
    size_t n, rules;
    const struct plot_series *series; // (n)
    const struct plot_rule *rule;     // (rules)
};
// Appends the plot as an element of a page that has plot_style(); false, and nothing, where no
// point could be drawn.
bool plot_svg(const struct plot *p, struct str *to);
// Plots (n) side by side as a file of their own, with style and background. False: no point could
// be drawn, which the file says.
bool plot_file(const struct plot *p, size_t n, struct str *to);
// The rules of CSS that give classes of plots their colours, for light and dark.
const char *plot_style(void);

// ---- for plot*.c

struct plot_axis {
    double low, high; // at the ends; of log10 where `log`
    double from, to;  // in the drawing
    bool log, cut;    // cut: values lie outside
};
struct plot_ticks {
    size_t n;
    double at[24];
    char text[24][16];
};
// The range of values (n, NaN skipped) with a margin. zoom: of those within some deviations of the
// median. False: there is none.
bool plot_axis_fit(struct plot_axis *a, const double *value, size_t n, bool zoom);
void plot_axis_hold(struct plot_axis *a, double value); // widens it, if needed, to hold a value
// The same for the errors (n; NULL: none) of the values that it holds.
void plot_axis_hold_errors(struct plot_axis *a, const double *value, const double *low,
                           const double *high, size_t n);
bool plot_axis_gains(const struct plot_axis *whole, const struct plot_axis *bulk); // by a cut
double plot_axis_place(const struct plot_axis *a, double value); // NaN where it has no place
void plot_axis_ticks(const struct plot_axis *a, size_t wanted, struct plot_ticks *t);
// A number for people, by its size: "0.62", "205.8", "12000", "1.2e-05"; with two digits of its
// error as "72.0 ± 2.6", where there is one (low < high).
void plot_number(char text[32], double value);
// One number of decimals for a column of values (n; NaN is skipped): two digits of the usual error,
// or by the size of the largest.
int plot_decimals(const double *value, const double *error, size_t n); // error NULL: none
void plot_number_with_error(char text[72], double value, double low, double high);
double plot_text_width(const char *text, double size); // about
// The <svg> element's beginning, which is `high` units high; left: where it stands in a file, NaN:
// in a page. A line of text.
void plot_begin(const struct plot *p, double left, double high, struct str *to);
void plot_text(struct str *to, double x, double y, const char *anchor, const char *class,
               const char *text);
// The plot itself; its height, 0: nothing could be drawn. plot_bars: of PLOT_BARS.
double plot_draw(const struct plot *p, double left, struct str *to);
double plot_bars(const struct plot *p, double left, struct str *to);

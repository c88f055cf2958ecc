#include "stages/shard/report.h"
#include <math.h>
#include <stdlib.h>

// Two panels, fkl and rkl: what is missing of the gradient's cosine over bytes per position, both
// by powers of ten, a mark for each setting of our own files and a line through the lengths of
// others.
enum { LEFT = 70, TOP = 40, WIDE = 400, HIGH = 380, GAP = 60, BELOW = 80 };

struct axes {
    double x0, x1, y0, y1; // powers of ten at the ends
    int left;              // of the panel
};

static const struct {
    const char *colour, *name;
} coding[REPORT_CODINGS] = {{"#1f77b4", "this cache"},
                            {"#d95f02", "fixed k, float16"},
                            {"#2ca02c", "curve, 1 exact"},
                            {"#7b4fa3", "curve, 16 exact"}};

static double missing(const struct report_trial *t, size_t student, int kind) {
    return 1 - fidelity_cosine(&t->sum[student][kind]);
}

static bool shown(const struct report_trial *t, size_t student, int kind) {
    return t->bytes > 0 && missing(t, student, kind) > 0; // else there is no logarithm
}

static double across(const struct axes *a, double bytes) {
    return a->left + WIDE * (log10(bytes) - a->x0) / (a->x1 - a->x0);
}

static double down(const struct axes *a, double miss) {
    return TOP + HIGH * (a->y1 - log10(miss)) / (a->y1 - a->y0);
}

static void widen(double *low, double *high, double x) {
    *low = fmin(*low, floor(log10(x)));
    *high = fmax(*high, ceil(log10(x)));
}

static struct axes range(const struct report_trial *t, size_t n, size_t student) {
    struct axes a = {INFINITY, -INFINITY, INFINITY, -INFINITY, LEFT};
    for (size_t i = 0; i < n; i++)
        for (int kind = 0; kind < FIDELITY_KINDS; kind++)
            if (shown(&t[i], student, kind)) {
                widen(&a.x0, &a.x1, t[i].bytes);
                widen(&a.y0, &a.y1, missing(&t[i], student, kind));
            }
    if (!(a.x0 < a.x1)) a.x0 = isfinite(a.x0) ? a.x0 : 0, a.x1 = a.x0 + 1;
    if (!(a.y0 < a.y1)) a.y0 = isfinite(a.y0) ? a.y0 : -1, a.y1 = a.y0 + 1;
    return a;
}

static void grid(struct str *s, const struct axes *a, const char *title) {
    str_printf(s, "<text x='%d' y='%d' text-anchor='middle'>%s</text>\n", a->left + WIDE / 2,
               TOP - 14, title);
    for (double x = a->x0; x <= a->x1; x++) {
        double at = across(a, pow(10, x));
        str_printf(s, "<path d='M%.1f %dv%d' stroke='#e0e0e0'/>", at, TOP, HIGH);
        str_printf(s, "<text x='%.1f' y='%d' text-anchor='middle'>%g</text>\n", at, TOP + HIGH + 18,
                   pow(10, x));
    }
    for (double y = a->y0; y <= a->y1; y++) {
        double at = down(a, pow(10, y));
        str_printf(s, "<path d='M%d %.1fh%d' stroke='#e0e0e0'/>", a->left, at, WIDE);
        str_printf(s, "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n", a->left - 6, at + 4,
                   pow(10, y));
    }
    str_printf(s, "<text x='%d' y='%d' text-anchor='middle'>bytes per position</text>\n",
               a->left + WIDE / 2, TOP + HIGH + 38);
}

static void marks(struct str *s, const struct axes *a, const struct report_trial *t, size_t n,
                  size_t student, int kind) {
    for (int c = REPORT_CACHE; c < REPORT_CODINGS; c++) {
        struct str line = {0};
        for (size_t i = 0; i < n; i++) {
            if ((int)t[i].setting.coding != c || !shown(&t[i], student, kind)) continue;
            double x = across(a, t[i].bytes), y = down(a, missing(&t[i], student, kind));
            str_printf(s, "<circle cx='%.1f' cy='%.1f' r='2.5' fill='%s'/>\n", x, y,
                       coding[c].colour);
            str_printf(&line, "%s%.1f %.1f", line.length ? "L" : "M", x, y);
        }
        if (c != REPORT_CACHE && line.length)
            str_printf(s, "<path d='%s' fill='none' stroke='%s'/>\n", line.text, coding[c].colour);
        str_release(&line);
    }
}

void report_figure(const struct report_trial *t, size_t n, size_t student, struct str *s) {
    static const char *const kinds[FIDELITY_KINDS] = {
        [FIDELITY_FKL] = "fkl", [FIDELITY_RKL] = "rkl"};
    struct axes a = range(t, n, student);
    str_printf(
        s,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' font-family='sans-serif' "
        "font-size='12'>\n<rect width='100%%' height='100%%' fill='#ffffff'/>\n",
        2 * LEFT + 2 * WIDE + GAP, TOP + HIGH + BELOW);
    for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
        a.left = LEFT + kind * (WIDE + GAP);
        char *title =
            xasprintf("1 - cosine of the gradient of %s, student %zu", kinds[kind], student + 1);
        grid(s, &a, title);
        marks(s, &a, t, n, student, kind);
        free(title);
    }
    for (int c = REPORT_CACHE; c < REPORT_CODINGS; c++)
        str_printf(s, "<circle cx='%d' cy='%d' r='4' fill='%s'/><text x='%d' y='%d'>%s</text>\n",
                   LEFT + 200 * c, TOP + HIGH + 62, coding[c].colour, LEFT + 200 * c + 10,
                   TOP + HIGH + 66, coding[c].name);
    str_puts(s, "</svg>\n");
}

// What surrounds plots: their element in a page, or a file of several, with its style.
#include "stages/shared/html.h"
#include "stages/shared/plot.h"
#include <math.h>
#include <string.h>

enum { EDGE = 12, GAP = 36 }; // of a file: around plots, and between them

static const char style[] =
    ".plot{--ink:#1c2024;--soft:#5b6470;--line:#e3e6ea;--paper:#fff;font:13px "
    "system-ui,sans-serif}\n"
    "@media(max-width:30rem){.plot text{font-size:14px}}\n"
    ".plot text{fill:var(--ink)}.plot .soft{fill:var(--soft)}.plot .title{font-weight:600}\n"
    ".plot .grid{stroke:var(--line)}.plot .axis{stroke:var(--soft)}.plot "
    ".ring{stroke:var(--paper)}\n"
    ".plot .rule{stroke:var(--soft);stroke-dasharray:3 3}.c0{color:#1f6fb2}\n"
    ".c1{color:#cc5500}.c2{color:#1b8a3a}.c3{color:#7b4fa3}\n"
    ".c4{color:#b8262f}.c5{color:#8a6a12}.c6{color:#0b8793}"
    ".c7{color:#5f6772}\n"
    "@media(prefers-color-scheme:dark){.plot{--ink:#e8eaed;--soft:#a3abb5;--line:#333a42;"
    "--paper:#15181c}\n"
    ".c0{color:#6db3f2}.c1{color:#ff9a4d}.c2{color:#63d086}"
    ".c3{color:#c39bea}\n"
    ".c4{color:#ff7f86}.c5{color:#dcb64a}.c6{color:#55cfda}"
    ".c7{color:#b4bcc6}}\n";

const char *plot_style(void) {
    return style;
}

void plot_begin(const struct plot *p, double left, double high, struct str *to) {
    const char *title = p->title ? p->title : "plot";
    str_puts(to, "<svg class=\"plot\" ");
    if (isfinite(left))
        str_printf(to, "x=\"%.0f\" width=\"%d\" height=\"%.0f\" ", left, PLOT_WIDE, high);
    str_printf(to, "viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", PLOT_WIDE, high);
    html_text(to, title, strlen(title));
    str_puts(to, "\">\n");
}

bool plot_svg(const struct plot *p, struct str *to) {
    return plot_draw(p, (double)NAN, to) > 0;
}

bool plot_file(const struct plot *p, size_t n, struct str *to) {
    struct str inside = {0};
    double left = 0, tallest = 0;
    for (size_t i = 0; i < n; i++) {
        double high = plot_draw(&p[i], left, &inside);
        if (high > 0) left += PLOT_WIDE + GAP;
        tallest = fmax(tallest, high);
    }
    bool any = tallest > 0;
    if (!any) { // a file that says so is better than none, or one that is no SVG
        plot_text(&inside, 0, 16, "start", "soft", "no numbers to draw");
        left = PLOT_WIDE + GAP;
        tallest = 24;
    }
    double wide = left - GAP + 2 * EDGE, high = tallest + 2 * EDGE;
    str_printf(to,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" width=\"%.0f\" "
               "height=\"%.0f\" viewBox=\"%d %d %.0f %.0f\">\n<style>\n%s</style>\n"
               "<rect x=\"%d\" y=\"%d\" width=\"100%%\" height=\"100%%\" "
               "style=\"fill:var(--paper)\"/>\n%s</svg>\n",
               wide * 1.5, high * 1.5, -EDGE, -EDGE, wide, high, style, -EDGE, -EDGE, inside.text);
    str_release(&inside);
    return any;
}

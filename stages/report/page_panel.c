// Figures: panels as the page's text describes them, with their numbers from the run's tables.
#include "stages/report/panel_data.h"
#include "stages/shared/html.h"
#include "common/base/value.h"
#include "formats/bytes/whole_file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void replace(char **old, const char *text) {
    free(*old);
    *old = xstrdup(text);
}

// ---- the words of a panel
// ---------------------------------------------------------------------------

static void panel(struct page *p, char *rest) {
    static const char *const kinds[] = {"lines", "points", "bars"};
    struct page_panel *q = &p->panel;
    if (!p->figure_open) page_complain(p, "a panel without a figure");
    page_panel_end(p);
    char *kind = page_word(&rest), *id = page_word(&rest);
    size_t k = 0;
    while (kind && k < 3 && strcmp(kind, kinds[k])) k++;
    if (!id || k == 3)
        page_complain(p, "a panel is 'lines', 'points' or 'bars', a name and a title");
    if (strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(id))
        page_complain(p, "a panel's name has other characters than a-z, 0-9, - and _");
    *q = (struct page_panel){
        .open = true, .kind = (enum plot_kind)k, .id = xstrdup(id), .base = NAN};
    q->title = xstrdup(rest + strspn(rest, " \t"));
}

static void column(struct page *p, char *rest, char **name, char **label) {
    char *word = page_word(&rest);
    if (!word) page_complain(p, "a column is missing");
    replace(name, word);
    rest += strspn(rest, " \t");
    replace(label, *rest ? rest : word);
}

static void x(struct page *p, char *rest) {
    column(p, rest, &p->panel.x, &p->panel.x_label);
}
static void y(struct page *p, char *rest) {
    column(p, rest, &p->panel.y, &p->panel.y_label);
}

static void series(struct page *p, char *rest) {
    struct page_panel *q = &p->panel;
    char *name = page_word(&rest), *file = page_word(&rest);
    char *where = page_word(&rest), *start = page_word(&rest);
    if (!file || (where && !start)) page_complain(p, "a series is a name, a file, and which rows");
    if (!q->x || !q->y) page_complain(p, "x and y must come before a series");
    if (q->n == PAGE_SERIES) page_complain(p, "too many series");
    q->series[q->n++] = (struct page_series){xstrdup(name),
                                             xstrdup(file),
                                             where ? xstrdup(where) : NULL,
                                             where ? xstrdup(start) : NULL,
                                             xstrdup(q->x),
                                             xstrdup(q->y),
                                             q->joined,
                                             q->dashed,
                                             q->optional,
                                             p->line};
}

static void only(struct page *p, char *rest) {
    replace(&p->panel.only, rest);
}

static void log_axis(struct page *p, char *rest) {
    char *word = page_word(&rest);
    if (!word || (strcmp(word, "x") && strcmp(word, "y"))) page_complain(p, "log x or log y");
    *(*word == 'x' ? &p->panel.log_x : &p->panel.log_y) = true;
}

static void zoom(struct page *p, char *rest) {
    (void)rest;
    p->panel.zoom = true;
}
static void joined(struct page *p, char *rest) {
    (void)rest;
    p->panel.joined = true;
}
static void dashed(struct page *p, char *rest) {
    (void)rest;
    p->panel.dashed = true;
}

static void optional(struct page *p, char *rest) {
    (void)rest;
    p->panel.optional = true;
}

static void base(struct page *p, char *rest) {
    char *word = page_word(&rest);
    if (!word || !value_real(word, &p->panel.base)) page_complain(p, "a number is missing");
}

bool page_panel_word(struct page *p, const char *word, char *rest) {
    static const struct {
        const char *name;
        void (*put)(struct page *p, char *rest);
    } words[] = {{"panel", panel},       {"x", x},           {"y", y},
                 {"series", series},     {"only", only},     {"log", log_axis},
                 {"zoom", zoom},         {"joined", joined}, {"dashed", dashed},
                 {"optional", optional}, {"base", base}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i].name)) continue;
        if (words[i].put != panel && !p->panel.open) page_complain(p, "this belongs into a panel");
        words[i].put(p, rest);
        return true;
    }
    return false;
}

// ---- drawing
// ------------------------------------------------------------------------------------------

static void release_panel(struct page_panel *q) {
    for (size_t i = 0; i < q->n; i++) {
        struct page_series *s = &q->series[i];
        char *all[] = {s->name, s->file, s->column, s->start, s->x, s->y};
        for (size_t k = 0; k < 6; k++) free(all[k]);
    }
    char *all[] = {q->id, q->title, q->x, q->x_label, q->y, q->y_label, q->only};
    for (size_t k = 0; k < 7; k++) free(all[k]);
    *q = (struct page_panel){0};
}

static void write_alone(struct page *p, const struct plot *plot) {
    struct str svg = {0};
    struct fail f = {0};
    char *path = xasprintf("%s/%s.svg", p->figures, p->panel.id);
    plot_file(plot, 1, &svg);
    whole_file_write(path, svg.text, svg.length, &f);
    die_if(&f);
    str_release(&svg);
    free(path);
}

void page_panel_end(struct page *p) {
    struct page_panel *q = &p->panel;
    if (!q->open) return;
    struct panel_data d = {0};
    panel_data_read(p, q, &d);
    struct plot plot = {.kind = q->kind,
                        .title = *q->title ? q->title : NULL,
                        .x_label = q->x_label,
                        .y_label = q->y_label,
                        .log_x = q->log_x,
                        .log_y = q->log_y,
                        .zoom = q->zoom,
                        .base = q->base,
                        .n = d.n,
                        .series = d.series,
                        .rules = d.rules,
                        .rule = d.rule};
    str_printf(&p->body, "<div id=\"%s\">", q->id);
    if (!plot_svg(&plot, &p->body)) {
        str_puts(&p->body, "<p class=\"note\">");
        page_escape(p, q->title);
        str_puts(&p->body, ": no numbers yet.</p>\n");
    } else if (p->figures) {
        write_alone(p, &plot);
    }
    str_puts(&p->body, "</div>\n");
    p->panels++;
    if (d.averaged > p->averaged) p->averaged = d.averaged;
    panel_data_release(&d);
    release_panel(q);
}

void page_figure(struct page *p, char *rest) {
    p->figure_open = true;
    p->caption.length = p->averaged = 0;
    str_puts(&p->caption, rest);
    str_puts(&p->body, "<figure class=\"figure\"><div class=\"panels\">\n");
}

void page_figure_end(struct page *p) {
    if (!p->figure_open) return;
    page_panel_end(p);
    if (p->averaged > 1)
        str_printf(
            &p->caption,
            " Lines of many steps show means of %s%zu, bands the least and the most of them.",
            "up to ", p->averaged);
    str_puts(&p->body, "</div>");
    page_element(p, "figcaption", p->caption.text ? p->caption.text : "");
    str_puts(&p->body, "</figure>\n");
    p->figure_open = false;
}

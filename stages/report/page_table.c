// Tables of results: one file, or files of the same columns one below the other.
#include "stages/report/page.h"
#include "stages/shared/html.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_name(struct page *p, const char *column) { // a_b -> a b
    for (const char *s = column; *s; s++) html_text(&p->body, *s == '_' ? " " : s, 1);
}

// A path by its last part; the whole one for the pointer.
static void put_word(struct page *p, const char *text) {
    const char *slash = strpbrk(text, " \t") ? NULL : strrchr(text, '/');
    if (!slash || !slash[1]) {
        page_escape(p, text);
        return;
    }
    str_puts(&p->body, "<span title=\"");
    page_escape(p, text);
    str_puts(&p->body, "\">");
    page_escape(p, slash + 1);
    str_puts(&p->body, "</span>");
}

static int decimals_of(const struct sheet *s, size_t column) {
    size_t error = sheet_error(s, column);
    double *v = xmalloc((s->rows + 1) * sizeof *v), *e = xmalloc((s->rows + 1) * sizeof *e);
    for (size_t i = 0; i < s->rows; i++) {
        v[i] = sheet_number(s, i, column);
        e[i] = sheet_number(s, i, error);
    }
    int decimals = plot_decimals(v, error == SHEET_NONE ? NULL : e, s->rows);
    free(v);
    free(e);
    return decimals;
}

static void put_cell(struct page *p, const struct sheet *s, size_t row, size_t column, int decimals,
                     bool first) {
    const char *text = sheet_text(s, row, column);
    double value = sheet_number(s, row, column);
    size_t error = sheet_error(s, column);
    str_puts(&p->body, first                   ? "<th scope=\"row\">"
                       : isnan(value) && *text ? "<td class=\"word\">"
                                               : "<td>");
    if (!*text)
        str_puts(&p->body, "–");
    else if (isnan(value) || first)
        put_word(p, text);
    else
        html_number(&p->body, value,
                    error == SHEET_NONE ? (double)NAN : sheet_number(s, row, error), decimals);
    str_puts(&p->body, first ? "</th>" : "</td>");
}

static size_t pick_columns(struct page *p, const struct sheet *s, char *rest, size_t *pick) {
    size_t n = 0;
    for (char *word; (word = page_word(&rest)); n++) {
        pick[n] = sheet_find(s, word);
        if (pick[n] == SHEET_NONE || n + 1 == s->columns + 1)
            die(EXIT_BADDATA, "'%s' line %zu: no column '%s' in '%s'", p->spec, p->line, word,
                s->path);
    }
    bool all = n == 0;
    for (size_t c = 0; all && c < s->columns; c++)
        if (!sheet_is_error(s, c)) pick[n++] = c;
    return n;
}

static void put_table(struct page *p, const struct sheet *s, char *rest) {
    size_t *pick = xmalloc((s->columns + 1) * sizeof *pick), n = pick_columns(p, s, rest, pick);
    bool models = n && s->rows <= PLOT_COLOURS && !strcmp(s->name[pick[0]], "model");
    int *decimals = xmalloc((n + 1) * sizeof *decimals);
    str_puts(&p->body, "<div class=\"scroll\"><table>\n<thead><tr>");
    for (size_t i = 0; i < n; i++) {
        decimals[i] = decimals_of(s, pick[i]);
        str_puts(&p->body, "<th scope=\"col\">");
        put_name(p, s->name[pick[i]]);
        str_puts(&p->body, "</th>");
    }
    str_puts(&p->body, "</tr></thead>\n<tbody>\n");
    for (size_t row = 0; row < s->rows; row++) {
        if (models) page_colour(p, sheet_text(s, row, pick[0]));
        str_puts(&p->body, "<tr>");
        for (size_t i = 0; i < n; i++) put_cell(p, s, row, pick[i], decimals[i], i == 0);
        str_puts(&p->body, "</tr>\n");
    }
    str_puts(&p->body, "</tbody></table></div>\n");
    free(decimals);
    free(pick);
}

void page_table(struct page *p, char *rest) {
    char *path = page_word(&rest);
    if (!path) page_complain(p, "a file is missing");
    struct sheet s = page_sheet(p, path);
    put_table(p, &s, rest);
    sheet_release(&s);
}

void page_stack(struct page *p, char *rest) {
    struct sheet all = {0};
    char none[1] = "";
    for (char *path; (path = page_word(&rest));) {
        struct sheet s = page_sheet(p, path);
        char *stem = run_stem(path);
        if (!sheet_append(&all, &s, stem))
            die(EXIT_BADDATA, "'%s' line %zu: '%s' has other columns than the files before it",
                p->spec, p->line, path);
        free(stem);
        sheet_release(&s);
    }
    if (!all.rows) page_complain(p, "no row is in these files");
    put_table(p, &all, none);
    sheet_release(&all);
}

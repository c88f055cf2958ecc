#include "stages/eval/table.h"
#include "common/base/jsonout.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "formats/bytes/whole_file.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cell {
    char *shown; // NULL: nothing
    double value;
    bool number;
};

struct table {
    size_t columns, cells, capacity;
    const char *const *names;
    struct cell *cell; // rows of `columns`
};

struct table *table_new(size_t columns, const char *const *names) {
    struct table *t = xcalloc(1, sizeof *t);
    t->columns = columns;
    t->names = names;
    return t;
}

static struct cell *add(struct table *t) {
    grow(&t->cell, &t->capacity, t->cells + 1, sizeof *t->cell);
    struct cell *c = &t->cell[t->cells++];
    *c = (struct cell){0};
    return c;
}

void table_text(struct table *t, const char *text) {
    add(t)->shown = xstrdup(text);
}

void table_number(struct table *t, double value, int decimals) {
    struct cell *c = add(t);
    c->number = true;
    c->value = value;
    if (!isnan(value)) c->shown = xasprintf("%.*f", decimals, value);
}

static const char *shown(const struct cell *c) {
    return c->shown ? c->shown : "";
}

static int width(const struct table *t, size_t column) {
    size_t most = strlen(t->names[column]);
    for (size_t i = column; i < t->cells; i += t->columns) {
        size_t n = strlen(shown(&t->cell[i]));
        if (n > most) most = n;
    }
    return (int)most;
}

static void print_table(const struct table *t) {
    for (size_t row = 0; row <= t->cells / t->columns; row++) {
        struct str line = {0};
        for (size_t c = 0; c < t->columns; c++) {
            size_t at = (row ? row - 1 : 0) * t->columns + c;
            const char *text = row ? shown(&t->cell[at]) : t->names[c];
            bool left = t->cells && !t->cell[c].number;
            str_printf(&line, left ? "%s%-*s" : "%s%*s", c ? "  " : "", width(t, c), text);
        }
        while (line.length && line.text[line.length - 1] == ' ') line.text[--line.length] = 0;
        print_result("%s", line.text);
        str_release(&line);
    }
}

static void csv_cell(struct str *s, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        str_puts(s, text);
        return;
    }
    str_puts(s, "\"");
    for (const char *p = text; *p; p++) str_add(s, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    str_puts(s, "\"");
}

static void csv_rows(const struct table *t, struct str *s) {
    for (size_t c = 0; c < t->columns; c++) {
        if (c) str_puts(s, ",");
        csv_cell(s, t->names[c]);
    }
    for (size_t i = 0; i < t->cells; i++) {
        const struct cell *c = &t->cell[i];
        char digits[32] = "";
        str_puts(s, i % t->columns ? "," : "\n");
        if (c->number && !isnan(c->value)) jsonout_digits(c->value, digits);
        csv_cell(s, c->number ? digits : shown(c));
    }
    str_puts(s, "\n");
}

static void json_rows(const struct table *t, struct str *s) {
    str_puts(s, "[");
    for (size_t i = 0; i < t->cells; i++) {
        const struct cell *c = &t->cell[i];
        size_t column = i % t->columns;
        str_puts(s, column ? ", " : i ? "},\n {" : "\n {");
        jsonout_text(s, t->names[column]);
        str_puts(s, ": ");
        if (c->number)
            jsonout_number(s, c->value);
        else
            jsonout_text(s, c->shown);
    }
    str_puts(s, t->cells ? "}\n]\n" : "]\n");
}

bool table_output_ok(const char *output) {
    return !output || text_ends(output, ".csv") || text_ends(output, ".json");
}

static bool write_table(const struct table *t, const char *output, struct fail *f) {
    struct str s = {0};
    if (text_ends(output, ".json"))
        json_rows(t, &s);
    else
        csv_rows(t, &s);
    bool good = whole_file_write(output, s.text, s.length, f);
    str_release(&s);
    return good;
}

bool table_finish(struct table *t, const char *output, struct fail *f) {
    assert(t->cells % t->columns == 0);
    bool good = !output || write_table(t, output, f);
    if (good) print_table(t);
    for (size_t i = 0; i < t->cells; i++) free(t->cell[i].shown);
    free(t->cell);
    free(t);
    return good;
}

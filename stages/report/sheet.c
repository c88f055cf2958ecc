#include "stages/report/sheet.h"
#include "common/base/value.h"
#include "formats/records/records.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t sheet_find(const struct sheet *s, const char *column) {
    for (size_t i = 0; i < s->columns; i++)
        if (!strcmp(s->name[i], column)) return i;
    return SHEET_NONE;
}

size_t sheet_error(const struct sheet *s, size_t column) {
    char *name = xasprintf("%s_error", s->name[column]);
    size_t found = sheet_find(s, name);
    free(name);
    return found;
}

bool sheet_is_error(const struct sheet *s, size_t column) {
    static const char ending[] = "_error";
    size_t n = strlen(s->name[column]), k = sizeof ending - 1;
    if (n <= k || strcmp(s->name[column] + n - k, ending)) return false;
    for (size_t i = 0; i < s->columns; i++)
        if (strlen(s->name[i]) == n - k && !strncmp(s->name[i], s->name[column], n - k))
            return true;
    return false;
}

const char *sheet_text(const struct sheet *s, size_t row, size_t column) {
    if (column >= s->columns || column >= s->stride) return "";
    return s->text.text + s->cell[row * s->stride + column];
}

double sheet_number(const struct sheet *s, size_t row, size_t column) {
    double v;
    return value_real(sheet_text(s, row, column), &v) ? v : (double)NAN;
}

static size_t add_column(struct sheet *s, const char *name, size_t n) {
    grow(&s->name, &s->name_capacity, s->columns + 1, sizeof *s->name);
    s->name[s->columns] = xmalloc(n + 1);
    memcpy(s->name[s->columns], name, n);
    s->name[s->columns][n] = '\0';
    return s->columns++;
}

// Rows of JSON may bring columns that none before them had: the cells are laid out again, those of
// the row that is being made too.
static void widen(struct sheet *s) {
    if (s->columns <= s->stride) return;
    size_t stride = s->columns + 8, *cell = xcalloc((s->rows + 1) * stride, sizeof *cell);
    for (size_t i = 0; i <= s->rows; i++)
        for (size_t c = 0; c < s->stride; c++) cell[i * stride + c] = s->cell[i * s->stride + c];
    free(s->cell);
    s->cell = cell;
    s->stride = stride;
    s->cell_capacity = (s->rows + 1) * stride;
}

static void put_cell(struct sheet *s, size_t column, const char *text, size_t n) {
    widen(s);
    size_t at = s->rows * s->stride + column;
    s->cell[at] = s->text.length;
    for (size_t i = 0; i < n; i++) str_add(&s->text, text[i] ? &text[i] : " ", 1); // no NUL inside
    str_add(&s->text, "", 1);
}

static void put_json(struct sheet *s, size_t column, const struct json *v) {
    size_t n;
    const char *text = json_text(v, &n);
    struct str other = {0};
    if (json_type(v) == JSON_NULL) return;
    if (!text) {
        json_write(&other, v, 0);
        text = other.text;
        n = other.length;
    }
    put_cell(s, column, text, n);
    str_release(&other);
}

static void begin_row(struct sheet *s) {
    grow(&s->cell, &s->cell_capacity, (s->rows + 1) * s->stride, sizeof *s->cell);
    for (size_t c = 0; c < s->stride; c++) s->cell[s->rows * s->stride + c] = 0;
}

static void put_row(struct sheet *s, const struct record *r) {
    size_t n = record_columns(r);
    begin_row(s);
    while (r->header && s->columns < n) {
        size_t k;
        const char *name = record_column(r, s->columns, &k);
        add_column(s, name, k);
    }
    widen(s);
    for (size_t i = 0; i < n; i++) {
        size_t k;
        if (r->header) {
            const char *text = i < r->cells.n ? csv_field(&r->cells, i, &k) : NULL;
            if (text && k) put_cell(s, i, text, k);
            continue;
        }
        const char *name = json_key(r->json, i);
        size_t column = sheet_find(s, name);
        put_json(s, column == SHEET_NONE ? add_column(s, name, strlen(name)) : column,
                 json_value(r->json, i));
    }
    s->rows++;
}

bool sheet_read(struct sheet *s, const char *path, size_t most, struct fail *f) {
    struct record row = {0};
    struct fail bad = {0};
    *s = (struct sheet){.path = xstrdup(path)};
    str_add(&s->text, "", 1); // the empty cell
    if (f->code) return false;
    const char *paths[] = {path};
    struct records *r = records_open(1, paths, SYNTAX_AUTO, f);
    while ((!most || s->rows < most) && records_next(r, &row)) {
        if (bad.code) fail_pass(f, &bad); // not the last
        record_parse(&row);
        bad = row.bad;
        if (!bad.code) put_row(s, &row);
        if (s->rows * s->stride > SHEET_CELLS)
            fail_set(f, EXIT_BADDATA, "'%s' has more than %d cells; give a part of it", path,
                     SHEET_CELLS);
        if (f->code) break;
    }
    if (bad.code && !s->rows) fail_pass(f, &bad);
    record_release(&row);
    records_close(r);
    return !f->code;
}

bool sheet_append(struct sheet *to, const struct sheet *from, const char *name) {
    if (!to->text.length) {
        str_add(&to->text, "", 1);
        add_column(to, "file", 4);
        for (size_t c = 0; c < from->columns; c++)
            add_column(to, from->name[c], strlen(from->name[c]));
    }
    if (to->columns != from->columns + 1) return false;
    for (size_t c = 0; c < from->columns; c++)
        if (strcmp(to->name[c + 1], from->name[c])) return false;
    for (size_t i = 0; i < from->rows; i++) {
        begin_row(to);
        put_cell(to, 0, name, strlen(name));
        for (size_t c = 0; c < from->columns; c++) {
            const char *text = sheet_text(from, i, c);
            if (*text) put_cell(to, c + 1, text, strlen(text));
        }
        to->rows++;
    }
    return true;
}

void sheet_release(struct sheet *s) {
    for (size_t i = 0; i < s->columns; i++) free(s->name[i]);
    free(s->name);
    free(s->cell);
    free(s->path);
    str_release(&s->text);
    *s = (struct sheet){0};
}

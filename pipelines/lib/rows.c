#include "pipelines/lib/rows.h"
#include "common/base/mem.h"
#include "formats/bytes/csv.h"
#include "formats/bytes/json.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rows {
    const char *name;
    FILE *file;
    size_t n, needed, number; // number: lines read
    const char *const *names;
    struct fail *fail;
    char *line;
    size_t capacity, length;
    struct csv *csv; // NULL: JSON
    struct csv_row row;
    size_t *column; // (n) of the CSV, SIZE_MAX: none
    struct json *json;
    struct str *text; // (n) JSON values that are not text
};

struct rows *rows_open(const char *path, size_t n, const char *const *names, size_t needed,
                       struct fail *f) {
    struct rows *r = xcalloc(1, sizeof *r);
    bool standard = !strcmp(path, "-");
    *r = (struct rows){
        .name = standard ? "stdin" : path, .n = n, .needed = needed, .names = names, .fail = f};
    r->column = xcalloc(n, sizeof *r->column);
    r->text = xcalloc(n, sizeof *r->text);
    r->file = standard ? stdin : fopen(path, "r");
    if (!r->file) fail_set(f, EXIT_FAILED, "cannot open '%s': %s", path, strerror(errno));
    return r;
}

static bool read_line(struct rows *r) {
    errno = 0;
    ssize_t n = getline(&r->line, &r->capacity, r->file);
    if (n < 0 && ferror(r->file))
        return fail_set(r->fail, EXIT_FAILED, "cannot read '%s': %s", r->name, strerror(errno));
    if (n < 0) return false;
    r->number++;
    r->length = (size_t)n;
    return true;
}

static bool is_blank(const struct rows *r) {
    return strspn(r->line, " \t\r\n") == r->length;
}

// One row of the CSV, which may take several lines.
static bool next_csv(struct rows *r) {
    bool done = false, read = true, fine = true;
    while (!done && fine && (read = read_line(r)))
        fine = csv_feed(r->csv, r->line, r->length, &r->row, &done);
    if (r->fail->code) return false;
    if (fine && !read) fine = csv_end(r->csv, &r->row, &done);
    if (!fine)
        return fail_set(r->fail, EXIT_BADDATA, "'%s' line %zu: %s", r->name, r->number,
                        csv_message(r->csv));
    return done;
}

static bool read_header(struct rows *r) {
    for (size_t i = 0; i < r->n; i++) {
        r->column[i] = SIZE_MAX;
        for (size_t c = 0, n; c < r->row.n; c++) {
            const char *name = csv_field(&r->row, c, &n);
            if (n == strlen(r->names[i]) && !memcmp(name, r->names[i], n)) r->column[i] = c;
        }
        if (r->column[i] == SIZE_MAX && i < r->needed)
            return fail_set(r->fail, EXIT_BADDATA, "'%s' has no column '%s'; give it in the header",
                            r->name, r->names[i]);
    }
    return true;
}

// The first line decides: an object begins JSON, all else is a header.
static bool begin(struct rows *r) {
    do {
        if (!read_line(r)) return false;
    } while (is_blank(r));
    if (!strncmp(r->line, "\xEF\xBB\xBF", 3)) memmove(r->line, r->line + 3, r->length -= 3);
    if (r->line[strspn(r->line, " \t")] == '{') return true;
    r->csv = csv_new(',');
    bool done = false;
    if (!csv_feed(r->csv, r->line, r->length, &r->row, &done))
        return fail_set(r->fail, EXIT_BADDATA, "'%s' line %zu: %s", r->name, r->number,
                        csv_message(r->csv));
    if (!done && !next_csv(r)) return false;
    return read_header(r) && next_csv(r);
}

static bool next_json(struct rows *r, bool have_line) {
    json_free(r->json);
    r->json = NULL;
    while (!have_line || is_blank(r)) {
        if (!read_line(r)) return false;
        have_line = true;
    }
    r->json = json_parse_at(r->line, r->length, r->name, r->number, r->fail);
    if (!r->json) return false;
    if (json_type(r->json) != JSON_OBJECT)
        return fail_set(r->fail, EXIT_BADDATA, "'%s' line %zu: not a JSON object", r->name,
                        r->number);
    for (size_t i = 0; i < r->n; i++) {
        const struct json *v = json_get(r->json, r->names[i]);
        if (i < r->needed && json_type(v) != JSON_STRING)
            return fail_set(r->fail, EXIT_BADDATA, "'%s' line %zu: no text '%s'", r->name,
                            r->number, r->names[i]);
        r->text[i].length = 0;
        if (v && json_type(v) != JSON_STRING) json_write(&r->text[i], v, 0);
    }
    return true;
}

bool rows_next(struct rows *r) {
    if (r->fail->code) return false;
    if (!r->number) {
        if (!begin(r)) return false;
        return r->csv ? true : next_json(r, true);
    }
    return r->csv ? next_csv(r) : next_json(r, false);
}

const char *rows_field(const struct rows *r, size_t i, size_t *n) {
    *n = 0;
    if (r->csv) return r->column[i] < r->row.n ? csv_field(&r->row, r->column[i], n) : NULL;
    const struct json *v = json_get(r->json, r->names[i]);
    if (json_type(v) == JSON_NULL) return NULL;
    if (json_type(v) == JSON_STRING) return json_text(v, n);
    *n = r->text[i].length;
    return r->text[i].text;
}

double rows_number(const struct rows *r, size_t i) {
    char text[64], *end;
    size_t n;
    const char *field = rows_field(r, i, &n);
    if (!field || !n || n >= sizeof text) return NAN;
    memcpy(text, field, n); // a field of a CSV has no NUL behind it
    text[n] = '\0';
    double value = strtod(text, &end);
    return *end ? (double)NAN : value;
}

void rows_close(struct rows *r) {
    if (!r) return;
    if (r->file && r->file != stdin) fclose(r->file);
    if (r->csv) csv_release(r->csv);
    csv_row_release(&r->row);
    json_free(r->json);
    for (size_t i = 0; i < r->n; i++) str_release(&r->text[i]);
    free(r->text);
    free(r->column);
    free(r->line);
    free(r);
}

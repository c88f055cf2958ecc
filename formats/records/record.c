// One row and its fields; see formats/records/records.h.
#include "common/base/unicode.h"
#include "formats/records/records.h"
#include <stdlib.h>
#include <string.h>

static bool begin_use(struct record *record) { // nothing is used yet
    size_t n = record_columns(record);
    grow(&record->used, &record->used_capacity, n, sizeof *record->used);
    for (size_t i = 0; i < n; i++) record->used[i] = false;
    record->used_n = n;
    return true;
}

bool record_parse(struct record *record) {
    const struct str *s = &record->cells.text;
    const char *text = s->text ? s->text : "";
    if (record->bad.code || record->json) return !record->bad.code;
    size_t valid = unicode_valid_prefix(text, s->length);
    if (valid < s->length) {
        size_t line = record->line;
        for (size_t i = 0; i < valid; i++) line += text[i] == '\n';
        return fail_set(&record->bad, EXIT_BADDATA, "invalid UTF-8 in '%s' line %zu", record->path,
                        line);
    }
    if (record->syntax != SYNTAX_JSON && record->syntax != SYNTAX_JSONL) return begin_use(record);
    record->json = json_parse_at(text, s->length, record->path, record->line, &record->bad);
    if (record->json && json_type(record->json) != JSON_OBJECT)
        fail_set(&record->bad, EXIT_BADDATA, "'%s' line %zu: %s instead of an object", record->path,
                 record->line, json_type_name(json_type(record->json)));
    return begin_use(record) && !record->bad.code;
}

size_t record_columns(const struct record *record) {
    if (record->header) return record->header->n;
    if (record->syntax == SYNTAX_TEXT) return 1;
    return json_type(record->json) == JSON_OBJECT ? json_size(record->json) : 0;
}

const char *record_column(const struct record *record, size_t i, size_t *n) {
    if (record->header) return csv_field(record->header, i, n);
    const char *name = record->syntax == SYNTAX_TEXT ? "text" : json_key(record->json, i);
    *n = strlen(name);
    return name;
}

static size_t column(const struct record *record, const char *name) { // SIZE_MAX: none
    size_t k = strlen(name), columns = record_columns(record);
    for (size_t i = 0; i < columns; i++) {
        size_t n;
        const char *have = record_column(record, i, &n);
        if (n == k && !memcmp(have, name, n)) return i;
    }
    return SIZE_MAX;
}

static bool filled(const struct record *record, size_t i) {
    size_t n = 1;
    if (record->header) return i < record->cells.n && csv_field(&record->cells, i, &n) && n;
    return record->syntax == SYNTAX_TEXT || json_type(json_value(record->json, i)) != JSON_NULL;
}

bool record_unused(const struct record *record, size_t i) {
    return i < record->used_n && !record->used[i] && filled(record, i);
}

static void mark(const struct record *record, size_t i) {
    if (i < record->used_n) record->used[i] = true;
}

bool record_names_it(const struct record *record, const char *name) {
    return column(record, name) != SIZE_MAX;
}

bool record_has(const struct record *record, const char *name) {
    size_t i = column(record, name);
    return i != SIZE_MAX && (record->header || record->nulls || filled(record, i));
}

const char *record_text(const struct record *record, const char *name, size_t *n) {
    size_t i = column(record, name);
    const char *text = NULL;
    *n = 0;
    if (i == SIZE_MAX) return NULL;
    if (record->header)
        text = i < record->cells.n ? csv_field(&record->cells, i, n) : NULL;
    else if (record->syntax == SYNTAX_TEXT)
        text = record->cells.text.text, *n = record->cells.text.length;
    else
        text = json_text(json_value(record->json, i), n);
    if (text) mark(record, i);
    return text;
}

const struct json *record_json(const struct record *record, const char *name) {
    size_t i = record->json ? column(record, name) : SIZE_MAX;
    if (i == SIZE_MAX) return NULL;
    if (filled(record, i)) mark(record, i);
    return json_value(record->json, i);
}

void record_names(const struct record *record, struct str *to) {
    for (size_t i = 0, n; i < record_columns(record); i++) {
        const char *name = record_column(record, i, &n);
        str_puts(to, i ? ", " : "");
        for (size_t k = 0; k < n && k < 40; k++) // nothing that moves a terminal's cursor
            str_add(to, (unsigned char)name[k] < 32 || name[k] == 127 ? "?" : &name[k], 1);
    }
}

void record_release(struct record *record) {
    json_free(record->json);
    csv_row_release(&record->cells);
    free(record->used);
    *record = (struct record){0};
}

// One row and its fields; see formats/records/records.h.
#include "common/base/unicode.h"
#include "formats/records/records.h"
#include <stdlib.h>
#include <string.h>

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
    if (record->syntax != SYNTAX_JSON && record->syntax != SYNTAX_JSONL) return true;
    record->json = json_parse_at(text, s->length, record->path, record->line, &record->bad);
    if (record->json && json_type(record->json) != JSON_OBJECT)
        fail_set(&record->bad, EXIT_BADDATA, "'%s' line %zu: %s instead of an object", record->path,
                 record->line, json_type_name(json_type(record->json)));
    return !record->bad.code;
}

static size_t column(const struct record *record, const char *name) {
    size_t k = strlen(name);
    for (size_t i = 0; i < record->header->n; i++) {
        size_t n;
        const char *have = csv_field(record->header, i, &n);
        if (n == k && !memcmp(have, name, n)) return i;
    }
    return SIZE_MAX;
}

bool record_has(const struct record *record, const char *name) {
    if (record->header) return column(record, name) != SIZE_MAX;
    if (record->syntax == SYNTAX_TEXT) return !strcmp(name, "text");
    return json_type(json_get(record->json, name)) != JSON_NULL;
}

const char *record_text(const struct record *record, const char *name, size_t *n) {
    *n = 0;
    if (record->header) {
        size_t i = column(record, name);
        return i < record->cells.n ? csv_field(&record->cells, i, n) : NULL;
    }
    if (record->syntax != SYNTAX_TEXT) return json_text(json_get(record->json, name), n);
    if (strcmp(name, "text")) return NULL;
    *n = record->cells.text.length;
    return record->cells.text.text;
}

const struct json *record_json(const struct record *record, const char *name) {
    return json_get(record->json, name);
}

void record_names(const struct record *record, struct str *to) {
    size_t n = record->header ? record->header->n : json_size(record->json), k;
    if (record->syntax == SYNTAX_TEXT) str_puts(to, "text");
    for (size_t i = 0; i < n; i++) {
        const char *name =
            record->header ? csv_field(record->header, i, &k) : json_key(record->json, i);
        if (!record->header) k = strlen(name);
        str_printf(to, "%s%.*s", i ? ", " : "", (int)(k < 40 ? k : 40), name);
    }
}

void record_release(struct record *record) {
    json_free(record->json);
    csv_row_release(&record->cells);
    *record = (struct record){0};
}

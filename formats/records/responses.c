#include "formats/records/responses.h"
#include "common/base/mem.h"
#include "common/base/value.h"
#include "formats/records/records.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *copy_field(const struct record *r, const char *name, size_t *n, struct fail *f) {
    const char *text = record_text(r, name, n);
    if (!text) {
        struct str names = {0};
        record_names(r, &names);
        if (record_has(r, name))
            fail_set(f, EXIT_BADDATA, "'%s' line %zu: '%s' is no text", r->path, r->line, name);
        if (record_names_it(r, name))
            fail_set(f, EXIT_BADDATA, "'%s' line %zu: '%s' is null", r->path, r->line, name);
        fail_set(f, EXIT_BADDATA, "'%s' line %zu: no column '%s'; there are: %s", r->path, r->line,
                 name, names.text ? names.text : "none");
        str_release(&names);
        return NULL;
    }
    char *copy = xmalloc(*n + 1);
    memcpy(copy, text, *n);
    copy[*n] = 0;
    return copy;
}

// A number as JSON has it, or as a CSV cell; `without` where there is none.
static double number(const struct record *r, const char *name, double without) {
    const struct json *v = record_json(r, name);
    if (v) return json_type(v) == JSON_NUMBER ? json_number(v) : without;
    size_t n;
    char word[64];
    double value;
    const char *text = record_text(r, name, &n);
    if (!text || n >= sizeof word) return without;
    memcpy(word, text, n);
    word[n] = 0;
    return value_real(word, &value) && isfinite(value) ? value : without;
}

static void add_row(struct responses *r, size_t *capacity, const struct record *in,
                    struct fail *f) {
    struct response_text t = {.line = in->line, .difficulty = number(in, "difficulty", NAN)};
    t.row = (int64_t)number(in, "row", (double)r->n);
    t.sample = (int64_t)number(in, "sample", 0);
    t.tokens = number(in, "tokens", 0);
    t.prompt = copy_field(in, "prompt", &t.prompt_bytes, f);
    if (t.prompt) t.response = copy_field(in, "response", &t.response_bytes, f);
    grow(&r->items, capacity, r->n + 1, sizeof *r->items);
    r->items[r->n++] = t;
}

bool responses_load(struct responses *r, const char *path, struct fail *f) {
    struct record row = {0};
    size_t capacity = 0;
    *r = (struct responses){.path = path};
    struct records *in = records_open(1, &path, SYNTAX_AUTO, f);
    while (!f->code && records_next(in, &row)) {
        if (record_parse(&row))
            add_row(r, &capacity, &row, f);
        else
            fail_pass(f, &row.bad);
    }
    record_release(&row);
    if (in) records_close(in);
    if (!r->n) fail_set(f, EXIT_BADDATA, "no rows in '%s'; nothing to do", path);
    if (f->code) responses_release(r);
    return !f->code;
}

void responses_release(struct responses *r) {
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].prompt);
        free(r->items[i].response);
    }
    free(r->items);
    *r = (struct responses){.path = r->path};
}

size_t responses_characters(const char *text, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

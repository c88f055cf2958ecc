#include "stages/eval/rows.h"
#include "common/base/jsonout.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "formats/bytes/whole_file.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rows {
    size_t columns, cells;
    const char *const *names;
    const char *output;
    bool json;
    struct str text;
};

static void csv_cell(struct str *s, const char *text, size_t n) {
    bool plain = true;
    for (size_t i = 0; i < n; i++) plain = plain && !strchr(",\"\r\n", text[i]);
    if (plain) {
        str_add(s, text, n);
        return;
    }
    str_puts(s, "\"");
    for (size_t i = 0; i < n; i++)
        str_add(s, text[i] == '"' ? "\"\"" : text + i, text[i] == '"' ? 2 : 1);
    str_puts(s, "\"");
}

struct rows *rows_new(size_t columns, const char *const *names, const char *output) {
    struct rows *r = xcalloc(1, sizeof *r);
    *r = (struct rows){.columns = columns, .names = names, .output = output};
    r->json = output && text_ends(output, ".json");
    if (r->json) str_puts(&r->text, "[");
    for (size_t c = 0; c < columns && !r->json; c++) {
        if (c) str_puts(&r->text, ",");
        csv_cell(&r->text, names[c], strlen(names[c]));
    }
    return r;
}

static void begin_cell(struct rows *r) {
    size_t column = r->cells++ % r->columns;
    if (!r->json) {
        str_puts(&r->text, column ? "," : "\n");
        return;
    }
    str_puts(&r->text, column ? ", " : r->cells > 1 ? "},\n {" : "\n {");
    jsonout_text(&r->text, r->names[column]);
    str_puts(&r->text, ": ");
}

void rows_number(struct rows *r, double value) {
    begin_cell(r);
    char digits[32];
    jsonout_digits(value, digits);
    if (r->json)
        jsonout_number(&r->text, value);
    else
        str_puts(&r->text, digits);
}

void rows_text(struct rows *r, const char *text, size_t n) {
    begin_cell(r);
    if (r->json)
        jsonout_bytes(&r->text, text, n);
    else
        csv_cell(&r->text, text, n);
}

bool rows_finish(struct rows *r, struct fail *f) {
    if (!r) return !f->code;
    assert(f->code || r->cells % r->columns == 0);
    if (r->json) str_puts(&r->text, r->cells ? "}\n]" : "]");
    if (!f->code && !r->output) print_result("%s", r->text.text);
    str_puts(&r->text, "\n");
    if (!f->code && r->output) whole_file_write(r->output, r->text.text, r->text.length, f);
    str_release(&r->text);
    free(r);
    return !f->code;
}

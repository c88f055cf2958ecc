// Any bytes as a data file: the first byte picks syntax and kind, the rest is read, recognised,
// read by every shape and checked as tokenize does.
#include "formats/records/ledger.h"
#include "formats/records/pair_set.h"
#include "formats/records/shapes.h"
#include "tests/fuzz/replay.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void one_line(const struct fail *f) { // a failure says why, in one line
    if (f->code && (!*f->text || strchr(f->text, '\n'))) abort();
}

// A row that fits a shape says something, and what is made of it can be looked at.
static void look(struct record *row, enum data_kind kind, const struct example *x,
                 struct ledger *ledger) {
    const struct text_rules rules[] = {{.template = true, .bos = "<s>"}, {.rendered = true}};
    if (!x->ids.n && !x->n) abort(); // a good row has a prompt
    for (size_t i = 0; i < x->n; i++)
        if (x->turns[i].n && !x->turns[i].text) abort();
    if (kind == DATA_PREF && !pair_key(x)) abort();
    example_beyond_text(x);
    for (size_t i = 0, n; i < record_columns(row); i++)
        if (record_unused(row, i)) ledger_unused(ledger, record_column(row, i, &n), n);
    for (size_t i = 0; i < 2; i++) {
        row->bad = (struct fail){0};
        if (!texts_check(row, kind, &rules[i], x)) ledger_bad(ledger, i, row->bad.text);
        one_line(&row->bad);
    }
}

// By the shape that it seems to have and, since a user may name one, by each of the others.
static void read_row(struct record *row, enum data_kind kind, const struct field_map *map,
                     struct example *x, struct ledger *ledger) {
    struct str names = {0};
    bool sure;
    bool fine = record_parse(row);
    enum shape recognised = fine ? shape_tell(row, kind, map, &sure) : SHAPE_AUTO;
    one_line(&row->bad);
    for (enum shape shape = SHAPE_AUTO; fine && shape <= SHAPE_IDS; shape++) {
        row->bad = (struct fail){0};
        if (shape_read(row, shape ? shape : recognised, kind, map, x))
            look(row, kind, x, ledger);
        else if (!row->bad.code)
            abort();
        one_line(&row->bad);
    }
    record_names(row, &names);
    str_release(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) abort();
    char *path = xasprintf("/proc/self/fd/%d", fd);
    const char *paths[] = {path, path};
    struct fail f = {0};
    struct record row = {0};
    struct example x = {0};
    struct field_map map = {0};
    static struct ledger ledger;
    struct records *r = records_open(2, paths, (enum record_syntax)(data[0] % 6), &f);
    while (records_next(r, &row)) {
        read_row(&row, (enum data_kind)(data[0] / 6 % 4), &map, &x, &ledger);
        if (row.bad.code) ledger_bad(&ledger, false, row.bad.text);
    }
    one_line(&f);
    struct fail verdict = {0};
    if (ledger_check(&ledger, false, false, &verdict) != !ledger.bad) abort();
    one_line(&verdict);
    ledger = (struct ledger){0};
    example_release(&x);
    record_release(&row);
    records_close(r);
    free(path);
    close(fd);
    return 0;
}

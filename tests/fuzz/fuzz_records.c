// Any bytes as a data file: the first byte picks syntax and kind, the rest is read, told and
// shaped.
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

static void read_row(struct record *row, enum data_kind kind, const struct field_map *map,
                     struct example *x) {
    struct str names = {0};
    if (record_parse(row)) {
        bool sure;
        enum shape shape = shape_tell(row, kind, map, &sure);
        if (shape != SHAPE_AUTO && shape_read(row, shape, kind, map, x) && !x->ids.n && !x->n)
            abort(); // a good row has a prompt
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
    struct records *r = records_open(2, paths, (enum record_syntax)(data[0] % 6), &f);
    while (records_next(r, &row)) {
        read_row(&row, (enum data_kind)(data[0] / 6 % 4), &map, &x);
        one_line(&row.bad);
    }
    one_line(&f);
    example_release(&x);
    record_release(&row);
    records_close(r);
    free(path);
    close(fd);
    return 0;
}

// Any bytes as a file of each kind, read whole by the reader that its `kind` asks for.
#include "formats/models/adapter_file.h"
#include "formats/models/checkpoint.h"
#include "formats/models/model_file.h"
#include "formats/tokens/reference.h"
#include "formats/teachers/teacher_set.h"
#include "formats/tokens/tokens.h"
#include "tests/fuzz/replay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(bool ok, const struct fail *f) {
    if (ok != !f->code || strchr(f->text, '\n')) abort(); // a failure says why, in one line
}

static void read_kind(const char *path, const char *kind) {
    struct fail f = {0};
    if (!strcmp(kind, "model")) {
        struct model_file m;
        check(model_file_load(path, &m, &f), &f);
        if (!f.code) model_file_release(&m);
    } else if (!strcmp(kind, "adapter")) {
        check(adapter_file_verify(path, &f), &f);
    } else if (!strcmp(kind, "reference")) {
        check(reference_check(path, &f), &f);
    } else if (!strcmp(kind, "checkpoint")) {
        check(checkpoint_verify(path, &f), &f);
    } else if (!strcmp(kind, "tokens")) {
        struct tokens t;
        check(tokens_load(&t, 1, &path, &f), &f);
        if (!f.code) tokens_release(&t);
    } else if (!strcmp(kind, "pairs")) {
        struct pairs p;
        check(pairs_load(&p, 1, &path, &f), &f);
        if (!f.code) pairs_release(&p);
    } else if (!strcmp(kind, "teacher")) {
        struct teacher_row row;
        struct teacher_set *s = teacher_set_open(1, &path, &f);
        for (size_t i = 0; s && i < teacher_set_rows(s); i++)
            if (!teacher_set_row(s, i, &row)) break;
        teacher_set_close(s);
    }
}

static void read_table(const char *path) {
    struct fail f = {0};
    struct columns_reader *r = columns_open(path, NULL, &f);
    if (r) check(columns_verify(r), &f);
    columns_close(r);
}

// libhdf5 wants a path: that of a file in memory, one for all inputs.
static void put(int fd, const uint8_t *data, size_t size) {
    if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[40];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    put(fd, data, size);
    struct fail f = {0};
    struct artefact a;
    check(artefact_read(path, NULL, &a, &f), &f);
    if (!f.code) read_kind(path, a.kind);
    if (!f.code) read_table(path);
    artefact_release(&a);
    return 0;
}

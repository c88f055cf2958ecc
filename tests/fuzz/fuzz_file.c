// Any bytes as a file of each kind, read whole by the reader that its `kind` asks for.
#include "formats/models/checkpoint.h"
#include "formats/models/adapter_file.h"
#include "formats/tokens/reference.h"
#include "formats/store/spool.h"
#include "formats/teachers/teacher_set.h"
#include "formats/tokens/tokens.h"
#include "tests/fuzz/replay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[] = "/tmp/fuzz_file.XXXXXX"; // libhdf5 wants a real file
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    struct fail f = {0};
    struct artefact a;
    check(artefact_read(path, NULL, &a, &f), &f);
    if (!f.code) read_kind(path, a.kind);
    if (!f.code) read_table(path);
    artefact_release(&a);
    struct fail g = {0};
    struct spool *s = spool_open(path, "kind: tokens\n", true, &g);
    if (!s && !g.code) abort();
    spool_close(s, true);
    close(fd);
    unlink(path);
    return 0;
}

#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/models/checkpoint.h"
#include "formats/models/adapter_file.h"
#include "formats/teachers/teacher_file.h"
#include "formats/tokens/tokens.h"
#include "stages/shard/shard.h"
#include <stdlib.h>
#include <string.h>

struct checked { // a file with rows that is fine by itself
    const char *path;
    char *set; // what all shards of its set have in common
    struct part part;
};

static bool check_teacher(struct columns_reader *r, struct fail *f) {
    struct teacher_shard t;
    struct teacher_info i;
    bool ok = teacher_info_read(&i, r, f) && teacher_shard_load(&t, r, f);
    if (ok) teacher_shard_release(&t);
    teacher_info_release(&i);
    return ok;
}

static bool check_table(const char *path, struct checked *c, struct fail *f) {
    struct columns_reader *r = columns_open(path, NULL, f);
    if (!r) return false;
    const struct artefact *a = columns_artefact(r);
    c->part = columns_part(r);
    c->path = path;
    c->set = artefact_lineage(a);
    bool ok = columns_verify(r) && (strcmp(a->kind, "teacher") || check_teacher(r, f));
    columns_close(r);
    return ok;
}

static bool check(const char *path, struct checked *c, struct fail *f) {
    struct artefact a;
    *c = (struct checked){0};
    if (!artefact_read(path, NULL, &a, f)) return false;
    if (!strcmp(a.kind, "model")) {
        struct model_file m;
        if (model_file_load_as(path, MODEL_ANY, false, &m, f)) model_file_release(&m);
    } else if (!strcmp(a.kind, "adapter")) {
        adapter_file_verify(path, f);
    } else if (!strcmp(a.kind, "checkpoint")) {
        checkpoint_verify(path, f);
    } else {
        check_table(path, c, f);
    }
    artefact_release(&a);
    return !f->code;
}

static bool same_set(const struct checked *a, const struct checked *b) {
    return b->set && a->part.parts == b->part.parts && a->part.rows_total == b->part.rows_total &&
           !strcmp(a->set, b->set);
}

// Names the parts of files[i]'s set that are not there, once, at its first file.
static bool check_set(const struct checked *files, size_t n, size_t i) {
    const struct checked *c = &files[i];
    if (!c->set) return true;
    for (size_t k = 0; k < i; k++)
        if (same_set(c, &files[k])) return true;
    const struct checked **at = xcalloc(c->part.parts, sizeof *at);
    for (size_t k = i; k < n; k++)
        if (same_set(c, &files[k])) at[files[k].part.part] = &files[k];
    size_t missing = 0, first = 0;
    struct fail f = {0};
    for (size_t p = c->part.parts; p-- > 0;) {
        if (!at[p]) missing++, first = p;
        if (p && at[p] && at[p - 1]) columns_follows(at[p]->part, at[p - 1]->part, at[p]->path, &f);
    }
    free(at);
    if (f.code) warn("%s", f.text);
    if (missing)
        warn("'%s' is of a set of %zu parts, of which %zu are missing or damaged, the first part "
             "%zu; give them all or make them again",
             c->path, c->part.parts, missing, first);
    return !missing && !f.code;
}

// tokens and pairs: lengths, masks and ids must fit each other, over the file by itself.
static bool check_rows(const struct checked *c, struct fail *f) {
    if (c->part.parts != 1) return true;
    if (!strncmp(c->set, "kind: tokens\n", 13)) {
        struct tokens t;
        if (tokens_load(&t, 1, &c->path, f)) tokens_release(&t);
    } else if (!strncmp(c->set, "kind: pairs\n", 12)) {
        struct pairs p;
        if (pairs_load(&p, 1, &c->path, f)) pairs_release(&p);
    }
    return !f->code;
}

int shard_check(int argc, char **argv) {
    struct options o = {.program = "shard check",
                        .usage = "FILE...",
                        .summary =
                            "Reads everything: every chunk's checksum, the content hash, and "
                            "whether each set is whole. Exit 3 if anything is wrong."};
    struct opt_list files;
    shard_options(&o, argc, argv, &files, 1);
    struct checked *checked = xcalloc(files.n, sizeof *checked);
    int code = EXIT_DONE;
    for (size_t i = 0; i < files.n; i++) {
        struct fail f = {0};
        if (check(files.items[i], &checked[i], &f) &&
            (!checked[i].set || check_rows(&checked[i], &f))) {
            print_result("%s\tok", files.items[i]);
            continue;
        }
        warn("%s", f.text);
        code = f.code;
        free(checked[i].set);
        checked[i].set = NULL;
    }
    for (size_t i = 0; i < files.n; i++)
        if (!check_set(checked, files.n, i)) code = EXIT_BADDATA;
    for (size_t i = 0; i < files.n; i++) free(checked[i].set);
    free(checked);
    shard_files_release(&files);
    options_release(&o);
    return code;
}

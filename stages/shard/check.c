#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/models/checkpoint.h"
#include "formats/bytes/json.h"
#include "formats/models/adapter_file.h"
#include "formats/models/tokenizer_json.h"
#include "formats/tokens/reference.h"
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

// The tokenizer that a file carries along, of which its readers make texts.
static bool check_tokenizer(const char *text, size_t n, const char *path, struct fail *f) {
    struct fail bad = {0};
    struct tokenizer *t = text ? tokenizer_parse(text, n, path, &bad) : NULL;
    if (t) tokenizer_free(t);
    if (bad.code) fail_set(f, EXIT_BADDATA, "'%s': its tokenizer.json: %s", path, bad.text);
    return !f->code;
}

static bool check_table(const char *path, struct checked *c, struct fail *f) {
    struct columns_reader *r = columns_open(path, NULL, f);
    if (!r) return false;
    const struct artefact *a = columns_artefact(r);
    size_t n = 0;
    c->part = columns_part(r);
    c->path = path;
    c->set = artefact_lineage(a);
    char *tokenizer = columns_verify(r) ? columns_blob(r, "tokenizer.json", &n) : NULL;
    if (!f->code) check_tokenizer(tokenizer, n, path, f);
    if (!f->code && !strcmp(a->kind, "teacher")) check_teacher(r, f);
    if (!f->code && !strcmp(a->kind, "tokens")) tokens_check(path, f);
    if (!f->code && !strcmp(a->kind, "pairs")) pairs_check(path, f);
    if (!f->code && !strcmp(a->kind, "reference")) reference_check(path, f);
    free(tokenizer);
    columns_close(r);
    return !f->code;
}

static void check_model(const char *path, struct fail *f) {
    struct model_file m;
    if (!model_file_verify(path, MODEL_ANY, &m, f)) return;
    const char *text = m.tokenizer_json;
    check_tokenizer(text, text ? strlen(text) : 0, path, f);
    const char *const texts[] = {m.config_json, m.tokenizer_config_json, m.special_tokens_json,
                                 m.generation_config_json};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i]) json_free(json_parse(texts[i], strlen(texts[i]), path, f));
    }
    model_file_release(&m);
}

static bool check(const char *path, struct checked *c, struct fail *f) {
    struct artefact a;
    *c = (struct checked){0};
    if (!artefact_read(path, NULL, &a, f)) return false;
    if (!strcmp(a.kind, "model"))
        check_model(path, f);
    else if (!strcmp(a.kind, "adapter"))
        adapter_file_verify(path, f);
    else if (!strcmp(a.kind, "checkpoint"))
        checkpoint_verify(path, f);
    else
        check_table(path, c, f);
    artefact_release(&a);
    return !f->code;
}

bool shard_check_file(const char *path, struct fail *f) {
    struct checked c;
    bool ok = check(path, &c, f);
    free(c.set);
    return ok;
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
        if (check(files.items[i], &checked[i], &f)) {
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

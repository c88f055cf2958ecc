// The whole set that files belong to, and files made from it.
#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/bytes/json.h"
#include "formats/teachers/columns_rows.h"
#include "stages/shard/shard.h"
#include <stdlib.h>
#include <string.h>

static int by_part(const void *a, const void *b) {
    size_t x = columns_part(*(struct columns_reader *const *)a).part;
    size_t y = columns_part(*(struct columns_reader *const *)b).part;
    return (x > y) - (x < y);
}

struct columns_reader **shard_set_open(const struct opt_list *files, struct fail *f) {
    struct columns_reader **set = xcalloc(files->n, sizeof *set);
    for (size_t i = 0; i < files->n; i++) {
        set[i] = columns_open(files->items[i], NULL, f);
        die_if(f);
        columns_same_set(set[0], set[i], f);
        die_if(f);
        columns_rest(set[i]); // there may be more of them than files that may be open
    }
    qsort(set, files->n, sizeof *set, by_part);
    size_t parts = columns_part(set[0]).parts;
    for (size_t i = 0; i < files->n; i++)
        if (i && columns_part(set[i]).part == columns_part(set[i - 1]).part)
            die(EXIT_BADDATA, "'%s' and '%s' are the same part %zu", columns_path(set[i - 1]),
                columns_path(set[i]), columns_part(set[i]).part);
    if (files->n != parts)
        die(EXIT_BADDATA, "'%s' is of a set of %zu parts, of which %zu were given; give them all",
            columns_path(set[0]), parts, files->n);
    for (size_t i = 1; i < parts; i++)
        columns_follows(columns_part(set[i]), columns_part(set[i - 1]), columns_path(set[i]), f);
    die_if(f);
    return set;
}

void shard_set_close(struct columns_reader **set, size_t parts) {
    for (size_t i = 0; i < parts; i++) columns_close(set[i]);
    free(set);
}

struct lineage shard_same_lineage(const struct columns_reader *r) {
    const struct artefact *a = columns_artefact(r);
    return (struct lineage){a->kind, a->stage, a->version, a->options, a->parents, NULL};
}

struct lineage shard_new_lineage(struct columns_reader **set, size_t parts, const char *stage,
                                 const char *options) {
    const struct artefact *a = columns_artefact(set[0]);
    struct lineage l = {.kind = a->kind, .stage = stage, .version = a->version, .options = options};
    for (size_t i = 0; i < parts; i++)
        parents_add(&l.parents, a->kind, columns_artefact(set[i])->content);
    return l;
}

char *shard_options_json(const struct options *o, const struct columns_reader *from) {
    static const char *const kept[] = {"precision", "frozen-dtype"};
    struct fail ignored = {0};
    const char *text = columns_artefact(from)->options;
    struct json *said = json_parse(text, strlen(text), "options", &ignored);
    struct str s = {0};
    char *own = options_json(o);
    str_add(&s, own, strlen(own) - 1); // up to its brace
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *name = json_text(json_get(said, kept[i]), NULL);
        if (name && !strcmp(name, "bf16")) str_printf(&s, ",\"%s\":\"bf16\"", kept[i]);
    }
    str_puts(&s, "}");
    free(own);
    json_free(said);
    return s.text;
}

static void set_number(struct columns_extras *e, const char *name, int64_t number) {
    for (size_t i = 0; i < e->n_attrs; i++)
        if (!strcmp(e->attrs[i].name, name)) e->attrs[i].number = number;
}

struct columns_writer *shard_writer(const char *output, struct columns_reader *like,
                                    const struct lineage *l, const struct columns_plan *plan,
                                    size_t max_length, struct fail *f) {
    struct columns_extras e;
    size_t n;
    const struct column *columns = columns_list(like, &n);
    columns_extras(like, &e);
    if (max_length) set_number(&e, "max_length", (int64_t)max_length);
    struct columns_writer *w = f->code ? NULL
                                       : columns_create(output, l, n, columns, e.n_attrs, e.attrs,
                                                        e.n_blobs, e.blobs, plan, f);
    columns_free_extras(&e);
    return w;
}

bool shard_copy(struct columns_writer *w, struct columns_reader **set, size_t parts,
                struct fail *f) {
    for (size_t part = 0; w && part < parts; part++) {
        struct columns_rows *rows = columns_rows_load(set[part], f);
        columns_rest(set[part]);
        bool ok = rows != NULL;
        for (size_t i = 0; ok && i < columns_rows_count(rows); i++)
            ok = columns_rows_copy(rows, i, w);
        columns_rows_free(rows);
        if (!ok) return false;
    }
    return w != NULL;
}

void shard_print_path(void *self, const char *path) {
    (void)self;
    print_result("%s", path);
}

struct opt_row shard_output_row(const char **output, const char *help) {
    return (struct opt_row){"output",      OPT_TEXT,          OPT_OUTPUT,   output,
                            .letter = 'o', .metavar = "FILE", .help = help, .required = true};
}

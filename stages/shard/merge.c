#include "common/fail.h"
#include "common/log.h"
#include "formats/columns.h"
#include "stages/shard/shard.h"
#include <stdlib.h>
#include <string.h>

static int by_part(const void *a, const void *b) {
    size_t x = columns_part(*(struct columns_reader *const *)a).part;
    size_t y = columns_part(*(struct columns_reader *const *)b).part;
    return (x > y) - (x < y);
}

// All parts of one set, in order, or dies.
static struct columns_reader **open_set(const struct opt_list *files, struct fail *f) {
    struct columns_reader **set = xcalloc(files->n, sizeof *set);
    for (size_t i = 0; i < files->n; i++) {
        set[i] = columns_open(files->items[i], NULL, f);
        die_if(f);
        columns_same_set(set[0], set[i], f);
        die_if(f);
        columns_rest(set[i]);
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
    return set;
}

static struct columns_writer *create(const char *output, struct columns_reader *first,
                                     struct fail *f) {
    const struct artefact *a = columns_artefact(first);
    struct lineage l = {.kind = a->kind,
                        .stage = a->stage,
                        .version = a->version,
                        .options = a->options,
                        .parents = a->parents};
    struct columns_plan plan = {.rows_total = columns_part(first).rows_total,
                                .zstd_level = columns_level(first)};
    struct columns_extras e;
    size_t n;
    const struct column *columns = columns_list(first, &n);
    columns_extras(first, &e);
    struct columns_writer *w = f->code ? NULL
                                       : columns_create(output, &l, n, columns, e.n_attrs, e.attrs,
                                                        e.n_blobs, e.blobs, &plan, f);
    columns_free_extras(&e);
    return w;
}

static bool append_column(struct columns_writer *w, size_t column, struct columns_reader *r) {
    size_t n;
    const struct column *c = &columns_list(r, &n)[column];
    size_t count = columns_count(r, c->name);
    char *bytes = xmalloc(COLUMN_CHUNK * column_size(c->type));
    bool ok = true;
    for (size_t at = 0; ok && at < count; at += COLUMN_CHUNK) {
        size_t take = count - at < COLUMN_CHUNK ? count - at : COLUMN_CHUNK;
        ok = columns_read(r, c->name, at, take, bytes) && columns_append(w, column, bytes, take);
    }
    free(bytes);
    return ok;
}

// Columns of all shards end to end; then the rows are merely counted.
static bool copy(struct columns_writer *w, struct columns_reader **set, size_t parts) {
    size_t n;
    bool ok = w != NULL;
    columns_list(set[0], &n);
    for (size_t part = 0; ok && part < parts; part++) {
        for (size_t c = 0; ok && c < n; c++) ok = append_column(w, c, set[part]);
        columns_rest(set[part]);
    }
    for (size_t i = 0; ok && i < columns_part(set[0]).rows_total; i++) ok = columns_end_row(w);
    return ok;
}

int shard_merge(int argc, char **argv) {
    const char *output = NULL;
    const struct opt_row row = {.name = "output",
                                .letter = 'o',
                                .type = OPT_TEXT,
                                .class = OPT_EXEC,
                                .to = &output,
                                .metavar = "FILE",
                                .help = "the merged file",
                                .required = true};
    struct options o = {.program = "shard merge",
                        .usage = "-o FILE SHARD...",
                        .summary = "One file from all shards of a set, the same bytes as if it had "
                                   "been made so."};
    struct opt_list files;
    struct fail f = {0};
    options_add(&o, &row, 1);
    shard_options(&o, argc, argv, &files, 1);
    struct columns_reader **set = open_set(&files, &f);
    struct columns_writer *w = create(output, set[0], &f);
    if (copy(w, set, files.n))
        columns_commit(w, NULL);
    else
        columns_abandon(w, false);
    die_if(&f);
    print_result("%s", output);
    for (size_t i = 0; i < files.n; i++) columns_close(set[i]);
    free(set);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}

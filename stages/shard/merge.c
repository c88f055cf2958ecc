#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/store/columns.h"
#include "stages/shard/shard.h"
#include <stdlib.h>
#include <string.h>

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
        ok = ok && columns_verify(set[part]);
        columns_rest(set[part]);
    }
    for (size_t i = 0; ok && i < columns_part(set[0]).rows_total; i++) ok = columns_end_row(w);
    return ok;
}

int shard_merge(int argc, char **argv) {
    const char *output = NULL;
    const struct opt_row row = shard_output_row(&output, "the merged file");
    struct options o = {
        .program = "shard merge",
        .usage = "-o FILE SHARD...",
        .summary =
            "One file from all shards of a set, with the bytes of a run that wrote one file."};
    struct opt_list files;
    struct fail f = {0};
    options_add(&o, &row, 1);
    shard_options(&o, argc, argv, &files, 1);
    struct columns_reader **set = shard_set_open(&files, &f);
    struct lineage l = shard_same_lineage(set[0]);
    struct columns_plan plan = {.rows_total = columns_part(set[0]).rows_total,
                                .zstd_level = columns_level(set[0])};
    struct columns_writer *w = shard_writer(output, set[0], &l, &plan, 0, &f);
    if (copy(w, set, files.n))
        columns_commit(w, NULL);
    else
        columns_abandon(w, false);
    die_if(&f);
    print_result("%s", output);
    shard_set_close(set, files.n);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}

#include "common/base/fail.h"
#include "stages/shard/shard.h"

// Rows a shard, from the two options of which one is given.
static size_t rows_of_shard(int64_t parts, int64_t per, size_t rows) {
    if (!parts == !per) die(EXIT_USAGE, "give either --parts or --rows-per-shard");
    if (per) return (size_t)per;
    if ((size_t)parts > rows)
        die(EXIT_USAGE, "--parts %lld is more than the set's %zu rows", (long long)parts, rows);
    return (rows + (size_t)parts - 1) / (size_t)parts;
}

int shard_split(int argc, char **argv) {
    const char *output = NULL;
    int64_t parts, per;
    const struct opt_row rows[] = {
        shard_output_row(&output, "x.h5 makes x-00000-of-00003.h5 and so on"),
        {"parts", OPT_INT, OPT_EXEC, &parts, .value = "0", .low = 0, .high = 1e5, .metavar = "N",
         .help = "how many shards, of equal rows but for the last; or as near as that comes"},
        {"rows-per-shard", OPT_INT, OPT_EXEC, &per, .value = "0", .low = 0, .high = 1e12,
         .metavar = "N", .help = "rows of each shard"},
    };
    struct options o = {.program = "shard split",
                        .usage = "(--parts N | --rows-per-shard N) -o FILE SHARD...",
                        .summary =
                            "A file, or all shards of a set, cut into shards, with the bytes of a "
                            "run that wrote them so; shard merge is the inverse."};
    struct opt_list files;
    struct fail f = {0};
    options_add(&o, rows, sizeof rows / sizeof *rows);
    shard_options(&o, argc, argv, &files, 1);
    struct columns_reader **set = shard_set_open(&files, &f);
    struct lineage l = shard_same_lineage(set[0]);
    size_t total = columns_part(set[0]).rows_total;
    struct columns_plan plan = {.rows_per_shard = rows_of_shard(parts, per, total),
                                .zstd_level = columns_level(set[0]),
                                .finished = shard_print_path};
    struct columns_plan named = plan;
    named.rows_total = total;
    columns_may_write(output, &l, &named, &f);
    die_if(&f);
    struct columns_writer *w = shard_writer(output, set[0], &l, &plan, 0, &f);
    if (shard_copy(w, set, files.n, &f))
        columns_commit(w, NULL);
    else
        columns_abandon(w, false);
    die_if(&f);
    shard_set_close(set, files.n);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}

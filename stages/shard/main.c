// shard: looks into the files of all kinds; one subcommand for each purpose.
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/outputs.h"
#include "formats/store/artefact.h"
#include "stages/shard/shard.h"
#include "stages/shared/commands.h"
#include <stdlib.h>

static const struct command commands[] = {
    {"ls", shard_ls, "one line per file: kind, part, rows, bytes, stage, content hash"},
    {"check", shard_check, "read everything, compare all checksums; is the set whole?"},
    {"head", shard_head, "the first rows, as text or --json"},
    {"stat", shard_stat, "bytes by column, lengths, statistics of what the kind holds"},
    {"diff", shard_diff, "what differs between two files; exit 1 if anything does"},
    {"merge", shard_merge, "one file from all shards of a set"},
    {"split", shard_split, "a set cut into shards, the inverse of merge"},
    {"filter", shard_filter, "some rows of a set, by number, length or entropy"},
    {"recode", shard_recode,
     "a teacher cache with fewer entries, fewer bits or another zstd level"},
    {"verify", shard_verify, "a teacher cache checked against its teachers on random rows"},
    {"report", shard_report, "bytes against the gradient's error, for many settings of a cache"},
};

void shard_options(struct options *o, int argc, char **argv, struct opt_list *files, size_t least) {
    struct opt_list words = {0};
    options_parse(o, argc, argv, &words);
    struct fail f = {0};
    struct path_source *source = path_source_open(words.n, words.items, &f);
    *files = (struct opt_list){0};
    for (const char *path; (path = path_source_next(source));) {
        files->items = xrealloc(files->items, (files->n + 1) * sizeof *files->items);
        files->items[files->n++] = xstrdup(path);
        outputs_protect(path);
    }
    path_source_close(source);
    die_if(&f);
    free(words.items);
    if (files->n < least)
        die(EXIT_USAGE, "%zu file%s needed; see shard %s --help", least,
            least > 1 ? "s are" : " is", argv[0]);
}

void shard_files_release(struct opt_list *files) {
    for (size_t i = 0; i < files->n; i++) free((char *)files->items[i]);
    free(files->items);
}

int main(int argc, char **argv) {
    const struct commands c = {.program = "shard",
                               .what = "command",
                               .usage = "COMMAND [options] FILE...",
                               .summary = "List, check, print, compare and rewrite files.",
                               .n = sizeof commands / sizeof *commands,
                               .items = commands};
    int code = commands_run(&c, argc, argv);
    finish_stdout();
    return code;
}

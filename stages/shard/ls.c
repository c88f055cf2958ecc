#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/store/columns.h"
#include "stages/shard/shard.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool has_rows(const char *kind) {
    return strcmp(kind, "model") != 0 && strcmp(kind, "checkpoint") != 0 &&
           strcmp(kind, "adapter") != 0;
}

static bool list(const char *path, struct fail *f) {
    struct artefact a;
    struct stat st;
    char hash[33], part[64] = "-", rows[32] = "-";
    if (!artefact_read(path, NULL, &a, f)) return false;
    if (has_rows(a.kind)) {
        struct columns_reader *r = columns_open(path, NULL, f);
        if (r) {
            struct part p = columns_part(r);
            snprintf(part, sizeof part, "%zu/%zu", p.part, p.parts);
            snprintf(rows, sizeof rows, "%zu", p.rows);
        }
        columns_close(r);
    }
    hash_text(a.content, hash);
    if (!f->code && stat(path, &st) == 0)
        print_result("%s\t%s\t%d\t%s\t%s\t%lld\t%s\t%s", path, a.kind, a.version, part, rows,
                     (long long)st.st_size, a.stage, hash);
    artefact_release(&a);
    return !f->code;
}

int shard_ls(int argc, char **argv) {
    struct options o = {.program = "shard ls",
                        .usage = "FILE...",
                        .summary = "One line per file, tab-separated, under a line of names."};
    struct opt_list files;
    shard_options(&o, argc, argv, &files, 1);
    print_result("file\tkind\tversion\tpart\trows\tbytes\tstage\tcontent_hash");
    int code = EXIT_DONE;
    for (size_t i = 0; i < files.n; i++) {
        struct fail f = {0};
        if (list(files.items[i], &f)) continue;
        warn("%s", f.text);
        code = f.code;
    }
    shard_files_release(&files);
    options_release(&o);
    return code;
}

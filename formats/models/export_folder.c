#include "formats/models/export_folder.h"
#include "common/base/path.h"
#include "formats/bytes/slurp.h"
#include "formats/models/hf_texts.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char mark[] = "aligndistil.json";

static bool is_empty(const char *path) {
    DIR *d = opendir(path);
    size_t n = 0;
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return d && n <= 2;
}

// NULL: no such export there.
static char *read_mark(const char *folder, struct fail *f) {
    size_t n;
    struct stat st;
    if (stat(folder, &st) || !S_ISDIR(st.st_mode)) return NULL;
    char *path = xasprintf("%s/%s", folder, mark), *text = slurp_optional(path, 1 << 24, &n, f);
    free(path);
    return text;
}

bool export_folder_current(const char *folder, bool (*is_ours)(const char *name),
                           const struct lineage *l, bool no_clobber, struct fail *f) {
    whole_folder_repair(folder, is_ours);
    char *have = read_mark(folder, f), *want = hf_mark(l, folder, is_ours, f);
    bool same = have && !strcmp(have, want);
    bool exists = path_is_there(folder, f) && !is_empty(folder);
    free(have);
    free(want);
    if (!same && exists && no_clobber)
        fail_set(f, EXIT_FAILED, "'%s' exists; drop --no-clobber to replace it", folder);
    return same && !f->code;
}

static bool replaceable(const char *folder, struct fail *f) {
    struct stat st;
    if (lstat(folder, &st) || !S_ISDIR(st.st_mode)) return true; // or is refused as it is opened
    char *text = read_mark(folder, f);
    bool ours = text || is_empty(folder);
    free(text);
    return ours ||
           fail_set(f, EXIT_FAILED, "'%s' exists and is no export of ours; name another", folder);
}

bool export_folder_open(struct whole_folder *w, const char *folder,
                        bool (*is_ours)(const char *name), struct fail *f) {
    return !f->code && replaceable(folder, f) && whole_folder_open(w, folder, is_ours, f);
}

bool export_folder_commit(struct whole_folder *w, const struct lineage *l, struct fail *f) {
    char *text = hf_mark(l, w->partial, w->is_ours, f);
    whole_folder_text(w->partial, mark, text, f);
    free(text);
    return whole_folder_commit(w, f);
}

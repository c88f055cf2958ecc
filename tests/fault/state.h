// What is in a folder: its files by path and content.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "formats/bytes/hash.h"
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct state {
    size_t n;
    struct state_file {
        char *path;
        struct hash128 hash;
    } * file; // by path
};

static inline int state_remove(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void state_clear(const char *folder) {
    nftw(folder, state_remove, 8, FTW_DEPTH | FTW_PHYS);
    if (mkdir(folder, 0777)) die(EXIT_FAILED, "cannot make '%s'", folder);
}

static inline void state_add(struct state *s, const char *path) {
    struct stat st;
    DIR *folder = !lstat(path, &st) && S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    if (!folder) {
        FILE *file = fopen(path, "rb");
        char *bytes = xmalloc((size_t)st.st_size);
        if (!file || fread(bytes, 1, (size_t)st.st_size, file) != (size_t)st.st_size)
            die(EXIT_FAILED, "cannot read '%s'", path);
        s->file = xrealloc(s->file, (s->n + 1) * sizeof *s->file);
        s->file[s->n++] = (struct state_file){xstrdup(path), hash_bytes(bytes, (size_t)st.st_size)};
        free(bytes);
        fclose(file);
        return;
    }
    for (struct dirent *e; (e = readdir(folder));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *inner = xasprintf("%s/%s", path, e->d_name);
        state_add(s, inner);
        free(inner);
    }
    closedir(folder);
}

static inline int state_by_path(const void *a, const void *b) {
    return strcmp(((const struct state_file *)a)->path, ((const struct state_file *)b)->path);
}

static inline struct state state_of(const char *folder) {
    struct state s = {0};
    state_add(&s, folder);
    if (s.n) qsort(s.file, s.n, sizeof *s.file, state_by_path);
    return s;
}

static inline void state_release(struct state *s) {
    for (size_t i = 0; i < s->n; i++) free(s->file[i].path);
    free(s->file);
    *s = (struct state){0};
}

static inline const struct state_file *state_find(const struct state *s, const char *path) {
    struct state_file key = {.path = (char *)path};
    return s->n ? bsearch(&key, s->file, s->n, sizeof key, state_by_path) : NULL;
}

static inline bool state_has(const struct state *s, const struct state_file *file) {
    const struct state_file *same = state_find(s, file->path);
    return same && hash_equal(same->hash, file->hash);
}

// The first file that is not in both; NULL: none. free() it.
static inline char *state_difference(const struct state *a, const struct state *b) {
    for (size_t i = 0; i < a->n; i++)
        if (!state_has(b, &a->file[i])) return xasprintf("'%s' is another or new", a->file[i].path);
    for (size_t i = 0; i < b->n; i++)
        if (!state_find(a, b->file[i].path)) return xasprintf("no '%s'", b->file[i].path);
    return NULL;
}

// Names of what is not finished.
static inline bool state_is_working(const char *path) {
    size_t n = strlen(path);
    return (n > 5 && !strcmp(path + n - 5, ".ckpt")) ||
           (n > 6 && !strcmp(path + n - 6, ".spool")) || strstr(path, "/.") ||
           strstr(path, "tmp-") || strstr(path, ".reference.h5") || strstr(path, ".partial");
}

// A file under a final name that is not one of `right`.
static inline const char *state_partial(const struct state *s, const struct state *right) {
    for (size_t i = 0; i < s->n; i++)
        if (!state_is_working(s->file[i].path) && !state_has(right, &s->file[i]))
            return s->file[i].path;
    return NULL;
}

// The same for states that differ only in what their temporary files end in.
static inline uint64_t state_hash(const struct state *s) {
    struct str text = {0};
    str_puts(&text, "");
    for (size_t i = 0; i < s->n; i++) {
        const char *path = s->file[i].path, *temporary = strstr(path, "tmp-");
        char hash[33];
        hash_text(s->file[i].hash, hash);
        str_printf(&text, "%.*s %s\n", (int)(temporary ? temporary - path : (long)strlen(path)),
                   path, hash);
    }
    uint64_t hash = hash_bytes(text.text, text.length).low;
    str_release(&text);
    return hash;
}

// A folder of a test's own, and whole files as bytes: for the tests of formats/.
#pragma once
#include "common/base/mem.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

static inline char *scratch_path(const char *name) { // free() it
    return xasprintf("%s/%s", scratch, name);
}

static inline int scratch_open(void **state) {
    (void)state;
    strcpy(scratch, "/tmp/aligndistil-test-XXXXXX"); // a new one each time
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(const char *path, const struct stat *s, int type, struct FTW *w) {
    (void)s;
    (void)type;
    (void)w;
    return remove(path);
}

static inline int scratch_close(void **state) {
    (void)state;
    return nftw(scratch, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline size_t scratch_count(void) { // entries in the folder
    size_t n = 0;
    char *list = xasprintf("ls -A '%s' | wc -l", scratch);
    FILE *p = popen(list, "r");
    if (!p || fscanf(p, "%zu", &n) != 1) n = (size_t)-1;
    if (p) pclose(p);
    free(list);
    return n;
}

static inline unsigned char *file_bytes(const char *path, size_t *n) { // free() it; NULL: none
    *n = 0;
    FILE *in = fopen(path, "rb");
    if (!in) return NULL;
    fseek(in, 0, SEEK_END);
    *n = (size_t)ftell(in);
    rewind(in);
    unsigned char *bytes = xmalloc(*n + 1);
    size_t got = fread(bytes, 1, *n, in);
    fclose(in);
    *n = got;
    return bytes;
}

static inline void file_write(const char *path, const void *bytes, size_t n) {
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, n, out) != n || fclose(out) != 0) abort();
}

static inline int files_equal(const char *a, const char *b) {
    size_t na = 0, nb = 0;
    unsigned char *x = file_bytes(a, &na), *y = file_bytes(b, &nb);
    int same = x && y && na == nb && memcmp(x, y, na) == 0;
    free(x);
    free(y);
    return same;
}

#include "formats/models/tensor_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b) {
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void tensor_file_digest(const struct tensor *all, size_t n, const struct hash128 *hash,
                        struct str *digest) {
    const struct tensor **sorted = xmalloc(n * sizeof *sorted);
    for (size_t i = 0; i < n; i++) sorted[i] = &all[i];
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = sorted[i];
        char text[33];
        hash_text(hash[t - all], text);
        str_printf(digest, "weights/%s float32 ", t->name);
        if (t->vector)
            str_printf(digest, "%zu %s\n", t->cols, text);
        else
            str_printf(digest, "%zux%zu %s\n", t->rows, t->cols, text);
    }
    free(sorted);
}

struct h5_shape tensor_file_shape(const struct tensor *t) {
    struct h5_shape s = {.type = H5_FLOAT32,
                         .rank = t->vector ? 1 : 2,
                         .dims = {t->rows, t->cols},
                         .count = t->rows * t->cols};
    if (t->vector) s.dims[0] = t->cols, s.dims[1] = 1;
    return s;
}

void tensor_file_write(struct h5 *h, const struct tensor *all, size_t n, const float *values) {
    h5_group(h, "weights");
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = &all[i];
        char name[sizeof t->name + 8];
        snprintf(name, sizeof name, "weights/%s", t->name);
        struct h5_shape s = tensor_file_shape(t);
        h5_write(h, name, &s, values + t->offset);
    }
}

// By their bits, which compilers compare many at once.
bool tensor_file_finite(const float *x, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000;
}

static bool has(const struct tensor *all, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].name, name)) return true;
    return false;
}

// Shapes before memory: nothing is allocated for a claim that the file does not back.
bool tensor_file_check(struct h5 *h, const char *path, const struct tensor *all, size_t n) {
    size_t members;
    char **names = h5_members(h, "weights", &members);
    bool known = true;
    for (size_t i = 0; known && i < members; i++)
        if (!(known = has(all, n, names[i])))
            fail_set(h5_fail(h), EXIT_BADDATA, "'%s' has a tensor '%s' that the model does not use",
                     path, names[i]);
    h5_names_free(names, members);
    for (size_t i = 0; known && i < n; i++) {
        const struct tensor *t = &all[i];
        struct h5_shape want = tensor_file_shape(t), s = {0};
        char name[sizeof t->name + 8];
        snprintf(name, sizeof name, "weights/%s", t->name);
        if (!h5_shape(h, name, &s) || s.type != H5_FLOAT32 || s.rank != want.rank ||
            s.dims[0] != want.dims[0] || s.dims[1] != want.dims[1])
            return fail_set(h5_fail(h), EXIT_BADDATA,
                            "'%s': tensor '%s' is missing or of another "
                            "shape than the model's",
                            path, t->name);
    }
    return known;
}

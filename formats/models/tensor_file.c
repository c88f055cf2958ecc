#include "formats/models/tensor_file.h"
#include "common/engine/kernels.h"
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

static bool read_flat(void *self, const struct tensor *t, size_t first, size_t n, float *to,
                      struct fail *f) {
    (void)f;
    memcpy(to, (const float *)self + t->offset + first, n * sizeof *to);
    return true;
}

struct tensor_source tensor_source_flat(const float *values) {
    return (struct tensor_source){read_flat, (void *)values, false};
}

enum { BLOCK = 1 << 20 };

size_t tensor_block(const struct tensor *t) {
    return (t->cols < BLOCK ? BLOCK / t->cols : 1) * t->cols;
}

static struct h5_shape shape_of(const struct tensor *t, bool bf16) {
    struct h5_shape s = {.type = bf16 && !t->vector ? H5_BF16 : H5_FLOAT32,
                         .rank = t->vector ? 1 : 2,
                         .dims = {t->rows, t->cols},
                         .count = t->rows * t->cols};
    if (t->vector) s.dims[0] = t->cols, s.dims[1] = 1;
    return s;
}

static void name_of(const struct tensor *t, char name[sizeof t->name + 8]) {
    snprintf(name, sizeof t->name + 8, "weights/%s", t->name);
}

struct passing {
    float *x;
    uint16_t *half;
};

static bool write_block(struct h5 *h, const struct h5_shape *s, size_t first, size_t n,
                        const struct passing *b) {
    if (s->type == H5_FLOAT32) return h5_rows_write(h, first, n, b->x);
    for (size_t i = 0; i < n; i++) b->half[i] = model_bf16(b->x[i]);
    kernels()->widen(b->x, b->half, n);
    return h5_rows_write(h, first, n, b->half);
}

static struct hash128 write_tensor(struct h5 *h, const struct tensor *t,
                                   const struct tensor_source *from, const struct passing *b) {
    struct hasher *hasher = hasher_new();
    struct h5_shape s = shape_of(t, from->bf16);
    char name[sizeof t->name + 8];
    size_t block = tensor_block(t);
    name_of(t, name);
    bool fine = h5_begin(h, name, &s);
    for (size_t at = 0, n; fine && at < s.count; at += n) {
        n = s.count - at < block ? s.count - at : block;
        fine = from->read(from->self, t, at, n, b->x, h5_fail(h)) && write_block(h, &s, at, n, b);
        if (fine) hasher_add(hasher, b->x, n * sizeof *b->x);
    }
    if (fine) h5_end(h);
    return hasher_end(hasher);
}

size_t tensor_largest_block(const struct tensor *all, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = tensor_block(&all[i]) > most ? tensor_block(&all[i]) : most;
    return most;
}

void tensor_file_write(struct h5 *h, const struct tensor *all, size_t n,
                       const struct tensor_source *from, struct hash128 *hash) {
    size_t most = tensor_largest_block(all, n);
    struct passing b = {xmalloc(most * sizeof *b.x), xmalloc(most * sizeof *b.half)};
    h5_group(h, "weights");
    for (size_t i = 0; i < n; i++) hash[i] = write_tensor(h, &all[i], from, &b);
    free(b.x);
    free(b.half);
}

bool tensor_file_read(struct h5 *h, const struct tensor *t, size_t first, size_t n, float *to) {
    char name[sizeof t->name + 8];
    struct h5_shape s = {0};
    name_of(t, name);
    if (!h5_shape(h, name, &s) || s.type != H5_BF16) return h5_read(h, name, first, n, to);
    uint16_t *half = xmalloc(n * sizeof *half);
    bool fine = h5_read(h, name, first, n, half);
    if (fine) kernels()->widen(to, half, n);
    free(half);
    return fine;
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
bool tensor_file_check(struct h5 *h, const char *path, const struct tensor *all, size_t n,
                       bool bf16) {
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
        struct h5_shape want = shape_of(t, false), s = {0};
        char name[sizeof t->name + 8];
        name_of(t, name);
        if (!h5_shape(h, name, &s) ||
            (s.type != H5_FLOAT32 && (s.type != H5_BF16 || t->vector || !bf16)) ||
            s.rank != want.rank || s.dims[0] != want.dims[0] || s.dims[1] != want.dims[1])
            return fail_set(h5_fail(h), EXIT_BADDATA,
                            "'%s': tensor '%s' is missing or of another "
                            "shape than the model's",
                            path, t->name);
    }
    return known;
}

// Mutants of an image (image.h), numbered from 0: one attribute or dataset is changed to what a
// hostile or careless writer could put there. The hash is remade as the image is saved, so that a
// reader must look at the numbers themselves.
#pragma once
#include "tests/fuzz/image.h"
#include <math.h>
#include <stdio.h>

enum { MUTATE_INTS = 17, MUTATE_REALS = 10, MUTATE_TEXTS = 9, MUTATE_PLACES = 3 };
enum { MUTATE_NUMBERS = 12, MUTATE_SHAPES = 11 };

static inline int64_t mutate_int(int64_t x, size_t k) {
    const int64_t to[MUTATE_INTS] = {-1,
                                     0,
                                     1,
                                     2,
                                     3,
                                     x - 1,
                                     x + 1,
                                     x ^ 1,
                                     65536,
                                     1 << 24,
                                     INT32_MAX,
                                     1ll << 31,
                                     1ll << 32,
                                     1ll << 48,
                                     INT64_MAX,
                                     INT64_MIN,
                                     x > INT64_MAX / 2 || x < INT64_MIN / 2 ? 7 : 2 * x};
    return to[k];
}

static inline double mutate_real(double x, size_t k) {
    const double to[MUTATE_REALS] = {0,     -1,     NAN,     INFINITY, -INFINITY,
                                     1e300, 1e-320, x * 1.5, -x,       x + 1e-9};
    return to[k];
}

static inline char *mutate_text(const char *x, size_t k) {
    size_t n = strlen(x);
    char *to = xcalloc(2 * n + 6002, 1);
    if (k == 1) strcpy(to, "x");
    if (k == 2) memcpy(to, x, n / 2);
    if (k == 3) sprintf(to, "~%s", n ? x + 1 : "");
    if (k == 4) sprintf(to, "%s%s", x, x);
    if (k == 5) memset(to, 'a', 6000);
    if (k == 6) sprintf(to, "%s\n\x1b[31m", x);
    if (k == 7) sprintf(to, "%s,nan", x);
    if (k == 8) {
        strcpy(to, x);
        for (char *c = to; *c; c++) *c = *c >= '0' && *c <= '8' ? (char)(*c + 1) : *c;
    }
    return to; // 0: ""
}

// Element i of a dataset to number k.
static inline void mutate_element(struct image_data *d, size_t i, size_t k) {
    const double reals[MUTATE_NUMBERS] = {NAN,  INFINITY, -INFINITY, 0,    1,      -1e30,
                                          3e38, 1e-3,     -1e-3,     -0.7, -69.07, 5};
    const int64_t ints[MUTATE_NUMBERS] = {-1,  0,     1,     2,         255,       256,
                                          300, 65535, 65536, INT32_MAX, INT32_MIN, 17};
    size_t size = h5_size(d->shape.type);
    unsigned char *at = d->bytes + i * size;
    float f = (float)reals[k];
    if (d->shape.type == H5_FLOAT32) memcpy(at, &f, size);
    if (d->shape.type == H5_BF16) memcpy(at, (unsigned char *)&f + 2, size);
    if (d->shape.type == H5_FLOAT64) memcpy(at, &reals[k], size);
    if (d->shape.type == H5_INT32) memcpy(at, &(int32_t){(int32_t)ints[k]}, size);
    if (d->shape.type == H5_UINT16) memcpy(at, &(uint16_t){(uint16_t)ints[k]}, size);
    if (d->shape.type == H5_UINT8) *at = (unsigned char)ints[k];
}

static inline void mutate_resize(struct image_data *d, size_t n) {
    size_t size = h5_size(d->shape.type), had = d->shape.count;
    d->bytes = xrealloc(d->bytes, n * size + 1);
    for (size_t i = had; i < n; i++)
        if (had)
            memcpy(d->bytes + i * size, d->bytes + i % had * size, size);
        else
            memset(d->bytes + i * size, 0, size);
    d->shape.count = d->shape.dims[0] = n;
    d->shape.dims[1] = 1;
    d->shape.rank = 1;
}

static inline const char *mutate_shape(struct image_data *d, size_t k) {
    size_t size = h5_size(d->shape.type), n = d->shape.count;
    switch (k) {
    case 0:
        return mutate_resize(d, 0), "emptied";
    case 1:
        return mutate_resize(d, n ? n - 1 : 1), "one shorter";
    case 2:
        return mutate_resize(d, n + 1), "one longer";
    case 3:
        return mutate_resize(d, 2 * n), "doubled";
    case 4:
        return mutate_resize(d, n / 2), "halved";
    case 5:
        return memset(d->bytes, 0, n * size), "all 0";
    case 6:
        return memset(d->bytes, 255, n * size), "all ones";
    case 7:
        if (n > 1) memcpy(d->bytes + size, d->bytes, size);
        return "second as the first";
    case 8:
        if (n > 1) memcpy(d->bytes + (n - 1) * size, d->bytes, size);
        return "last as the first";
    case 9:
        for (size_t i = 0; i < n / 2; i++)
            for (size_t b = 0; b < size; b++) {
                unsigned char *x = d->bytes + i * size + b, *y = d->bytes + (n - 1 - i) * size + b,
                              t;
                t = *x, *x = *y, *y = t;
            }
        return "reversed";
    default:
        return mutate_resize(d, 200000), "200000 of them";
    }
}

// How many there are.
static inline size_t mutate_count(const struct image *m) {
    return m->n_attrs * (MUTATE_INTS + 1) +
           m->n_data * (MUTATE_PLACES * MUTATE_NUMBERS + MUTATE_SHAPES + 1);
}

static inline void mutate_attr(struct image *m, size_t a, size_t k, char what[200]) {
    struct image_attr *x = &m->attrs[a];
    if (k == MUTATE_INTS) { // its name is another, so that there is none of this
        snprintf(what, 200, "no attribute %s", x->name);
        x->name[0] = '_';
    } else if (x->type == IMAGE_INT) {
        x->integer = mutate_int(x->integer, k);
        snprintf(what, 200, "%s = %lld", x->name, (long long)x->integer);
    } else if (x->type == IMAGE_REAL) {
        x->real = mutate_real(x->real, k % MUTATE_REALS);
        snprintf(what, 200, "%s = %g", x->name, x->real);
    } else {
        char *text = mutate_text(x->text, k % MUTATE_TEXTS);
        free(x->text);
        x->text = text;
        snprintf(what, 200, "%s = '%.60s'", x->name, text);
    }
}

static inline void mutate_data(struct image *m, size_t at, size_t k, char what[200]) {
    struct image_data *d = &m->data[at];
    size_t elements = MUTATE_PLACES * MUTATE_NUMBERS;
    if (k < elements && d->shape.count) {
        size_t i = k / MUTATE_NUMBERS * (d->shape.count - 1) / (MUTATE_PLACES - 1);
        mutate_element(d, i, k % MUTATE_NUMBERS);
        snprintf(what, 200, "%s[%zu] another, %zu", d->name, i, k % MUTATE_NUMBERS);
    } else if (k < elements + MUTATE_SHAPES && k >= elements) {
        const char *how = mutate_shape(d, k - elements);
        snprintf(what, 200, "%s %s", d->name, how);
    } else {
        snprintf(what, 200, "no dataset %s", d->name);
        d->name[strlen(d->name) - 1] = '_';
    }
}

// Makes the image its k-th mutant; what: a description of it.
static inline void mutate(struct image *m, size_t k, char what[200]) {
    size_t attrs = m->n_attrs * (MUTATE_INTS + 1);
    size_t each = MUTATE_PLACES * MUTATE_NUMBERS + MUTATE_SHAPES + 1;
    if (k < attrs)
        mutate_attr(m, k / (MUTATE_INTS + 1), k % (MUTATE_INTS + 1), what);
    else
        mutate_data(m, (k - attrs) / each, (k - attrs) % each, what);
}

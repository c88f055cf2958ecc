#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/store/artefact.h"
#include "formats/store/h5.h"
#include "stages/shard/shard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    struct h5 *a, *b;
    struct fail *fail;
    size_t found; // differences
};

static char *attribute_text(struct h5 *h, const char *name) {
    int64_t i;
    double x;
    if (h5_is_text(h, name)) return h5_get_text(h, name);
    if (h5_is_real(h, name)) return h5_get_real(h, name, &x) ? xasprintf("%.17g", x) : NULL;
    return h5_get_int(h, name, &i) ? xasprintf("%lld", (long long)i) : NULL;
}

static void diff_attribute(struct pair *p, const char *name) {
    char *a = attribute_text(p->a, name), *b = attribute_text(p->b, name);
    if (!p->fail->code && (!a || !b || strcmp(a, b) != 0)) {
        print_result("attribute '%s': %s | %s", name, a ? a : "none", b ? b : "none");
        p->found++;
    }
    free(a);
    free(b);
}

// Calls diff() for every name in either list; both are sorted.
static void each_of_both(struct pair *p, char **a, size_t na, char **b, size_t nb,
                         const char *group, void (*diff)(struct pair *, const char *)) {
    for (size_t i = 0, k = 0; !p->fail->code && (i < na || k < nb);) {
        int order = i == na ? 1 : k == nb ? -1 : strcmp(a[i], b[k]);
        char *name = xasprintf("%s%s", group, order <= 0 ? a[i] : b[k]);
        diff(p, name);
        free(name);
        i += order <= 0;
        k += order >= 0;
    }
    h5_names_free(a, na);
    h5_names_free(b, nb);
}

static float bf16(uint16_t upper) {
    uint32_t bits = (uint32_t)upper << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double element(const void *data, enum h5_type type, size_t i) {
    switch (type) {
    case H5_INT32:
        return ((const int32_t *)data)[i];
    case H5_UINT8:
        return ((const uint8_t *)data)[i];
    case H5_UINT16:
        return ((const uint16_t *)data)[i];
    case H5_FLOAT32:
        return ((const float *)data)[i];
    case H5_BF16:
        return bf16(((const uint16_t *)data)[i]);
    case H5_FLOAT64:
        return ((const double *)data)[i];
    case H5_FOREIGN:
        break;
    }
    return NAN;
}

static void diff_elements(struct pair *p, const char *name, const struct h5_shape *s, const char *a,
                          const char *b) {
    size_t size = h5_size(s->type), differ = 0, first = 0;
    double most = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (memcmp(a + i * size, b + i * size, size) == 0) continue;
        if (!differ++) first = i;
        double gap = fabs(element(a, s->type, i) - element(b, s->type, i));
        if (!(gap <= most)) most = gap;
    }
    if (!differ) return;
    print_result("dataset '%s': %zu of %zu elements differ, the first at %zu, by %.6g at most",
                 name, differ, s->count, first, most);
    p->found++;
}

static void diff_dataset(struct pair *p, const char *name) {
    struct h5_shape a, b;
    if (!strcmp(name, "weights")) return; // a group, compared by itself
    bool in_a = h5_shape(p->a, name, &a), in_b = h5_shape(p->b, name, &b);
    if (p->fail->code) return;
    if (!in_a || !in_b) {
        print_result("dataset '%s': in the %s file only", name, in_a ? "first" : "second");
        p->found++;
    } else if (a.type != b.type || a.rank != b.rank || a.dims[0] != b.dims[0] ||
               a.dims[1] != b.dims[1]) {
        print_result("dataset '%s': %s %zux%zu | %s %zux%zu", name, h5_type_name(a.type), a.dims[0],
                     a.dims[1], h5_type_name(b.type), b.dims[0], b.dims[1]);
        p->found++;
    } else {
        char *x = xmalloc(a.count * h5_size(a.type)), *y = xmalloc(a.count * h5_size(a.type));
        if (h5_read(p->a, name, 0, a.count, x) && h5_read(p->b, name, 0, a.count, y))
            diff_elements(p, name, &a, x, y);
        free(x);
        free(y);
    }
}

static bool has_weights(struct h5 *h) {
    char *kind = h5_get_text(h, "kind");
    bool model = kind && !strcmp(kind, "model");
    free(kind);
    return model;
}

static void diff(struct pair *p) {
    size_t na, nb;
    char **a = h5_attributes(p->a, &na), **b = h5_attributes(p->b, &nb);
    each_of_both(p, a, na, b, nb, "", diff_attribute);
    a = h5_members(p->a, "/", &na);
    b = h5_members(p->b, "/", &nb);
    each_of_both(p, a, na, b, nb, "", diff_dataset);
    if (!has_weights(p->a) || !has_weights(p->b)) return;
    a = h5_members(p->a, "weights", &na);
    b = h5_members(p->b, "weights", &nb);
    each_of_both(p, a, na, b, nb, "weights/", diff_dataset);
}

static struct h5 *open_checked(const char *path, struct fail *f) {
    struct artefact a;
    if (!artefact_read(path, NULL, &a, f)) die_if(f);
    artefact_release(&a);
    return h5_open(path, f);
}

int shard_diff(int argc, char **argv) {
    struct options o = {.program = "shard diff",
                        .usage = "A B",
                        .summary =
                            "What differs between two files, one line for each attribute or "
                            "dataset. Exit 0: nothing, 1: something, 3: a file cannot be read, or "
                            "does not have its content_hash (after the lines)."};
    struct opt_list files;
    struct fail f = {0};
    shard_options(&o, argc, argv, &files, 2);
    if (files.n != 2) die(EXIT_USAGE, "%zu files given; two are compared", files.n);
    struct pair p = {.fail = &f};
    p.a = open_checked(files.items[0], &f);
    p.b = open_checked(files.items[1], &f);
    die_if(&f);
    diff(&p);
    die_if(&f);
    h5_close(p.a);
    h5_close(p.b);
    for (size_t i = 0; i < files.n; i++) shard_check_file(files.items[i], &f);
    die_if(&f);
    shard_files_release(&files);
    options_release(&o);
    return p.found ? EXIT_FAILED : EXIT_DONE;
}

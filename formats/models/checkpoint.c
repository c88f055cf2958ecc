#include "formats/models/checkpoint.h"
#include "formats/store/h5.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const moment_name[] = {"params", "m", "v"};

// Lines that name every part; see FORMATS.md.
static struct hash128 content_of(const struct checkpoint *c) {
    const float *data[] = {c->params, c->m, c->v};
    struct str digest = {0};
    char hash[33];
    str_printf(&digest, "checkpoint 1\n@step %llu\n@kernels %s\n", (unsigned long long)c->step,
               c->kernels);
    hash_text(hash_bytes(c->extra.text, c->extra.length), hash);
    str_printf(&digest, "extra uint8 %zu %s\n", c->extra.length, hash);
    for (int i = 0; i < 3; i++) {
        hash_text(hash_bytes(data[i], c->n_params * sizeof(float)), hash);
        str_printf(&digest, "%s float32 %zu %s\n", moment_name[i], c->n_params, hash);
    }
    struct hash128 content = hash_bytes(digest.text, digest.length);
    str_release(&digest);
    return content;
}

bool checkpoint_save(const char *path, const struct lineage *l, const struct checkpoint *c,
                     struct fail *f) {
    if (!whole_file_prepare(path, f)) return false;
    const float *data[] = {c->params, c->m, c->v};
    char *temp = whole_file_temp(path);
    struct h5 *h = h5_create(temp, f);
    artefact_put(h, "checkpoint", l, content_of(c));
    h5_put_int(h, "step", (int64_t)c->step);
    h5_put_text(h, "kernels", c->kernels);
    struct h5_shape s = {
        .type = H5_UINT8, .rank = 1, .dims = {c->extra.length, 1}, .count = c->extra.length};
    h5_write(h, "extra", &s, c->extra.text);
    s = (struct h5_shape){
        .type = H5_FLOAT32, .rank = 1, .dims = {c->n_params, 1}, .count = c->n_params};
    for (int i = 0; i < 3; i++) h5_write(h, moment_name[i], &s, data[i]);
    h5_close(h);
    bool ok = whole_file_commit(temp, path, f);
    free(temp);
    return ok;
}

static bool read_extra(struct h5 *h, struct str *extra) {
    struct h5_shape s;
    if (!h5_shape(h, "extra", &s) || s.type != H5_UINT8) return false;
    char *bytes = xmalloc(s.count + 1);
    bool ok = h5_read(h, "extra", 0, s.count, bytes);
    extra->length = 0;
    if (ok) str_add(extra, bytes, s.count);
    free(bytes);
    return ok;
}

static bool read_arrays(struct h5 *h, struct checkpoint *c) {
    float *data[] = {c->params, c->m, c->v};
    for (int i = 0; i < 3; i++) {
        struct h5_shape s;
        if (!h5_shape(h, moment_name[i], &s) || s.type != H5_FLOAT32 || s.count != c->n_params ||
            !h5_read(h, moment_name[i], 0, s.count, data[i]))
            return false;
    }
    return true;
}

static bool same_run(const struct artefact *a, const struct lineage *l, const char *path,
                     struct fail *f) {
    struct str difference = {0};
    struct lineage own = *l;
    own.version = a->version; // the output's version is no matter of the checkpoint
    char *found = artefact_lineage(a), *wanted = lineage_text("checkpoint", &own);
    if (!lineage_same(found, wanted, &difference))
        fail_set(f, EXIT_FAILED,
                 "'%s' belongs to another run: %s; remove it, or give the same command", path,
                 difference.text);
    free(found);
    free(wanted);
    str_release(&difference);
    return !f->code;
}

// All are finite, and second moments are not negative.
static bool numbers_fit(const struct checkpoint *c) {
    for (size_t i = 0; i < c->n_params; i++)
        if (!isfinite(c->params[i]) || !isfinite(c->m[i]) || !isfinite(c->v[i]) || c->v[i] < 0)
            return false;
    return true;
}

static bool read_checked(struct h5 *h, const char *path, struct hash128 content,
                         struct checkpoint *c) {
    int64_t step = 0;
    char *kernels = h5_get_text(h, "kernels");
    bool ok =
        kernels && h5_get_int(h, "step", &step) && read_extra(h, &c->extra) && read_arrays(h, c);
    c->step = (uint64_t)step;
    snprintf(c->kernels, sizeof c->kernels, "%s", kernels ? kernels : "");
    free(kernels);
    ok = ok && step >= 0 && numbers_fit(c);
    if (ok && hash_equal(content_of(c), content)) return true;
    return fail_set(h5_fail(h), EXIT_BADDATA, "'%s' is damaged; remove it to start again", path);
}

bool checkpoint_load(const char *path, const struct lineage *l, struct checkpoint *c, bool *found,
                     struct fail *f) {
    struct stat st;
    struct artefact a;
    *found = false;
    if (f->code || stat(path, &st) != 0) return !f->code;
    struct h5 *h = h5_open(path, f);
    bool ok = artefact_get(h, path, "checkpoint", &a);
    if (ok && same_run(&a, l, path, f)) read_checked(h, path, a.content, c);
    artefact_release(&a);
    h5_close(h);
    *found = !f->code;
    return !f->code;
}

void checkpoint_sweep(const char *path, const struct lineage *l) {
    struct fail f = {0};
    struct artefact a;
    whole_file_sweep(path);
    if (!artefact_read(path, "checkpoint", &a, &f)) return;
    if (same_run(&a, l, path, &f)) unlink(path);
    artefact_release(&a);
}

bool checkpoint_verify(const char *path, struct fail *f) {
    struct artefact a;
    struct h5_shape s;
    struct checkpoint c = {0};
    struct h5 *h = h5_open(path, f);
    if (artefact_get(h, path, "checkpoint", &a) && h5_shape(h, "params", &s)) {
        c.n_params = s.count;
        c.params = xmalloc(s.count * sizeof(float));
        c.m = xmalloc(s.count * sizeof(float));
        c.v = xmalloc(s.count * sizeof(float));
        read_checked(h, path, a.content, &c);
    } else if (h) {
        fail_set(f, EXIT_BADDATA, "'%s' is damaged; remove it to start again", path);
    }
    free(c.params);
    free(c.m);
    free(c.v);
    str_release(&c.extra);
    artefact_release(&a);
    h5_close(h);
    return !f->code;
}

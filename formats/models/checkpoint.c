#include "formats/models/checkpoint.h"
#include "common/base/path.h"
#include "formats/store/h5.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const moment_name[] = {"params", "m", "v"};

// Params, m or v, to be written.
static const float *array(const struct checkpoint *c, int i) {
    const float *data[] = {c->params, c->m, c->v};
    if (!i || !c->whole) return data[i];
    c->collect(c->self, i - 1, c->whole);
    return c->whole;
}

// Lines that name every part; see FORMATS.md. hash: of the arrays.
static struct hash128 content_of(const struct checkpoint *c, const struct hash128 hash[3]) {
    struct str digest = {0};
    char text[33];
    str_printf(&digest, "checkpoint 1\n@step %llu\n@kernels %s\n", (unsigned long long)c->step,
               c->kernels);
    hash_text(hash_bytes(c->extra.text, c->extra.length), text);
    str_printf(&digest, "extra uint8 %zu %s\n", c->extra.length, text);
    for (int i = 0; i < 3; i++) {
        hash_text(hash[i], text);
        str_printf(&digest, "%s float32 %zu %s\n", moment_name[i], c->n_params, text);
    }
    struct hash128 content = hash_bytes(digest.text, digest.length);
    str_release(&digest);
    return content;
}

bool checkpoint_save(const char *path, const struct lineage *l, const struct checkpoint *c,
                     struct fail *f) {
    if (!whole_file_prepare_state(path, f)) return false;
    struct hash128 hash[3];
    for (int i = 0; i < 3; i++) hash[i] = hash_bytes(array(c, i), c->n_params * sizeof(float));
    char *temp = whole_file_temp(path);
    struct h5 *h = h5_create(temp, f);
    artefact_put(h, "checkpoint", l, content_of(c, hash));
    h5_put_int(h, "step", (int64_t)c->step);
    h5_put_text(h, "kernels", c->kernels);
    struct h5_shape s = {
        .type = H5_UINT8, .rank = 1, .dims = {c->extra.length, 1}, .count = c->extra.length};
    h5_write(h, "extra", &s, c->extra.text);
    s = (struct h5_shape){
        .type = H5_FLOAT32, .rank = 1, .dims = {c->n_params, 1}, .count = c->n_params};
    for (int i = 0; i < 3; i++) h5_write(h, moment_name[i], &s, array(c, i));
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

// All are finite, and second moments are not negative.
static bool numbers_fit(const float *x, size_t n, bool negative) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (!negative && x[i] < 0)) return false;
    return true;
}

static bool read_arrays(struct h5 *h, struct checkpoint *c, struct hash128 hash[3]) {
    float *data[] = {c->params, c->whole ? c->whole : c->m, c->whole ? c->whole : c->v};
    for (int i = 0; i < 3; i++) {
        struct h5_shape s;
        if (!h5_shape(h, moment_name[i], &s) || s.type != H5_FLOAT32 || s.count != c->n_params ||
            !h5_read(h, moment_name[i], 0, s.count, data[i]) ||
            !numbers_fit(data[i], s.count, i < 2))
            return false;
        hash[i] = hash_bytes(data[i], s.count * sizeof(float));
        if (i && c->whole) c->keep(c->self, i - 1, c->whole);
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

static bool read_checked(struct h5 *h, const char *path, struct hash128 content,
                         struct checkpoint *c) {
    int64_t step = 0;
    struct hash128 hash[3];
    char *kernels = h5_get_text(h, "kernels");
    bool ok = kernels && h5_get_int(h, "step", &step) && read_extra(h, &c->extra) &&
              read_arrays(h, c, hash);
    c->step = (uint64_t)step;
    snprintf(c->kernels, sizeof c->kernels, "%s", kernels ? kernels : "");
    free(kernels);
    ok = ok && step >= 0;
    if (ok && hash_equal(content_of(c, hash), content)) return true;
    return fail_set(h5_fail(h), EXIT_BADDATA, "'%s' is damaged; remove it to start again", path);
}

bool checkpoint_load(const char *path, const struct lineage *l, struct checkpoint *c, bool *found,
                     struct fail *f) {
    struct artefact a;
    *found = false;
    if (!path_is_there(path, f)) return !f->code;
    struct h5 *h = h5_open(path, f);
    bool ok = artefact_get(h, path, "checkpoint", &a);
    if (ok && same_run(&a, l, path, f)) read_checked(h, path, a.content, c);
    artefact_release(&a);
    h5_close(h);
    *found = !f->code;
    return !f->code;
}

bool checkpoint_step(const char *path, uint64_t *step, struct fail *f) {
    struct artefact a;
    int64_t value = 0;
    struct h5 *h = h5_open(path, f);
    if (artefact_get(h, path, "checkpoint", &a) && (!h5_get_int(h, "step", &value) || value < 0))
        fail_set(f, EXIT_BADDATA, "'%s' is damaged; remove it to start again", path);
    artefact_release(&a);
    h5_close(h);
    *step = (uint64_t)value;
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

// The output may have more parents: what the run learned of on its way.
static bool made_by(const struct artefact *output, const struct artefact *checkpoint) {
    struct parents first = output->parents;
    if (first.n > checkpoint->parents.n) first.n = checkpoint->parents.n;
    return !strcmp(output->stage, checkpoint->stage) &&
           !strcmp(output->options, checkpoint->options) &&
           parents_equal(&first, &checkpoint->parents);
}

void checkpoint_sweep_finished(const char *path, const char *output) {
    struct fail f = {0};
    struct artefact own, made;
    if (access(path, F_OK) || access(output, F_OK)) return;
    bool both = artefact_read(path, "checkpoint", &own, &f);
    both = artefact_read(output, NULL, &made, &f) && both;
    if (both && made_by(&made, &own)) unlink(path);
    artefact_release(&own);
    artefact_release(&made);
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

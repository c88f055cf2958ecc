#include "formats/models/adapter_file.h"
#include "common/engine/adapter.h"
#include "formats/models/tensor_file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct header { // what the file says besides the numbers
    struct adapter_config config;
    struct hash128 base;
    double reward_beta;
    bool reversed;
};

const char *model_file_kind(const struct model_file *m) {
    return m->model.adapter ? "adapter" : "model";
}

// ---- content_hash; see FORMATS.md

static struct hash128 content_of(const struct header *h, const struct tensor *tensors, size_t n,
                                 const struct hash128 *hash) {
    struct str digest = {0};
    char base[33], targets[64];
    hash_text(h->base, base);
    adapter_targets_text(h->config.target, targets, sizeof targets);
    str_printf(&digest,
               "adapter 1\n@base %s\n@rank %zu\n@alpha %.17g\n@dropout %.17g\n@rank_stabilised "
               "%d\n@targets %s\n@reward_beta %.17g\n@reversed %d\n",
               base, h->config.rank, h->config.alpha, h->config.dropout, h->config.rank_stabilised,
               targets, h->reward_beta, h->reversed);
    tensor_file_digest(tensors, n, hash, &digest);
    struct hash128 content = hash_bytes(digest.text, digest.length);
    str_release(&digest);
    return content;
}

static struct hash128 content_now(const struct header *h, const struct parameters *p) {
    struct hash128 *hash = xmalloc(p->n_tensors * sizeof *hash);
    for (size_t i = 0; i < p->n_tensors; i++) {
        const struct tensor *t = &p->tensors[i];
        hash[i] = hash_bytes(p->values + t->offset, t->rows * t->cols * sizeof(float));
    }
    struct hash128 content = content_of(h, p->tensors, p->n_tensors, hash);
    free(hash);
    return content;
}

// ---- writing

bool adapter_file_save(const char *path, const struct model_file *m, struct hash128 base,
                       const struct lineage *l, struct fail *f) {
    if (!whole_file_prepare(path, f)) return false;
    const struct adapter *a = m->model.adapter;
    const struct parameters *p = &a->trained;
    struct hash128 *numbers = xcalloc(p->n_tensors, sizeof *numbers);
    struct header header = {a->config, base, m->reward_beta, m->reversed};
    char hash[33], targets[64], *temp = whole_file_temp(path);
    hash_text(base, hash);
    adapter_targets_text(a->config.target, targets, sizeof targets);
    struct h5 *h = h5_create(temp, f);
    artefact_put(h, "adapter", l, (struct hash128){0});
    h5_put_text(h, "base", hash);
    h5_put_int(h, "rank", (int64_t)a->config.rank);
    h5_put_real(h, "alpha", a->config.alpha);
    h5_put_real(h, "dropout", a->config.dropout);
    h5_put_int(h, "rank_stabilised", a->config.rank_stabilised);
    h5_put_text(h, "targets", targets);
    h5_put_real(h, "reward_beta", m->reward_beta);
    h5_put_int(h, "reversed", m->reversed);
    struct tensor_source values = tensor_source_flat(p->values);
    tensor_file_write(h, p->tensors, p->n_tensors, &values, numbers);
    artefact_put_content(h, content_of(&header, p->tensors, p->n_tensors, numbers));
    free(numbers);
    h5_close(h);
    bool ok = whole_file_commit(temp, path, f);
    free(temp);
    return ok;
}

// ---- reading

static bool in_range(const struct header *h) {
    const struct adapter_config *c = &h->config;
    return c->alpha > 0 && isfinite(c->alpha) && c->dropout >= 0 && c->dropout < 1 &&
           h->reward_beta >= 0 && isfinite(h->reward_beta);
}

static bool read_header(struct h5 *h, const char *path, struct header *to) {
    int64_t rank = 0, stabilised = 0, reversed = 0;
    char *base = h5_get_text(h, "base"), *targets = h5_get_text(h, "targets");
    bool ok = base && targets && hash_parse(base, &to->base) &&
              adapter_targets_parse(targets, to->config.target) && h5_get_int(h, "rank", &rank) &&
              rank > 0 && rank <= 4096 && h5_get_real(h, "alpha", &to->config.alpha) &&
              h5_get_real(h, "dropout", &to->config.dropout) &&
              h5_get_int(h, "rank_stabilised", &stabilised) &&
              h5_get_real(h, "reward_beta", &to->reward_beta) &&
              h5_get_int(h, "reversed", &reversed) && in_range(to) && stabilised / 2 == 0 &&
              reversed / 2 == 0 && stabilised >= 0 && reversed >= 0;
    to->config.rank = (size_t)rank;
    to->config.rank_stabilised = stabilised != 0;
    to->reversed = reversed != 0;
    free(base);
    free(targets);
    return ok ||
           fail_set(h5_fail(h), EXIT_BADDATA,
                    "'%s' lacks what an adapter says of itself; it is not a whole adapter", path);
}

static bool damaged(struct h5 *h, const char *path) {
    return fail_set(h5_fail(h), EXIT_BADDATA,
                    "'%s' is damaged: its bytes do not have its content_hash; make it again", path);
}

static bool read_values(struct h5 *h, const char *path, const struct parameters *p) {
    bool ok = tensor_file_check(h, path, p->tensors, p->n_tensors, false);
    for (size_t i = 0; ok && i < p->n_tensors; i++) {
        const struct tensor *t = &p->tensors[i];
        ok = tensor_file_read(h, t, 0, t->rows * t->cols, p->values + t->offset) &&
             (tensor_file_finite(p->values + t->offset, t->rows * t->cols) ||
              fail_set(h5_fail(h), EXIT_BADDATA,
                       "'%s' is not a usable adapter: '%s' has numbers that are not finite", path,
                       t->name));
    }
    return ok;
}

bool adapter_file_base(const char *path, struct hash128 *base, struct fail *f) {
    struct artefact a;
    struct header header = {0};
    struct h5 *h = h5_open(path, f);
    if (artefact_get(h, path, "adapter", &a)) {
        if (read_header(h, path, &header)) *base = header.base;
        artefact_release(&a);
    }
    h5_close(h);
    return !f->code;
}

// Nothing is allocated for a claim of rank and targets that the file does not back.
static bool backed(struct h5 *h, const char *path, const struct adapter_config *a,
                   const struct model_config *c) {
    size_t n, claimed = 0, stored = 0;
    for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
        size_t out, in;
        adapter_shape(c, t, &out, &in);
        if (a->target[t]) claimed += c->layers * a->rank * (out + in);
    }
    char **names = h5_members(h, "weights", &n);
    for (size_t i = 0; i < n; i++) {
        char *name = xasprintf("weights/%s", names[i]);
        struct h5_shape s;
        if (h5_shape(h, name, &s)) stored += s.count;
        free(name);
    }
    h5_names_free(names, n);
    return stored == claimed ||
           fail_set(h5_fail(h), EXIT_BADDATA,
                    "'%s' does not fit its base: it has %zu numbers, and its rank and targets ask "
                    "for %zu; make it again",
                    path, stored, claimed);
}

static bool put_onto(struct h5 *h, const char *path, const struct header *header,
                     const struct artefact *a, struct model_file *m) {
    char why[200], own[33], given[33];
    hash_text(header->base, own);
    hash_text(m->content, given);
    if (!hash_equal(header->base, m->content))
        return fail_set(h5_fail(h), EXIT_BADDATA,
                        "'%s' is an adapter of the model %s, not of %s; give its own base", path,
                        own, given);
    if (!backed(h, path, &header->config, &m->model.config)) return false;
    if (!adapter_attach(&m->model, &header->config, why, sizeof why))
        return fail_set(h5_fail(h), EXIT_BADDATA, "'%s' is not a usable adapter: %s", path, why);
    if (!read_values(h, path, &m->model.adapter->trained)) return false;
    return hash_equal(content_now(header, &m->model.adapter->trained), a->content) ||
           damaged(h, path);
}

bool adapter_file_load(const char *path, struct model_file *m, struct fail *f) {
    struct artefact a;
    struct header header = {0};
    struct h5 *h = h5_open(path, f);
    if (artefact_get(h, path, "adapter", &a)) {
        if (read_header(h, path, &header) && put_onto(h, path, &header, &a, m)) {
            m->content = a.content;
            free(m->options);
            m->options = a.options;
            a.options = NULL;
            memcpy(m->stage, a.stage, sizeof m->stage);
            m->reward_beta = header.reward_beta;
            m->reversed = header.reversed;
        }
        artefact_release(&a);
    }
    h5_close(h);
    return !f->code;
}

// Whether a tensor is A or B of a target, and as wide as the rank; its layer.
static bool fits(const struct tensor *t, const struct adapter_config *c, size_t *layer) {
    for (enum adapter_target k = 0; k < ADAPTER_TARGETS; k++)
        for (int b = 0; c->target[k] && b < 2; b++) {
            char name[sizeof t->name];
            int end = 0;
            if (sscanf(t->name, "base_model.model.model.layers.%zu.%n", layer, &end) != 1) continue;
            snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.lora_%c.weight",
                     *layer, adapter_module_name(k), b ? 'B' : 'A');
            if (end && !strcmp(name, t->name)) return (b ? t->cols : t->rows) == c->rank;
        }
    return false;
}

// Every layer up to the last one has both of every target, and there is nothing else.
static bool complete(const struct tensor *t, size_t n, const struct adapter_config *c) {
    size_t targets = 0, layers = 0, layer = 0;
    for (enum adapter_target k = 0; k < ADAPTER_TARGETS; k++) targets += c->target[k];
    for (size_t i = 0; i < n; i++) {
        if (!fits(&t[i], c, &layer) || layer >= n) return false;
        layers = layer + 1 > layers ? layer + 1 : layers;
    }
    return n == 2 * layers * targets;
}

// The tensors as the file has them, whatever the base asks for.
static bool verify(struct h5 *h, const char *path, const struct header *header,
                   struct hash128 expect) {
    size_t n;
    char **names = h5_members(h, "weights", &n);
    struct tensor *tensors = xcalloc(n, sizeof *tensors);
    struct hash128 *hash = xcalloc(n, sizeof *hash);
    struct stat st = {0};
    size_t most = stat(path, &st) ? 0 : (size_t)st.st_size / sizeof(float); // that the file backs
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        char name[sizeof tensors->name + 8];
        struct h5_shape s;
        snprintf(tensors[i].name, sizeof tensors[i].name, "%s", names[i]);
        snprintf(name, sizeof name, "weights/%s", tensors[i].name);
        ok = h5_shape(h, name, &s) && s.type == H5_FLOAT32 && s.rank == 2 && s.count <= most;
        float *values = ok ? xmalloc((s.count + 1) * sizeof *values) : NULL;
        ok = ok && h5_read(h, name, 0, s.count, values) && tensor_file_finite(values, s.count);
        if (ok) {
            tensors[i].rows = s.dims[0];
            tensors[i].cols = s.dims[1];
            hash[i] = hash_bytes(values, s.count * sizeof *values);
        }
        free(values);
    }
    ok = ok && hash_equal(content_of(header, tensors, n, hash), expect);
    if (ok && !complete(tensors, n, &header->config))
        fail_set(h5_fail(h), EXIT_BADDATA,
                 "'%s' is not a whole adapter: its tensors are not those of its rank and targets",
                 path);
    h5_names_free(names, n);
    free(tensors);
    free(hash);
    return ok || damaged(h, path);
}

bool adapter_file_verify(const char *path, struct fail *f) {
    struct artefact a;
    struct header header = {0};
    struct h5 *h = h5_open(path, f);
    if (artefact_get(h, path, "adapter", &a)) {
        if (read_header(h, path, &header)) verify(h, path, &header, a.content);
        artefact_release(&a);
    }
    h5_close(h);
    return !f->code;
}

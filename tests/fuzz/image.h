// A file of ours as plain memory: its root attributes and datasets, to be changed at will and
// written again with the content_hash that FORMATS.md gives it. Nothing is checked; that is the
// point.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "formats/bytes/hash.h"
#include "formats/store/h5.h"
#include "formats/store/zfilter.h"
#include <stdlib.h>
#include <string.h>

enum image_type { IMAGE_INT, IMAGE_REAL, IMAGE_TEXT };
struct image_attr {
    char *name, *text;
    enum image_type type;
    int64_t integer;
    double real;
};
struct image_data {
    char *name;
    struct h5_shape shape;
    unsigned char *bytes;
};
struct image {
    size_t n_attrs, n_data;
    struct image_attr *attrs;
    struct image_data *data;
};

static inline struct image_attr *image_attr(const struct image *m, const char *name) {
    for (size_t i = 0; i < m->n_attrs; i++)
        if (!strcmp(m->attrs[i].name, name)) return &m->attrs[i];
    return NULL;
}

static inline struct image_data *image_data(const struct image *m, const char *name) {
    for (size_t i = 0; i < m->n_data; i++)
        if (!strcmp(m->data[i].name, name)) return &m->data[i];
    return NULL;
}

static inline const char *image_text(const struct image *m, const char *name) {
    const struct image_attr *a = image_attr(m, name);
    return a && a->type == IMAGE_TEXT ? a->text : "";
}

// ---- reading

static inline void image_read_attr(struct h5 *h, const char *name, struct image_attr *a) {
    *a = (struct image_attr){.name = xstrdup(name)};
    a->type = h5_is_text(h, name) ? IMAGE_TEXT : h5_is_real(h, name) ? IMAGE_REAL : IMAGE_INT;
    if (a->type == IMAGE_TEXT) a->text = h5_get_text(h, name);
    if (a->type == IMAGE_REAL) h5_get_real(h, name, &a->real);
    if (a->type == IMAGE_INT) h5_get_int(h, name, &a->integer);
}

static inline void image_read_data(struct image *m, struct h5 *h, const char *group) {
    size_t n;
    char **names = h5_members(h, *group ? group : "/", &n);
    for (size_t i = 0; i < n; i++) {
        if (!*group && !strcmp(names[i], "weights")) {
            image_read_data(m, h, "weights");
            continue;
        }
        char *name = *group ? xasprintf("%s/%s", group, names[i]) : xstrdup(names[i]);
        m->data = xrealloc(m->data, (m->n_data + 1) * sizeof *m->data);
        struct image_data *d = &m->data[m->n_data++];
        *d = (struct image_data){.name = name};
        h5_shape(h, name, &d->shape);
        d->bytes = xmalloc(d->shape.count * h5_size(d->shape.type));
        h5_read(h, name, 0, d->shape.count, d->bytes);
    }
    h5_names_free(names, n);
}

static inline bool image_load(struct image *m, const char *path, struct fail *f) {
    *m = (struct image){0};
    struct h5 *h = h5_open(path, f);
    char **names = h ? h5_attributes(h, &m->n_attrs) : NULL;
    m->attrs = xcalloc(m->n_attrs, sizeof *m->attrs);
    for (size_t i = 0; i < m->n_attrs; i++) image_read_attr(h, names[i], &m->attrs[i]);
    h5_names_free(names, m->n_attrs);
    if (h) image_read_data(m, h, "");
    h5_close(h);
    return !f->code;
}

static inline void image_free(struct image *m) {
    for (size_t i = 0; i < m->n_attrs; i++) free(m->attrs[i].name), free(m->attrs[i].text);
    for (size_t i = 0; i < m->n_data; i++) free(m->data[i].name), free(m->data[i].bytes);
    free(m->attrs);
    free(m->data);
    *m = (struct image){0};
}

// ---- the hash

static inline void image_hash_line(struct str *s, const void *bytes, size_t n) {
    char hash[33];
    hash_text(hash_bytes(bytes, n), hash);
    str_printf(s, "%s\n", hash);
}

static inline void image_attr_line(struct str *s, const struct image_attr *a) {
    if (!a) return;
    if (a->type == IMAGE_TEXT) str_printf(s, "@%s %s\n", a->name, a->text);
    if (a->type == IMAGE_REAL) str_printf(s, "@%s %.17g\n", a->name, a->real);
    if (a->type == IMAGE_INT) str_printf(s, "@%s %lld\n", a->name, (long long)a->integer);
}

// Every name in a list of words; datasets with a hash for each `chunk` elements.
static inline void image_words(struct str *s, const struct image *m, const char *list,
                               size_t chunk) {
    char *words = xstrdup(image_text(m, list)), *save = NULL;
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        const struct image_data *d = image_data(m, w);
        if (!chunk) image_attr_line(s, image_attr(m, w));
        if (!chunk || !d) continue;
        size_t size = h5_size(d->shape.type);
        str_printf(s, "%s %s %zu\n", w, h5_type_name(d->shape.type), d->shape.count);
        for (size_t at = 0; at < d->shape.count; at += chunk) {
            size_t n = d->shape.count - at < chunk ? d->shape.count - at : chunk;
            image_hash_line(s, d->bytes + at * size, n * size);
        }
    }
    free(words);
}

static inline void image_whole(struct str *s, const struct image_data *d) {
    if (!d) return;
    str_printf(s, "%s %s ", d->name, h5_type_name(d->shape.type));
    if (d->shape.rank == 2)
        str_printf(s, "%zux%zu ", d->shape.dims[0], d->shape.dims[1]);
    else
        str_printf(s, "%zu ", d->shape.count);
    image_hash_line(s, d->bytes, d->shape.count * h5_size(d->shape.type));
}

static inline void image_weights(struct str *s, const struct image *m) {
    for (size_t i = 0; i < m->n_data; i++) // as h5_members sorts them
        if (!strncmp(m->data[i].name, "weights/", 8)) image_whole(s, &m->data[i]);
}

static inline void image_model(struct str *s, const struct image *m) {
    static const char *const attrs[] = {
        "layers",        "width",       "heads",         "kv_heads",      "head_dim",
        "hidden",        "vocab",       "vocab_used",    "max_positions", "norm_eps",
        "rope_theta",    "rope_factor", "rope_low",      "rope_high",     "rope_original",
        "tied",          "qkv_bias",    "qk_norm",       "bos",           "eos",
        "reward_beta",   "reversed",    "reward_head",   "window",        "window_first",
        "window_period", "norms",       "qk_norm_whole", "fused",         "norm_plus_one",
        "gelu",          "embed_scale", "score_size",    "rope_local",    "rope_dim",
        "rope_gain"};
    static const char *const texts[] = {"config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "generation_config.json",
                                        "chat_template"};
    str_puts(s, "model 1\n");
    for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
        image_attr_line(s, image_attr(m, attrs[i]));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        image_whole(s, image_data(m, texts[i]));
    image_whole(s, image_data(m, "rope_divisors"));
    image_weights(s, m);
}

static inline void image_adapter(struct str *s, const struct image *m) {
    static const char *const attrs[] = {
        "base",    "rank",        "alpha",   "dropout", "rank_stabilised",
        "targets", "reward_beta", "reversed"};
    str_puts(s, "adapter 1\n");
    for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
        image_attr_line(s, image_attr(m, attrs[i]));
    image_weights(s, m);
}

static inline void image_checkpoint(struct str *s, const struct image *m) {
    static const char *const parts[] = {"extra", "params", "m", "v"};
    str_puts(s, "checkpoint 1\n");
    image_attr_line(s, image_attr(m, "step"));
    image_attr_line(s, image_attr(m, "kernels"));
    for (size_t i = 0; i < 4; i++) image_whole(s, image_data(m, parts[i]));
}

static inline void image_table(struct str *s, const struct image *m) {
    const struct image_attr *version = image_attr(m, "version"), *rows = image_attr(m, "rows");
    str_printf(s, "%s %d\n@rows %zu\n", image_text(m, "kind"), version ? (int)version->integer : 0,
               rows ? (size_t)rows->integer : 0);
    image_words(s, m, "attributes", 0);
    image_words(s, m, "blobs", 1 << 20);
    image_words(s, m, "columns", 1 << 16);
}

static inline void image_rehash(struct image *m) {
    struct image_attr *a = image_attr(m, "content_hash");
    const char *kind = image_text(m, "kind");
    struct str s = {0};
    if (!a) return;
    str_puts(&s, "");
    if (!strcmp(kind, "model"))
        image_model(&s, m);
    else if (!strcmp(kind, "adapter"))
        image_adapter(&s, m);
    else if (!strcmp(kind, "checkpoint"))
        image_checkpoint(&s, m);
    else
        image_table(&s, m);
    free(a->text);
    a->type = IMAGE_TEXT;
    a->text = xcalloc(33, 1);
    hash_text(hash_bytes(s.text, s.length), a->text);
    str_release(&s);
}

// ---- writing

static inline void image_write_chunks(struct h5 *h, const struct image_data *d, size_t chunk) {
    struct h5_shape s = d->shape;
    size_t size = h5_size(s.type), most = s.count < chunk ? s.count : chunk;
    s.chunk = most;
    s.level = s.level ? s.level : 3;
    unsigned char *raw = xmalloc(most * size), *coded = xmalloc(zfilter_bound(most * size));
    h5_begin(h, d->name, &s);
    for (size_t at = 0; at < s.count; at += most) {
        size_t n = s.count - at < most ? s.count - at : most;
        memset(raw, 0, most * size);
        memcpy(raw, d->bytes + at * size, n * size);
        h5_chunks_write(h, at / most, coded,
                        zfilter_encode(raw, most * size, size, s.level, coded));
    }
    h5_end(h);
    free(raw);
    free(coded);
}

static inline bool image_save(struct image *m, const char *path, struct fail *f) {
    const char *kind = image_text(m, "kind");
    bool whole = !strcmp(kind, "model") || !strcmp(kind, "adapter") || !strcmp(kind, "checkpoint");
    bool group = false;
    image_rehash(m);
    struct h5 *h = h5_create(path, f);
    for (size_t i = 0; i < m->n_attrs; i++) {
        const struct image_attr *a = &m->attrs[i];
        if (a->type == IMAGE_TEXT) h5_put_text(h, a->name, a->text);
        if (a->type == IMAGE_REAL) h5_put_real(h, a->name, a->real);
        if (a->type == IMAGE_INT) h5_put_int(h, a->name, a->integer);
    }
    for (size_t i = 0; i < m->n_data; i++) {
        struct image_data *d = &m->data[i];
        bool blob = !strcmp(d->name, "tokenizer.json") || !strcmp(d->name, "common");
        if (!strncmp(d->name, "weights/", 8) && !group) group = h5_group(h, "weights");
        d->shape.chunk = 0;
        if (whole || !d->shape.count || d->shape.rank != 1)
            h5_write(h, d->name, &d->shape, d->bytes);
        else
            image_write_chunks(h, d, blob ? 1 << 20 : 1 << 16);
    }
    h5_close(h);
    return !f->code;
}

// The file at path with the hash of what it now holds.
static inline bool image_rehash_file(const char *path, struct fail *f) {
    struct image m;
    bool ok = image_load(&m, path, f) && image_save(&m, path, f);
    image_free(&m);
    return ok;
}

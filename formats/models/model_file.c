#include "formats/models/model_file.h"
#include "formats/bytes/json.h"
#include "formats/models/tensor_file.h"
#include "formats/store/h5.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- what is stored besides the weights: one table for attributes, one for blobs

enum field_type { FIELD_SIZE, FIELD_BOOL, FIELD_ID, FIELD_REAL };

// A field that came after the first files is LATER: it has a default, and where it has that value
// it is neither written nor part of the hash. So files from before it stay what they were.
struct field {
    const char *name; // of the attribute
    enum field_type type;
    size_t at; // in struct model_file
    bool later;
    double fallback; // of a later one
};
#define FIELD(name, type, member)                                                                  \
    { name, FIELD_##type, offsetof(struct model_file, member), false, 0 }
#define LATER(name, type, member, fallback)                                                        \
    { name, FIELD_##type, offsetof(struct model_file, member), true, fallback }
static const struct field fields[] = {
    FIELD("layers", SIZE, model.config.layers),
    FIELD("width", SIZE, model.config.width),
    FIELD("heads", SIZE, model.config.heads),
    FIELD("kv_heads", SIZE, model.config.kv_heads),
    FIELD("head_dim", SIZE, model.config.head_dim),
    FIELD("hidden", SIZE, model.config.hidden),
    FIELD("vocab", SIZE, model.config.vocab),
    FIELD("vocab_used", SIZE, model.config.vocab_used),
    FIELD("max_positions", SIZE, model.config.max_positions),
    FIELD("norm_eps", REAL, model.config.norm_eps),
    FIELD("rope_theta", REAL, model.config.rope_theta),
    FIELD("rope_factor", REAL, model.config.rope_factor),
    FIELD("rope_low", REAL, model.config.rope_low),
    FIELD("rope_high", REAL, model.config.rope_high),
    FIELD("rope_original", REAL, model.config.rope_original),
    FIELD("tied", BOOL, model.config.tied),
    FIELD("qkv_bias", BOOL, model.config.qkv_bias),
    FIELD("qk_norm", BOOL, model.config.qk_norm),
    FIELD("bos", ID, bos),
    FIELD("eos", ID, eos),
    FIELD("reward_beta", REAL, reward_beta),
    FIELD("reversed", BOOL, reversed),
    LATER("reward_head", BOOL, model.config.reward_head, 0),
    LATER("window", SIZE, model.config.window, 0),
    LATER("window_first", SIZE, model.config.window_first, 0),
    LATER("window_period", SIZE, model.config.window_period, 0),
    LATER("norms", SIZE, model.config.norms, 0),
    LATER("qk_norm_whole", BOOL, model.config.qk_norm_whole, 0),
    LATER("fused", BOOL, model.config.fused, 0),
    LATER("norm_plus_one", BOOL, model.config.norm_plus_one, 0),
    LATER("gelu", BOOL, model.config.gelu, 0),
    LATER("embed_scale", REAL, model.config.embed_scale, 0),
    LATER("score_size", REAL, model.config.score_size, 0),
    LATER("rope_local", REAL, model.config.rope_local, 0),
    LATER("rope_dim", SIZE, model.config.rope_dim, 0),
    LATER("rope_gain", REAL, model.config.rope_gain, 0),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static const struct {
    const char *name; // of the dataset
    size_t at;        // a char * in struct model_file
} blobs[] = {
    {"config.json", offsetof(struct model_file, config_json)},
    {"tokenizer.json", offsetof(struct model_file, tokenizer_json)},
    {"tokenizer_config.json", offsetof(struct model_file, tokenizer_config_json)},
    {"special_tokens_map.json", offsetof(struct model_file, special_tokens_json)},
    {"generation_config.json", offsetof(struct model_file, generation_config_json)},
    {"chat_template", offsetof(struct model_file, chat_template)},
};
enum { BLOBS = sizeof blobs / sizeof *blobs };

static void *member(const struct model_file *m, size_t at) {
    return (char *)m + at;
}

static int64_t field_int(const struct model_file *m, const struct field *field) {
    const void *p = member(m, field->at);
    if (field->type == FIELD_SIZE) return (int64_t) * (const size_t *)p;
    return field->type == FIELD_BOOL ? *(const bool *)p : *(const int32_t *)p;
}

static bool field_set_int(struct model_file *m, const struct field *field, int64_t value) {
    void *p = member(m, field->at);
    bool ok = value >= (field->type == FIELD_ID ? -1 : 0) &&
              value <= (field->type == FIELD_BOOL ? 1 : INT32_MAX);
    if (!ok) return false;
    if (field->type == FIELD_SIZE)
        *(size_t *)p = (size_t)value;
    else if (field->type == FIELD_BOOL)
        *(bool *)p = value != 0;
    else
        *(int32_t *)p = (int32_t)value;
    return true;
}

static bool is_default(const struct model_file *m, const struct field *field) {
    double value = field->type == FIELD_REAL ? *(const double *)member(m, field->at)
                                             : (double)field_int(m, field);
    return field->later && value == field->fallback;
}

// ---- content_hash: XXH3-128 of lines that name every part; see FORMATS.md

static void digest_fields(const struct model_file *m, struct str *digest) {
    str_puts(digest, "model 1\n");
    for (size_t i = 0; i < FIELDS; i++)
        if (is_default(m, &fields[i]))
            continue;
        else if (fields[i].type == FIELD_REAL)
            str_printf(digest, "@%s %.17g\n", fields[i].name,
                       *(const double *)member(m, fields[i].at));
        else
            str_printf(digest, "@%s %lld\n", fields[i].name, (long long)field_int(m, &fields[i]));
}

static void digest_blobs(const struct model_file *m, struct str *digest) {
    for (size_t i = 0; i < BLOBS; i++) {
        const char *text = *(char **)member(m, blobs[i].at);
        char hash[33];
        if (!text) continue;
        hash_text(hash_bytes(text, strlen(text)), hash);
        str_printf(digest, "%s uint8 %zu %s\n", blobs[i].name, strlen(text), hash);
    }
}

static const char divisors_name[] = "rope_divisors";

static size_t divisors(const struct model_config *c) { // 0: there are none
    return c->rope_divisor[0] > 0 ? model_rope_width(c) / 2 : 0;
}

static void digest_divisors(const struct model_config *c, struct str *digest) {
    size_t n = divisors(c);
    char hash[33];
    if (!n) return;
    hash_text(hash_bytes(c->rope_divisor, n * sizeof *c->rope_divisor), hash);
    str_printf(digest, "%s float64 %zu %s\n", divisors_name, n, hash);
}

static struct hash128 content_of(const struct model_file *m, const struct hash128 *weights) {
    struct str digest = {0};
    digest_fields(m, &digest);
    digest_blobs(m, &digest);
    digest_divisors(&m->model.config, &digest);
    tensor_file_digest(m->model.tensors, m->model.n_tensors, weights, &digest);
    struct hash128 hash = hash_bytes(digest.text, digest.length);
    str_release(&digest);
    return hash;
}

// ---- writing

static void write_fields(struct h5 *h, const struct model_file *m) {
    for (size_t i = 0; i < FIELDS; i++)
        if (is_default(m, &fields[i]))
            continue;
        else if (fields[i].type == FIELD_REAL)
            h5_put_real(h, fields[i].name, *(const double *)member(m, fields[i].at));
        else
            h5_put_int(h, fields[i].name, field_int(m, &fields[i]));
}

static void write_texts(struct h5 *h, const struct model_file *m) {
    for (size_t i = 0; i < BLOBS; i++) {
        const char *text = *(char **)member(m, blobs[i].at);
        if (!text) continue;
        struct h5_shape s = {
            .type = H5_UINT8, .rank = 1, .dims = {strlen(text), 1}, .count = strlen(text)};
        h5_write(h, blobs[i].name, &s, text);
    }
}

static void write_divisors(struct h5 *h, const struct model_config *c) {
    size_t n = divisors(c);
    struct h5_shape s = {.type = H5_FLOAT64, .rank = 1, .dims = {n, 1}, .count = n};
    if (n) h5_write(h, divisors_name, &s, c->rope_divisor);
}

// The content hash is known when the last weight has passed; its place is kept for it.
bool model_file_write(const char *path, const struct model_file *m, const struct tensor_source *w,
                      const struct lineage *l, struct fail *f) {
    if (!whole_file_prepare(path, f)) return false;
    char *temp = whole_file_temp(path);
    struct hash128 *hash = xcalloc(m->model.n_tensors, sizeof *hash);
    struct h5 *h = h5_create(temp, f);
    artefact_put(h, "model", l, (struct hash128){0});
    write_fields(h, m);
    write_texts(h, m);
    write_divisors(h, &m->model.config);
    tensor_file_write(h, m->model.tensors, m->model.n_tensors, w, hash);
    artefact_put_content(h, content_of(m, hash));
    h5_close(h);
    free(hash);
    bool ok = whole_file_commit(temp, path, f);
    free(temp);
    return ok;
}

bool model_file_save(const char *path, const struct model_file *m, const struct lineage *l,
                     struct fail *f) {
    struct tensor_source weights = tensor_source_flat(m->model.params);
    return model_file_write(path, m, &weights, l, f);
}

// ---- reading

static bool read_field(struct h5 *h, const struct field *field, struct model_file *m) {
    int64_t value = (int64_t)field->fallback;
    double real = field->fallback;
    bool is_real = field->type == FIELD_REAL;
    bool read = is_real ? h5_get_real(h, field->name, &real) : h5_get_int(h, field->name, &value);
    if (!read && (!field->later || h5_fail(h)->code)) return false;
    if (is_real) *(double *)member(m, field->at) = real;
    return is_real || field_set_int(m, field, value);
}

static bool read_fields(struct h5 *h, const char *path, struct model_file *m) {
    for (size_t i = 0; i < FIELDS; i++) {
        if (!read_field(h, &fields[i], m))
            return fail_set(h5_fail(h), EXIT_BADDATA,
                            "'%s' has no proper attribute '%s'; it is not a whole model", path,
                            fields[i].name);
    }
    return true;
}

static bool read_blobs(struct h5 *h, const char *path, struct model_file *m) {
    for (size_t i = 0; i < BLOBS; i++) {
        struct h5_shape s;
        if (!h5_shape(h, blobs[i].name, &s)) continue;
        if (s.type != H5_UINT8)
            return fail_set(h5_fail(h), EXIT_BADDATA, "'%s': dataset '%s' is not uint8", path,
                            blobs[i].name);
        char *text = xmalloc(s.count + 1);
        text[s.count] = 0;
        *(char **)member(m, blobs[i].at) = text;
        if (!h5_read(h, blobs[i].name, 0, s.count, text)) return false;
        if (strlen(text) != s.count)
            return fail_set(h5_fail(h), EXIT_BADDATA, "'%s': dataset '%s' is not text", path,
                            blobs[i].name);
    }
    return !h5_fail(h)->code;
}

static bool read_divisors(struct h5 *h, const char *path, struct model_config *c) {
    struct h5_shape s;
    size_t n = model_rope_width(c) / 2;
    if (!h5_shape(h, divisors_name, &s)) return !h5_fail(h)->code;
    if (s.type == H5_FLOAT64 && s.rank == 1 && s.count == n && n <= MODEL_FREQUENCIES)
        return h5_read(h, divisors_name, 0, n, c->rope_divisor);
    return fail_set(h5_fail(h), EXIT_BADDATA, "'%s': dataset '%s' is not %zu of float64", path,
                    divisors_name, n);
}

static bool read_tensor(struct h5 *h, struct model *m, const struct tensor *t, float *buffer,
                        struct hash128 *hash) {
    struct hasher *hasher = hasher_new();
    size_t all = t->rows * t->cols, block = tensor_block(t);
    bool fine = true;
    for (size_t at = 0, n; fine && at < all; at += n) {
        n = all - at < block ? all - at : block;
        fine = tensor_file_read(h, t, at, n, buffer);
        if (!fine) break;
        hasher_add(hasher, buffer, n * sizeof *buffer);
        if (m->params || m->half) model_store(m, t, at, n, buffer);
        if (!tensor_file_finite(buffer, n))
            fine = fail_set(h5_fail(h), EXIT_BADDATA,
                            "'%s' is not a usable model: '%s' has numbers that are not finite",
                            h5_path(h), t->name);
    }
    *hash = hasher_end(hasher);
    return fine;
}

static bool read_weights(struct h5 *h, const char *path, bool keep, struct model *m,
                         struct hash128 *hash) {
    if (!tensor_file_check(h, path, m->tensors, m->n_tensors, true)) return false;
    if (keep) model_alloc(m);
    float *buffer = xmalloc(tensor_largest_block(m->tensors, m->n_tensors) * sizeof *buffer);
    bool fine = true;
    for (size_t i = 0; fine && i < m->n_tensors; i++)
        fine = read_tensor(h, m, &m->tensors[i], buffer, &hash[i]);
    free(buffer);
    return fine;
}

static bool ids_fit(const struct model_file *m) {
    int64_t vocab = (int64_t)m->model.config.vocab;
    return m->bos < vocab && m->eos < vocab;
}

static bool read_outline(struct h5 *h, const char *path, bool bf16, struct model_file *m) {
    char why[200];
    if (!read_fields(h, path, m) || !read_blobs(h, path, m) ||
        !read_divisors(h, path, &m->model.config))
        return false;
    struct model_config config = m->model.config;
    if (!(bf16 ? model_init_bf16 : model_init)(&m->model, &config, why, sizeof why))
        return fail_set(h5_fail(h), EXIT_BADDATA, "'%s' is not a usable model: %s", path, why);
    if (ids_fit(m) && m->reward_beta >= 0 && isfinite(m->reward_beta)) return true;
    return fail_set(h5_fail(h), EXIT_BADDATA,
                    "'%s' is not a usable model: its bos, eos or reward_beta is out of range",
                    path);
}

enum extent { OUTLINE, VERIFIED, LOADED }; // what is read: no weights; all, not kept; all

static bool read_model(struct h5 *h, const char *path, enum extent extent, bool bf16,
                       struct model_file *m) {
    if (!read_outline(h, path, bf16, m)) return false;
    if (extent == OUTLINE) return true;
    struct hash128 *hash = xmalloc(m->model.n_tensors * sizeof *hash);
    bool fine = read_weights(h, path, extent == LOADED, &m->model, hash);
    struct hash128 content = {0};
    if (fine) content = content_of(m, hash);
    free(hash);
    if (!fine || hash_equal(content, m->content)) return fine;
    return fail_set(h5_fail(h), EXIT_BADDATA,
                    "'%s' is damaged: its bytes do not have its content_hash; make it again", path);
}

static bool check_use(const struct model_file *m, enum model_use use, const char *path,
                      struct fail *f) {
    bool reward = m->model.config.reward_head;
    if (reward && use == MODEL_LANGUAGE)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is a reward model, which gives no text; give a language model", path);
    if (!reward && use == MODEL_REWARD)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is a language model; give one of dpo-train --loss reward", path);
    return true;
}

static bool open_model(const char *path, enum model_use use, enum extent extent, bool bf16,
                       struct model_file *m, struct fail *f) {
    *m = (struct model_file){.bos = -1, .eos = -1};
    struct artefact a;
    struct h5 *h = h5_open(path, f);
    if (artefact_get(h, path, "model", &a)) {
        m->content = a.content;
        m->options = a.options;
        a.options = NULL;
        memcpy(m->stage, a.stage, sizeof m->stage);
        artefact_release(&a);
        bool read = read_model(h, path, extent, bf16, m);
        if (read && check_use(m, use, path, f) && m->tokenizer_json)
            m->tokenizer = hash_bytes(m->tokenizer_json, strlen(m->tokenizer_json));
    }
    h5_close(h);
    if (f->code) model_file_release(m);
    return !f->code;
}

bool model_file_load(const char *path, struct model_file *m, struct fail *f) {
    return model_file_load_as(path, MODEL_LANGUAGE, false, m, f);
}

bool model_file_load_frozen(const char *path, bool bf16, struct model_file *m, struct fail *f) {
    return model_file_load_as(path, MODEL_LANGUAGE, bf16, m, f);
}

bool model_file_load_as(const char *path, enum model_use use, bool bf16, struct model_file *m,
                        struct fail *f) {
    return open_model(path, use, LOADED, bf16, m, f);
}

bool model_file_verify(const char *path, enum model_use use, struct model_file *m, struct fail *f) {
    return open_model(path, use, VERIFIED, false, m, f);
}

bool model_file_outline(const char *path, struct model_file *m, struct fail *f) {
    return open_model(path, MODEL_LANGUAGE, OUTLINE, false, m, f);
}

void model_file_copy_texts(struct model_file *to, const struct model_file *from) {
    struct model keep = to->model;
    *to = *from;
    to->model = keep;
    to->options = from->options ? xstrdup(from->options) : NULL;
    for (size_t i = 0; i < BLOBS; i++) {
        const char *text = *(char **)member(from, blobs[i].at);
        *(char **)member(to, blobs[i].at) = text ? xstrdup(text) : NULL;
    }
}

// What the configuration calls the type of its numbers, as our options call it.
static const char *type_of(const char *config, const char *path) {
    struct fail f = {0};
    struct json *j = json_parse(config, strlen(config), path, &f);
    const char *old = json_text(json_get(j, "torch_dtype"), NULL);
    const char *said = old ? old : json_text(json_get(j, "dtype"), NULL), *type = "f32";
    if (said && !strcmp(said, "bfloat16")) type = "bf16";
    if (said && !strcmp(said, "float16")) type = "f16";
    json_free(j);
    return type;
}

bool model_file_says_bf16(const char *config, const char *path) {
    return !strcmp(type_of(config, path), "bf16");
}

const char *model_file_came_in(const char *path) {
    struct fail f = {0};
    struct h5 *h = h5_open(path, &f);
    struct h5_shape s;
    const char *type = "f32";
    if (h && h5_shape(h, "config.json", &s) && s.type == H5_UINT8 && s.count < 1 << 24) {
        char *text = xcalloc(s.count + 1, 1);
        if (h5_read(h, "config.json", 0, s.count, text)) type = type_of(text, path);
        free(text);
    }
    h5_close(h);
    return type;
}

void frozen_dtype_row(struct options *o, const char **dtype, const char *help) {
    const struct opt_row row[] = {
        {"frozen-dtype", OPT_CHOICE, OPT_RESULT, dtype, .value = "float32",
         .choices = "float32|bf16", .help = help},
    };
    options_add(o, row, 1);
}

void precision_row(struct options *o, const char **precision) {
    const struct opt_row row[] = {
        {"precision", OPT_CHOICE, OPT_RESULT, precision, .value = "f32", .choices = "f32|bf16",
         .help = "of the large matrix products: bf16 rounds what they multiply, and is faster "
                 "where the CPU has AMX or multiplies it in pairs fast"},
    };
    options_add(o, row, 1);
}

bool precision_is_bf16(const char *precision) {
    return choice_is(precision, "bf16");
}

bool frozen_is_bf16(const char *dtype) {
    return choice_is(dtype, "bf16");
}

void model_file_release(struct model_file *m) {
    for (size_t i = 0; i < BLOBS; i++) free(*(char **)member(m, blobs[i].at));
    free(m->options);
    model_release(&m->model);
    *m = (struct model_file){0};
}

// Rotary positions of a config.json: rope_theta, rope_scaling and, of transformers 5,
// rope_parameters. See hf_reader.h.
#include "formats/models/hf_reader.h"
#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

struct scaling { // one kind of rope_scaling, and its keys besides those that all may have
    const char *name;
    enum hf_scaling kind;
    const char *keys[5];
};

static const struct scaling kinds[] = {
    {"default", SCALING_NONE, {NULL}},
    {"linear", SCALING_LINEAR, {NULL}},
    {"llama3", SCALING_LLAMA3, {NULL}},
    {"yarn", SCALING_YARN, {"attention_factor", "beta_fast", "beta_slow", "truncate", NULL}},
    {"longrope", SCALING_LONGROPE, {"attention_factor", "short_factor", "long_factor", NULL}},
};

static const char *const common_keys[] = {
    "type",
    "rope_type",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
};

static const struct scaling *kind_of(struct hf_reader *r, const struct json *v) {
    const char *type = json_text(json_get(v, "rope_type"), NULL);
    if (!type) type = json_text(json_get(v, "type"), NULL);
    if (!type) type = "missing";
    bool old = r->family->config.fused && (!strcmp(type, "su") || !strcmp(type, "yarn"));
    if (old) type = "longrope"; // as Phi-3 called it first
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(type, kinds[i].name)) return &kinds[i];
    fail_set(r->f, EXIT_BADDATA,
             "rope scaling '%s' in '%s' is not supported; linear, llama3, yarn and longrope are",
             type, r->name);
    return NULL;
}

static void check_keys(struct hf_reader *r, const struct scaling *s, const struct json *v) {
    size_t n = 0;
    while (s->keys[n]) n++;
    for (size_t i = 0; i < json_size(v); i++)
        if (!hf_listed(json_key(v, i), common_keys, sizeof common_keys / sizeof *common_keys) &&
            !hf_listed(json_key(v, i), s->keys, n) && !hf_is_null(json_value(v, i)))
            fail_set(r->f, EXIT_BADDATA, "rope scaling of '%s' has a key '%s' not understood here",
                     r->name, json_key(v, i));
}

static double read_factor(struct hf_reader *r, const struct json *v, double fallback) {
    double factor = hf_real(r, v, "factor", fallback);
    if (factor < 1) fail_set(r->f, EXIT_BADDATA, "rope scaling factor in '%s' is below 1", r->name);
    return factor;
}

static void read_llama3(struct hf_reader *r, const struct json *v) {
    struct model_config *m = &r->c->model;
    m->rope_low = hf_real(r, v, "low_freq_factor", 0);
    m->rope_high = hf_real(r, v, "high_freq_factor", 0);
    m->rope_original = hf_real(r, v, "original_max_position_embeddings", 0);
    if (!(m->rope_high > m->rope_low))
        fail_set(r->f, EXIT_BADDATA, "high_freq_factor in '%s' is not above low_freq_factor",
                 r->name);
}

// ---- YaRN and LongRoPE: a divisor for each frequency, a factor for what is turned

// The length that the model was first trained for, beside its max_position_embeddings or in v.
static void read_extension(struct hf_reader *r, const struct json *v) {
    const char *key = "original_max_position_embeddings";
    const struct json *beside = json_get(r->root, key);
    struct hf_rope *rope = &r->c->rope;
    rope->original = hf_real(r, hf_is_null(beside) ? v : r->root, key, 0);
    rope->factor = read_factor(r, v, fmax(1, (double)r->c->model.max_positions / rope->original));
    rope->gain_given = !hf_is_null(json_get(v, "attention_factor"));
    if (rope->gain_given) r->c->model.rope_gain = hf_real(r, v, "attention_factor", 0);
}

static double clamp(double x, double least, double most) {
    return x < least ? least : x > most ? most : x;
}

// Frequencies of which fewer than beta_slow turns fit into the original length are divided by the
// factor, those of more than beta_fast kept, a ramp between (Peng et al. 2023, section 3.2).
static void read_yarn(struct hf_reader *r, const struct json *v) {
    struct model_config *m = &r->c->model;
    struct hf_rope *rope = &r->c->rope;
    const struct json *truncate = json_get(v, "truncate");
    read_extension(r, v);
    rope->fast = hf_real(r, v, "beta_fast", 32);
    rope->slow = hf_real(r, v, "beta_slow", 1);
    if (!hf_is_null(truncate) && !json_bool(truncate))
        fail_set(r->f, EXIT_BADDATA, "'truncate' of the rope scaling in '%s' is not true", r->name);
    if (!rope->gain_given) m->rope_gain = 1 + 0.1 * log(rope->factor);
    size_t width = model_rope_width(m);
    double per_turn = (double)width / (2 * log(m->rope_theta)), last = (double)width - 1;
    double first = floor(per_turn * log(rope->original / (rope->fast * 2 * pi)));
    double end = ceil(per_turn * log(rope->original / (rope->slow * 2 * pi)));
    first = first > 0 ? first : 0;
    end = end < last ? end : last;
    if (end == first) end += 0.001;
    for (size_t i = 0; i < width / 2 && !r->f->code; i++) {
        double slow = clamp(((double)i - first) / (end - first), 0, 1);
        m->rope_divisor[i] = 1 / (slow / rope->factor + 1 - slow);
    }
}

static void read_divisors(struct hf_reader *r, const struct json *v, const char *key, double *to) {
    const struct json *list = json_get(v, key);
    size_t n = model_rope_width(&r->c->model) / 2;
    if (json_type(list) != JSON_ARRAY || json_size(list) != n)
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is not a list of %zu numbers", key, r->name, n);
    for (size_t i = 0; i < n && !r->f->code; i++) {
        to[i] = json_number(json_at(list, i));
        if (!(to[i] > 0) || !isfinite(to[i]))
            fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' has a number that is not positive", key,
                     r->name);
    }
}

// Texts up to the original length have divisors of their own, and are the only ones that we take: a
// longer text would turn all its positions by others (Ding et al. 2024).
static void read_longrope(struct hf_reader *r, const struct json *v) {
    struct model_config *m = &r->c->model;
    struct hf_rope *rope = &r->c->rope;
    hf_size(r, "max_position_embeddings", 0); // no default: the factor follows from it
    read_extension(r, v);
    if (!rope->gain_given) m->rope_gain = sqrt(1 + log(rope->factor) / log(rope->original));
    read_divisors(r, v, "short_factor", m->rope_divisor);
    read_divisors(r, v, "long_factor", rope->longer);
    if (rope->original < (double)m->max_positions) m->max_positions = (size_t)rope->original;
}

static void read_scaling(struct hf_reader *r, const struct json *v) {
    const struct scaling *s = kind_of(r, v);
    if (!s) return;
    check_keys(r, s, v);
    r->c->rope.kind = s->kind;
    if (s->kind == SCALING_LINEAR || s->kind == SCALING_LLAMA3)
        r->c->model.rope_factor = read_factor(r, v, 0);
    if (s->kind == SCALING_LLAMA3) read_llama3(r, v);
    if (s->kind == SCALING_YARN) read_yarn(r, v);
    if (s->kind == SCALING_LONGROPE) read_longrope(r, v);
}

// ---- all of it

// Theta of layers with a window. `parameters`: theirs, of transformers 5, or null.
static void read_local_rope(struct hf_reader *r, const struct json *parameters) {
    const char *type = json_text(json_get(parameters, "rope_type"), NULL);
    if (hf_is_null(parameters))
        r->c->model.rope_local = hf_real(r, r->root, "rope_local_base_freq", 10000);
    else if (type && strcmp(type, "default"))
        fail_set(r->f, EXIT_BADDATA, "rope scaling '%s' of sliding layers in '%s' is not supported",
                 type, r->name);
    else
        r->c->model.rope_local = hf_real(r, parameters, "rope_theta", 10000);
}

// The first numbers of a head alone may turn.
static void read_share(struct hf_reader *r, const struct json *parameters,
                       const struct json *scaling) {
    const char *key = "partial_rotary_factor";
    struct model_config *m = &r->c->model;
    const struct json *object = !hf_is_null(json_get(parameters, key)) ? parameters
                                : !hf_is_null(json_get(scaling, key))  ? scaling
                                                                       : r->root;
    double share = hf_real(r, object, key, 1);
    if (share == 1 || r->f->code) return;
    if (!r->family->partial) {
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is not 1", key, r->name);
        return;
    }
    m->rope_dim = share > 0 && share < 1 ? (size_t)((double)m->head_dim * share) : 0;
    if (!m->rope_dim || m->rope_dim % 2)
        fail_set(r->f, EXIT_BADDATA,
                 "'%s' in '%s' leaves no even number of a head's %zu numbers to turn", key, r->name,
                 m->head_dim);
}

void hf_read_rope(struct hf_reader *r) {
    struct model_config *m = &r->c->model;
    const struct json *scaling = json_get(r->root, "rope_scaling");
    const struct json *parameters = json_get(r->root, "rope_parameters"); // transformers 5
    if (r->family->gemma) {
        read_local_rope(r, json_get(parameters, "sliding_attention"));
        if (json_get(parameters, "full_attention"))
            parameters = json_get(parameters, "full_attention");
    }
    m->rope_factor = 1;
    m->rope_theta = hf_real(r, json_get(parameters, "rope_theta") ? parameters : r->root,
                            "rope_theta", r->family->rope_theta > 0 ? r->family->rope_theta : 1e4);
    if (m->head_dim > MODEL_HEAD)
        return; // refused by model_init: there is no room for its divisors
    read_share(r, parameters, scaling);
    if (!hf_is_null(parameters)) read_scaling(r, parameters);
    if (!hf_is_null(scaling)) read_scaling(r, scaling);
    hf_must_be_off(r, "rope_interleaved");
}

// config.json of the supported families; see formats/models/huggingface.h.
#include "formats/models/huggingface.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

// Keys that change nothing in what we compute: bookkeeping, training-time settings, generation.
static const char *const harmless[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
    "_name_or_path",
    "add_cross_attention",
    "architectures",
    "attention_dropout",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "max_window_layers",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "transformers.js_config",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_sliding_window",
};

struct reader {
    const struct json *root;
    const char *name;
    struct hf_config *c;
    struct fail *f;
};

static bool is_null(const struct json *v) {
    return json_type(v) == JSON_NULL;
}

// A positive whole number; `fallback` where it is missing or null, 0 there: required.
static size_t read_size(struct reader *r, const char *key, size_t fallback) {
    const struct json *v = json_get(r->root, key);
    if (is_null(v) && fallback) return fallback;
    if (!json_is_integer(v) || json_int(v) <= 0 || json_int(v) > 1 << 28) {
        fail_set(r->f, EXIT_BADDATA,
                 is_null(v) ? "'%s' is missing in '%s'" : "'%s' in '%s' is not a positive integer",
                 key, r->name);
        return 1;
    }
    return (size_t)json_int(v);
}

static double read_real(struct reader *r, const struct json *object, const char *key,
                        double fallback) {
    const struct json *v = json_get(object, key);
    if (is_null(v) && fallback > 0) return fallback;
    double x = json_number(v);
    if (!(x > 0) || !isfinite(x))
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is not a positive number", key, r->name);
    return x;
}

static bool read_flag(struct reader *r, const char *key, bool fallback) {
    const struct json *v = json_get(r->root, key);
    if (is_null(v)) return fallback;
    if (json_type(v) != JSON_BOOL)
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is not true or false", key, r->name);
    return json_bool(v);
}

static void must_be_off(struct reader *r, const char *key) {
    if (read_flag(r, key, false))
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is true; this is not supported", key, r->name);
}

// ---- parts of a config --------------------------------------------------------------------------

static void read_tokens(struct reader *r) {
    const struct json *bos = json_get(r->root, "bos_token_id");
    const struct json *eos = json_get(r->root, "eos_token_id");
    r->c->bos = json_is_integer(bos) ? (int32_t)json_int(bos) : -1;
    size_t n = json_type(eos) == JSON_ARRAY ? json_size(eos) : !is_null(eos);
    if (n > HF_STOPS) fail_set(r->f, EXIT_BADDATA, "too many eos_token_id in '%s'", r->name);
    for (size_t i = 0; i < n && i < HF_STOPS; i++) {
        const struct json *v = json_type(eos) == JSON_ARRAY ? json_at(eos, i) : eos;
        if (!json_is_integer(v) || json_int(v) < -1 || json_int(v) > INT32_MAX)
            fail_set(r->f, EXIT_BADDATA, "bad eos_token_id in '%s'", r->name);
        else if (json_int(v) >= 0)
            r->c->eos[r->c->n_eos++] = (int32_t)json_int(v);
    }
}

static const char *const rope_keys[] = {
    "type",
    "rope_type",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "rope_theta",
};

static bool listed(const char *key, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(key, list[i])) return true;
    return false;
}

static void read_scaling(struct reader *r, const struct json *v) {
    struct model_config *m = &r->c->model;
    const char *type = json_text(json_get(v, "rope_type"), NULL);
    if (!type) type = json_text(json_get(v, "type"), NULL);
    if (!type) type = "missing";
    for (size_t i = 0; i < json_size(v); i++)
        if (!listed(json_key(v, i), rope_keys, sizeof rope_keys / sizeof *rope_keys) &&
            !is_null(json_value(v, i)))
            fail_set(r->f, EXIT_BADDATA, "rope scaling of '%s' has a key '%s' not understood here",
                     r->name, json_key(v, i));
    if (!strcmp(type, "default")) return;
    if (strcmp(type, "linear") && strcmp(type, "llama3")) {
        fail_set(r->f, EXIT_BADDATA,
                 "rope scaling '%s' in '%s' is not supported; only linear and llama3 are", type,
                 r->name);
        return;
    }
    m->rope_factor = read_real(r, v, "factor", 0);
    if (m->rope_factor < 1)
        fail_set(r->f, EXIT_BADDATA, "rope scaling factor in '%s' is below 1", r->name);
    if (!strcmp(type, "linear")) return;
    m->rope_low = read_real(r, v, "low_freq_factor", 0);
    m->rope_high = read_real(r, v, "high_freq_factor", 0);
    m->rope_original = read_real(r, v, "original_max_position_embeddings", 0);
    if (!(m->rope_high > m->rope_low))
        fail_set(r->f, EXIT_BADDATA, "high_freq_factor in '%s' is not above low_freq_factor",
                 r->name);
}

static void read_rope(struct reader *r) {
    struct model_config *m = &r->c->model;
    const struct json *scaling = json_get(r->root, "rope_scaling");
    const struct json *parameters = json_get(r->root, "rope_parameters"); // transformers 5
    m->rope_factor = 1;
    m->rope_theta = read_real(r, json_get(parameters, "rope_theta") ? parameters : r->root,
                              "rope_theta", 10000);
    if (!is_null(parameters)) read_scaling(r, parameters);
    if (!is_null(scaling)) read_scaling(r, scaling);
    must_be_off(r, "rope_interleaved");
    const struct json *part = json_get(r->root, "partial_rotary_factor");
    if (!is_null(part) && json_number(part) != 1)
        fail_set(r->f, EXIT_BADDATA, "'partial_rotary_factor' in '%s' is not 1", r->name);
}

static bool slides(const struct json *root) { // does any layer use its window?
    const struct json *types = json_get(root, "layer_types");
    for (size_t i = 0; i < json_size(types); i++) {
        const char *t = json_text(json_at(types, i), NULL);
        if (!t || strcmp(t, "full_attention")) return true;
    }
    const char *family = json_text(json_get(root, "model_type"), NULL);
    if (!strcmp(family, "mistral")) return true;
    if (is_null(types) && json_bool(json_get(root, "use_sliding_window"))) {
        const struct json *from = json_get(root, "max_window_layers");
        return is_null(from) || json_int(from) < json_int(json_get(root, "num_hidden_layers"));
    }
    return false;
}

static void read_window(struct reader *r) {
    const struct json *v = json_get(r->root, "sliding_window");
    size_t positions = r->c->model.max_positions;
    bool absent = !v && !strcmp(r->c->family, "mistral"); // its default is 4096
    if ((is_null(v) && !absent) || !slides(r->root)) return;
    int64_t window = absent ? 4096 : json_int(v);
    if (window > 0 && (uint64_t)window >= positions) return;
    fail_set(r->f, EXIT_BADDATA,
             "sliding_window %lld in '%s' is shorter than its max_position_embeddings %zu; lower "
             "the latter to %lld to use the model within its window",
             (long long)window, r->name, positions, (long long)window);
}

static void read_shape(struct reader *r) {
    struct model_config *m = &r->c->model;
    bool llama = !strcmp(r->c->family, "llama"), qwen3 = !strcmp(r->c->family, "qwen3");
    m->layers = read_size(r, "num_hidden_layers", 0);
    m->width = read_size(r, "hidden_size", 0);
    m->heads = read_size(r, "num_attention_heads", 0);
    m->kv_heads = read_size(r, "num_key_value_heads", llama ? m->heads : 0);
    m->hidden = read_size(r, "intermediate_size", 0);
    m->max_positions = read_size(r, "max_position_embeddings", llama ? 2048 : 0);
    const struct json *dim = json_get(r->root, "head_dim");
    if (is_null(dim) && !qwen3 && m->width % m->heads)
        fail_set(r->f, EXIT_BADDATA, "hidden_size %zu in '%s' is not a multiple of %zu heads",
                 m->width, r->name, m->heads);
    m->head_dim = read_size(r, "head_dim", qwen3 ? 128 : m->width / m->heads);
    m->vocab = is_null(json_get(r->root, "vocab_size")) ? 0 : read_size(r, "vocab_size", 0);
    m->norm_eps = read_real(r, r->root, "rms_norm_eps", 1e-6);
}

static void read_family(struct reader *r) {
    static const char *const families[] = {"llama", "mistral", "qwen2", "qwen3"};
    const char *type = json_text(json_get(r->root, "model_type"), NULL);
    if (!type || !listed(type, families, 4)) {
        fail_set(r->f, EXIT_BADDATA,
                 "model_type '%s' in '%s' is not supported; llama, mistral, qwen2 and qwen3 are",
                 type ? type : "(missing)", r->name);
        return;
    }
    snprintf(r->c->family, sizeof r->c->family, "%s", type);
    const char *architecture = json_text(json_at(json_get(r->root, "architectures"), 0), NULL);
    size_t n = architecture ? strlen(architecture) : 0;
    if (architecture && (n < 11 || strcmp(architecture + n - 11, "ForCausalLM")))
        fail_set(r->f, EXIT_BADDATA, "architecture '%s' in '%s' is not a causal language model",
                 architecture, r->name);
    r->c->model.qkv_bias = !strcmp(type, "qwen2");
    r->c->model.qk_norm = !strcmp(type, "qwen3");
}

static void read_switches(struct reader *r) {
    r->c->model.tied = read_flag(r, "tie_word_embeddings", false);
    if (strcmp(r->c->family, "qwen2")) must_be_off(r, "attention_bias"); // biases o as well
    must_be_off(r, "mlp_bias");
    const struct json *act = json_get(r->root, "hidden_act");
    const char *name = json_text(act, NULL);
    if (!is_null(act) && (!name || (strcmp(name, "silu") && strcmp(name, "swish"))))
        fail_set(r->f, EXIT_BADDATA, "hidden_act '%s' in '%s' is not supported; silu is",
                 name ? name : "(not a string)", r->name);
}

// Nothing is left over.
static void check_keys(struct reader *r) {
    static const char *const read[] = {
        "attention_bias",    "bos_token_id",        "eos_token_id",
        "head_dim",          "hidden_act",          "hidden_size",
        "intermediate_size", "layer_types",         "max_position_embeddings",
        "mlp_bias",          "model_type",          "num_attention_heads",
        "num_hidden_layers", "num_key_value_heads", "partial_rotary_factor",
        "rms_norm_eps",      "rope_interleaved",    "rope_parameters",
        "rope_scaling",      "rope_theta",          "tie_word_embeddings",
        "vocab_size",
    };
    for (size_t i = 0; i < json_size(r->root); i++) {
        const char *key = json_key(r->root, i);
        const struct json *v = json_value(r->root, i);
        bool window = !strcmp(key, "sliding_window") && strcmp(r->c->family, "llama");
        bool pruned = !strcmp(key, "pruned_heads") && !json_size(v);
        if (is_null(v) || window || pruned || listed(key, read, sizeof read / sizeof *read) ||
            listed(key, harmless, sizeof harmless / sizeof *harmless))
            continue;
        fail_set(r->f, EXIT_BADDATA,
                 "key '%s' in '%s' is not understood and may change the computation; remove it if "
                 "it doesn't",
                 key, r->name);
    }
}

bool huggingface_config(const char *text, size_t n, const char *name, struct hf_config *c,
                        struct fail *f) {
    *c = (struct hf_config){0};
    struct json *root = json_parse(text, n, name, f);
    if (!root) return false;
    struct reader r = {root, name, c, f};
    if (json_type(root) != JSON_OBJECT) fail_set(f, EXIT_BADDATA, "'%s' is not an object", name);
    if (!f->code) read_family(&r);
    if (!f->code) check_keys(&r);
    if (!f->code) read_shape(&r);
    if (!f->code) {
        read_rope(&r);
        read_window(&r);
        read_switches(&r);
        read_tokens(&r);
    }
    json_free(root);
    return !f->code;
}

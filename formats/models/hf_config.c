// config.json of the supported families; see formats/models/huggingface.h.
#include "formats/models/hf_reader.h"
#include "common/base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

// ---- parts of a config --------------------------------------------------------------------------

static void read_tokens(struct hf_reader *r) {
    const struct json *bos = json_get(r->root, "bos_token_id");
    const struct json *eos = json_get(r->root, "eos_token_id");
    r->c->bos = json_is_integer(bos) ? (int32_t)json_int(bos) : -1;
    size_t n = json_type(eos) == JSON_ARRAY ? json_size(eos) : !hf_is_null(eos);
    if (n > HF_STOPS) fail_set(r->f, EXIT_BADDATA, "too many eos_token_id in '%s'", r->name);
    for (size_t i = 0; i < n && i < HF_STOPS; i++) {
        const struct json *v = json_type(eos) == JSON_ARRAY ? json_at(eos, i) : eos;
        if (!json_is_integer(v) || json_int(v) < -1 || json_int(v) > INT32_MAX)
            fail_set(r->f, EXIT_BADDATA, "bad eos_token_id in '%s'", r->name);
        else if (json_int(v) >= 0)
            r->c->eos[r->c->n_eos++] = (int32_t)json_int(v);
    }
}

// ---- sliding windows

// Gemma's own keys: every n-th layer sees all, the others have a window.
static size_t read_period(struct hf_reader *r) {
    const char *key = json_get(r->root, "sliding_window_pattern") ? "sliding_window_pattern"
                                                                  : "_sliding_window_pattern";
    return r->family->gemma ? hf_size(r, key, 6) : 0;
}

// Whether each layer has a window (L): as layer_types says, or the family's rule. False: no layer.
static bool read_window_layers(struct hf_reader *r, bool *slides) {
    const struct json *types = json_get(r->root, "layer_types"), *from = NULL;
    size_t layers = r->c->model.layers, first = 0, period = read_period(r);
    bool qwen = !strncmp(r->c->family, "qwen", 4), any = false;
    bool off = qwen && !hf_flag(r, "use_sliding_window", false);
    if (qwen) {
        from = json_get(r->root, "max_window_layers");
        first = off                  ? layers
                : hf_is_null(from)   ? 28
                : json_int(from) < 0 ? 0
                                     : (size_t)json_int(from);
    }
    if (!hf_is_null(types) && json_size(types) != layers)
        fail_set(r->f, EXIT_BADDATA, "layer_types in '%s' has not one type for each layer",
                 r->name);
    for (size_t l = 0; l < layers && !r->f->code; l++) {
        const char *type = json_text(json_at(types, l), NULL);
        bool known =
            type && (!strcmp(type, "full_attention") || !strcmp(type, "sliding_attention"));
        slides[l] = known ? type[0] == 's' : l >= first && !(period && (l + 1) % period == 0);
        any = any || slides[l];
        if (!hf_is_null(types) && !known)
            fail_set(r->f, EXIT_BADDATA, "layer_types in '%s' has a type '%s', not supported here",
                     r->name, type ? type : "(not a string)");
    }
    if (any && off)
        fail_set(r->f, EXIT_BADDATA,
                 "layer_types in '%s' has sliding layers although use_sliding_window is not true",
                 r->name);
    return any && !r->f->code;
}

// The layers as model_config has them: all from a first one on, but the last of each period.
static bool fit_window_layers(struct model_config *m, const bool *slides) {
    size_t first = 0;
    while (!slides[first]) first++;
    m->window_first = first;
    for (size_t period = 0; period <= m->layers; period++) {
        m->window_period = period;
        size_t l = first;
        while (l < m->layers && slides[l] == (model_window(m, l) != 0)) l++;
        if (l == m->layers) return true;
    }
    return false;
}

static void read_window(struct hf_reader *r) {
    struct model_config *m = &r->c->model;
    const struct json *v = json_get(r->root, "sliding_window");
    size_t missing = v ? 0 : r->family->window;
    if ((hf_is_null(v) && !missing) || m->layers > MODEL_LAYERS) return; // too many: refused later
    size_t window = hf_size(r, "sliding_window", missing);
    bool *slides = xcalloc(m->layers, sizeof *slides);
    bool matters = window < m->max_positions || m->rope_local > 0;
    if (matters && read_window_layers(r, slides)) {
        m->window = window;
        if (!fit_window_layers(m, slides))
            fail_set(r->f, EXIT_BADDATA,
                     "layer_types in '%s' has sliding layers in an order not supported here: all "
                     "from one on, or all but every n-th",
                     r->name);
    }
    free(slides);
}

static void read_shape(struct hf_reader *r) {
    struct model_config *m = &r->c->model;
    const struct hf_family *family = r->family;
    m->layers = hf_size(r, "num_hidden_layers", 0);
    m->width = hf_size(r, "hidden_size", 0);
    m->heads = hf_size(r, "num_attention_heads", 0);
    m->kv_heads = hf_size(r, "num_key_value_heads", family->all_heads ? m->heads : 0);
    m->hidden = hf_size(r, "intermediate_size", 0);
    m->max_positions = hf_size(r, "max_position_embeddings", family->positions);
    const struct json *dim = json_get(r->root, "head_dim");
    if (hf_is_null(dim) && !family->head_dim && m->width % m->heads)
        fail_set(r->f, EXIT_BADDATA, "hidden_size %zu in '%s' is not a multiple of %zu heads",
                 m->width, r->name, m->heads);
    m->head_dim = hf_size(r, "head_dim", family->head_dim ? family->head_dim : m->width / m->heads);
    m->vocab = hf_is_null(json_get(r->root, "vocab_size")) ? 0 : hf_size(r, "vocab_size", 0);
    m->norm_eps =
        hf_real(r, r->root, "rms_norm_eps", family->norm_eps > 0 ? family->norm_eps : 1e-6);
}

static void read_family(struct hf_reader *r) {
    const char *type = json_text(json_get(r->root, "model_type"), NULL);
    r->family = type ? hf_family_find(type) : NULL;
    if (!r->family) {
        fail_set(r->f, EXIT_BADDATA, "model_type '%s' in '%s' is not supported; %s are",
                 type ? type : "(missing)", r->name, hf_family_names());
        return;
    }
    snprintf(r->c->family, sizeof r->c->family, "%s", type);
    const char *architecture = json_text(json_at(json_get(r->root, "architectures"), 0), NULL);
    if (architecture && !text_ends(architecture, "ForCausalLM"))
        fail_set(r->f, EXIT_BADDATA, "architecture '%s' in '%s' is not a causal language model",
                 architecture, r->name);
    r->c->model = r->family->config;
}

static void read_switches(struct hf_reader *r) {
    r->c->model.tied = hf_flag(r, "tie_word_embeddings", r->family->tied);
    if (!r->family->config.qkv_bias) hf_must_be_off(r, "attention_bias"); // biases o as well
    hf_must_be_off(r, "mlp_bias");
    hf_must_be_off(r, "lm_head_bias");
    const struct json *act = json_get(r->root, "hidden_act");
    const char *name = json_text(act, NULL);
    if (!hf_is_null(act) && (!name || (strcmp(name, "silu") && strcmp(name, "swish"))))
        fail_set(r->f, EXIT_BADDATA, "hidden_act '%s' in '%s' is not supported; silu is",
                 name ? name : "(not a string)", r->name);
}

static bool is_key_of(const struct hf_family *family, const char *key) {
    for (size_t i = 0; family->keys[i]; i++)
        if (!strcmp(key, family->keys[i])) return true;
    return false;
}

static void read_gemma(struct hf_reader *r) {
    const struct json *act = json_get(r->root, "hidden_activation");
    const char *name = json_text(act, NULL);
    if (!hf_is_null(act) && (!name || strcmp(name, "gelu_pytorch_tanh")))
        fail_set(r->f, EXIT_BADDATA,
                 "hidden_activation '%s' in '%s' is not supported; gelu_pytorch_tanh is",
                 name ? name : "(not a string)", r->name);
    r->c->model.embed_scale = sqrt((double)r->c->model.width);
    r->c->model.score_size = hf_real(r, r->root, "query_pre_attn_scalar", 256);
    hf_must_be_off(r, "use_bidirectional_attention");
}

// Nothing is left over.
static void check_keys(struct hf_reader *r) {
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
        bool window = !strcmp(key, "sliding_window") && r->family->windows;
        bool pruned = !strcmp(key, "pruned_heads") && !json_size(v);
        bool known = hf_listed(key, read, sizeof read / sizeof *read) ||
                     hf_listed(key, harmless, sizeof harmless / sizeof *harmless) ||
                     is_key_of(r->family, key);
        if (hf_is_null(v) || window || pruned || known) continue;
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
    struct hf_reader r = {root, name, c, f, NULL};
    if (json_type(root) != JSON_OBJECT) fail_set(f, EXIT_BADDATA, "'%s' is not an object", name);
    if (!f->code) read_family(&r);
    if (!f->code) check_keys(&r);
    if (!f->code) read_shape(&r);
    if (!f->code) {
        hf_read_rope(&r);
        read_window(&r);
        read_switches(&r);
        if (r.family->gemma) read_gemma(&r);
        read_tokens(&r);
    }
    json_free(root);
    return !f->code;
}

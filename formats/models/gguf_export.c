#include "formats/models/gguf_export.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/engine/adapter.h"
#include "formats/bytes/json.h"
#include "formats/bytes/whole_file.h"
#include "formats/models/gguf_tokenizer.h"
#include "formats/models/huggingface.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char lineage_key[] = "aligndistil.lineage";

bool gguf_export_current(const char *path, const struct lineage *l, bool no_clobber,
                         struct fail *f) {
    char *have = gguf_first(path, lineage_key, f), *want = lineage_text(l->kind, l);
    bool same = have && !strcmp(have, want);
    free(have);
    free(want);
    if (same) whole_file_sweep(path);
    if (!same && no_clobber && path_is_there(path, f))
        fail_set(f, EXIT_FAILED, "'%s' exists; drop --no-clobber to replace it", path);
    return same;
}

static struct gguf *begin_file(const struct lineage *l) {
    struct gguf *g = gguf_new();
    char *text = lineage_text(l->kind, l);
    gguf_text(g, lineage_key, text);
    free(text);
    return g;
}

// ---- the family: how llama.cpp calls it, and whether it rotates neighbours

struct family {
    const char *name, *architecture;
    bool neighbours;
};

static const struct family *family_of(const struct model_file *m, struct fail *f) {
    static const struct family all[] = {{"llama", "llama", true},        {"mistral", "llama", true},
                                        {"qwen2", "qwen2", false},       {"qwen3", "qwen3", false},
                                        {"olmo2", "olmo2", false},       {"phi3", "phi3", false},
                                        {"gemma3_text", "gemma3", false}};
    const char *text = m->config_json ? m->config_json : "{}";
    struct json *root = json_parse(text, strlen(text), "config.json", f);
    const char *type = json_text(json_get(root, "model_type"), NULL);
    const struct family *found = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (type && !strcmp(type, all[i].name)) found = &all[i];
    if (!found && !f->code)
        fail_set(f, EXIT_BADDATA, "no GGUF architecture for model_type '%s'",
                 type ? type : "(missing)");
    json_free(root);
    return found;
}

static size_t file_type(enum gguf_type type) { // general.file_type
    switch (type) {
    case GGUF_F32:
        return 0;
    case GGUF_F16:
        return 1;
    case GGUF_Q8_0:
        return 7;
    default:
        return 32;
    }
}

// ---- hyper-parameters

static void put_size(struct gguf *g, const char *architecture, const char *key, size_t value) {
    char name[96];
    snprintf(name, sizeof name, "%s.%s", architecture, key);
    gguf_size(g, name, value);
}

static void put_real(struct gguf *g, const char *architecture, const char *key, double value) {
    char name[96];
    snprintf(name, sizeof name, "%s.%s", architecture, key);
    gguf_real(g, name, value);
}

size_t gguf_context(const struct model_config *c) {
    bool unknown = !(c->rope_local > 0); // Gemma's are known
    return unknown && c->window && c->window < c->max_positions ? c->window : c->max_positions;
}

// llama.cpp computes Gemma 3 with constants of its own.
static bool gemma_fits(const struct model_config *c, struct fail *f) {
    size_t size = c->layers == 62 ? c->width / c->heads : c->head_dim; // 62: the 27B model
    bool same = c->window && c->rope_local == 10000 && c->score_size == (double)size;
    for (size_t l = 0; l < c->layers; l++)
        same = same && (model_window(c, l) != 0) == ((l + 1) % 6 != 0);
    return same ||
           fail_set(f, EXIT_BADDATA,
                    "llama.cpp takes Gemma 3 with query_pre_attn_scalar %zu, rope_local_base_freq "
                    "10000 and a window in all layers but every 6th alone; export to Hugging "
                    "Face's format",
                    size);
}

// What llama.cpp must know of YaRN or LongRoPE.
static bool read_rope(const struct model_file *m, const struct family *family, struct hf_rope *rope,
                      struct fail *f) {
    struct hf_config c;
    *rope = (struct hf_rope){0};
    if (!(m->model.config.rope_divisor[0] > 0)) return true;
    const char *text = m->config_json;
    if (!huggingface_config(text, strlen(text), "config.json", &c, f)) return false;
    *rope = c.rope;
    bool usual = !rope->gain_given && rope->fast == 32 && rope->slow == 1;
    if (rope->kind == SCALING_YARN ? usual : !strcmp(family->architecture, "phi3")) return true;
    return fail_set(f, EXIT_BADDATA,
                    "llama.cpp takes YaRN without attention_factor and betas of its own, and "
                    "LongRoPE of Phi-3 alone; export to Hugging Face's format");
}

static void put_scaling(struct gguf *g, const char *architecture, const struct model_config *c,
                        const struct hf_rope *rope) {
    const char *type = rope->kind == SCALING_YARN ? "yarn" : "longrope";
    bool linear = !(c->rope_original > 0) && c->rope_factor != 1, extended = c->rope_divisor[0] > 0;
    char name[96];
    snprintf(name, sizeof name, "%s.rope.scaling.type", architecture);
    if (linear || extended) gguf_text(g, name, linear ? "linear" : type);
    if (linear) put_real(g, architecture, "rope.scaling.factor", c->rope_factor);
    if (!extended) return; // llama3's is a tensor
    put_size(g, architecture, "rope.scaling.original_context_length", (size_t)rope->original);
    if (rope->kind == SCALING_YARN)
        put_real(g, architecture, "rope.scaling.factor", rope->factor);
    else
        put_real(g, architecture, "rope.scaling.attn_factor", c->rope_gain);
}

static void put_shape(struct gguf *g, const struct family *family, const struct model_config *c,
                      const struct hf_rope *rope) {
    const char *a = family->architecture;
    put_size(g, a, "block_count", c->layers);
    put_size(g, a, "context_length", gguf_context(c));
    put_size(g, a, "embedding_length", c->width);
    put_size(g, a, "feed_forward_length", c->hidden);
    put_size(g, a, "attention.head_count", c->heads);
    put_size(g, a, "attention.head_count_kv", c->kv_heads);
    put_size(g, a, "attention.key_length", c->head_dim);
    put_size(g, a, "attention.value_length", c->head_dim);
    put_real(g, a, "attention.layer_norm_rms_epsilon", c->norm_eps);
    put_size(g, a, "rope.dimension_count", model_rope_width(c));
    put_real(g, a, "rope.freq_base", c->rope_theta);
    put_size(g, a, "vocab_size", c->vocab);
    if (c->rope_local > 0) put_size(g, a, "attention.sliding_window", c->window);
    put_scaling(g, a, c, rope);
}

// ---- tensors

// Halves of a head, which Hugging Face rotates against each other, become neighbours.
static size_t neighbours(const struct gguf_tensor *t, size_t r) {
    size_t head = r / t->dim, i = r % t->dim;
    return head * t->dim + i % 2 * (t->dim / 2) + i / 2;
}

// Where the stream is normed after attention too, norms have other names: the third column.
static const char *const layer_names[][3] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.qkv_proj.weight", "attn_qkv.weight"},
    {"self_attn.q_proj.bias", "attn_q.bias"},
    {"self_attn.k_proj.bias", "attn_k.bias"},
    {"self_attn.v_proj.bias", "attn_v.bias"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight", "post_attention_norm.weight"},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight"},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.gate_up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
};

static const char *rest_of_layer(const char *name, size_t *layer) {
    int end = 0;
    return sscanf(name, "model.layers.%zu.%n", layer, &end) == 1 && end ? name + end : NULL;
}

static bool name_tensor(const struct model_config *c, const char *name, char *to, size_t size) {
    static const char *const others[][2] = {{"model.embed_tokens.weight", "token_embd.weight"},
                                            {"model.norm.weight", "output_norm.weight"},
                                            {"lm_head.weight", "output.weight"}};
    size_t layer;
    const char *rest = rest_of_layer(name, &layer);
    for (size_t i = 0; rest && i < sizeof layer_names / sizeof *layer_names; i++) {
        const char *const *n = layer_names[i];
        bool other = c->norms != NORMS_BEFORE && n[2];
        if (!strcmp(rest, n[0])) return snprintf(to, size, "blk.%zu.%s", layer, n[1 + other]) > 0;
    }
    for (size_t i = 0; !rest && i < 3; i++)
        if (!strcmp(name, others[i][0])) return snprintf(to, size, "%s", others[i][1]) > 0;
    return false;
}

static bool is_turned(const char *name) {
    return strstr(name, "q_proj.weight") || strstr(name, "k_proj.weight");
}

static void put_tensors(struct gguf *g, const struct family *family, const struct model *m,
                        enum gguf_type type) {
    for (size_t i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        struct gguf_tensor to = {.rows = t->vector ? 0 : t->rows,
                                 .cols = t->cols,
                                 .type = t->vector ? GGUF_F32 : type,
                                 .data = m->params + t->offset,
                                 .dim = m->config.head_dim};
        if (!name_tensor(&m->config, t->name, to.name, sizeof to.name)) continue;
        if (family->neighbours && is_turned(t->name)) to.row = neighbours;
        if (m->config.norm_plus_one && strstr(t->name, "norm.weight")) to.plus = 1;
        gguf_add(g, &to);
    }
}

static void put_vector(struct gguf *g, const char *name, const float *x, size_t n) {
    struct gguf_tensor t = {.cols = n, .data = x};
    snprintf(t.name, sizeof t.name, "%s", name);
    gguf_add(g, &t);
}

// What each frequency is divided by: LongRoPE's for short texts and for long ones.
static float *put_longrope(struct gguf *g, const struct model_config *c,
                           const struct hf_rope *rope) {
    size_t half = model_rope_width(c) / 2;
    float *factor = xmalloc(2 * half * sizeof *factor);
    for (size_t i = 0; i < half; i++) {
        factor[i] = (float)c->rope_divisor[i];
        factor[half + i] = (float)rope->longer[i];
    }
    put_vector(g, "rope_factors_short.weight", factor, half);
    put_vector(g, "rope_factors_long.weight", factor + half, half);
    return factor;
}

// The same of llama3's scaling.
static float *put_factors(struct gguf *g, const struct model_config *c,
                          const struct hf_rope *rope) {
    if (rope->kind == SCALING_LONGROPE) return put_longrope(g, c, rope);
    if (!(c->rope_original > 0)) return NULL;
    size_t half = model_rope_width(c) / 2;
    float *factor = xmalloc(half * sizeof *factor);
    for (size_t i = 0; i < half; i++) {
        double f = pow(c->rope_theta, -2.0 * (double)i / (double)model_rope_width(c));
        double wave = 2 * M_PI / f,
               smooth = (c->rope_original / wave - c->rope_low) / (c->rope_high - c->rope_low);
        double share = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        factor[i] = (float)(1 / ((1 - share) / c->rope_factor + share));
    }
    put_vector(g, "rope_freqs.weight", factor, half);
    return factor;
}

bool gguf_export(const char *path, enum gguf_type type, const struct model_file *m,
                 const struct lineage *l, struct fail *f) {
    const struct family *family = family_of(m, f);
    if (!family) return false;
    const struct model_config *c = &m->model.config;
    struct hf_rope rope;
    if (c->rope_local > 0 && !gemma_fits(c, f)) return false;
    if (!read_rope(m, family, &rope, f)) return false;
    struct gguf *g = begin_file(l);
    gguf_text(g, "general.architecture", family->architecture);
    gguf_size(g, "general.file_type", file_type(type));
    put_shape(g, family, c, &rope);
    float *factors = put_factors(g, c, &rope);
    put_tensors(g, family, &m->model, type);
    if (gguf_tokenizer(g, m, c->vocab, f) && path) gguf_write(g, path, f);
    gguf_free(g);
    free(factors);
    return !f->code;
}

// ---- adapters

static void put_pair(struct gguf *g, const struct family *family, const struct model *m,
                     const struct tensor *t, enum gguf_type type) {
    static const char prefix[] = "base_model.model.";
    const char *lora = strstr(t->name, ".lora_");
    char plain[96];
    struct gguf_tensor to = {.rows = t->rows,
                             .cols = t->cols,
                             .type = type,
                             .data = m->adapter->trained.values + t->offset,
                             .dim = m->config.head_dim};
    snprintf(plain, sizeof plain, "%.*s.weight", (int)(lora - t->name - sizeof prefix + 1),
             t->name + sizeof prefix - 1);
    char base[48];
    if (!name_tensor(&m->config, plain, base, sizeof base)) return;
    snprintf(to.name, sizeof to.name, "%s.lora_%c", base, lora[6] == 'A' ? 'a' : 'b');
    if (family->neighbours && is_turned(plain) && lora[6] == 'B') to.row = neighbours;
    gguf_add(g, &to);
}

bool gguf_export_adapter(const char *path, enum gguf_type type, const struct model_file *m,
                         const struct lineage *l, struct fail *f) {
    const struct family *family = family_of(m, f);
    if (!family) return false;
    const struct adapter *a = m->model.adapter;
    double alpha = a->config.alpha; // llama.cpp counts alpha / rank times
    if (a->config.rank_stabilised) alpha *= sqrt((double)a->config.rank);
    struct gguf *g = begin_file(l);
    gguf_text(g, "general.type", "adapter");
    gguf_text(g, "general.architecture", family->architecture);
    gguf_size(g, "general.file_type", file_type(type));
    gguf_text(g, "adapter.type", "lora");
    gguf_real(g, "adapter.lora.alpha", alpha);
    for (size_t i = 0; i < a->trained.n_tensors; i++)
        put_pair(g, family, &m->model, &a->trained.tensors[i], type);
    if (path) gguf_write(g, path, f);
    gguf_free(g);
    return !f->code;
}

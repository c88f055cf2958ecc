#include "formats/models/huggingface.h"
#include "common/base/path.h"
#include "common/text/bpe.h"
#include "formats/bytes/slurp.h"
#include "formats/models/tokenizer_json.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMALL = 64 << 20, TOKENIZER = 256 << 20 }; // bytes of a file that we take in whole

static char *optional(const char *folder, const char *name, struct fail *f) {
    size_t n;
    char *path = xasprintf("%s/%s", folder, name), *text = slurp_optional(path, SMALL, &n, f);
    free(path);
    return text;
}

// A special token is "text" or {"content": "text"}.
static int32_t special_id(const struct json *config, const char *key, const struct tokenizer *t) {
    const struct json *v = json_get(config, key);
    const char *text = json_text(json_type(v) == JSON_OBJECT ? json_get(v, "content") : v, NULL);
    return text ? tokenizer_id(t, text) : -1;
}

static void choose_ids(struct model_file *m, const struct hf_config *c, const struct json *config,
                       const struct tokenizer *t) {
    int32_t bos = special_id(config, "bos_token", t), eos = special_id(config, "eos_token", t);
    m->bos = c->bos >= 0 ? c->bos : bos;
    // Of several, the one that ends a turn: what tokenizer_config.json names.
    m->eos = c->n_eos ? c->eos[0] : eos;
    for (size_t i = 0; i < c->n_eos; i++)
        if (c->eos[i] == eos) m->eos = eos;
}

// "chat_template": a string, or a list of {"name", "template"} of which we take "default".
static void take_template(char **template, const struct json *config) {
    const struct json *v = json_get(config, "chat_template");
    const char *text = json_text(v, NULL);
    for (size_t i = 0; !text && i < json_size(v); i++) {
        const char *name = json_text(json_get(json_at(v, i), "name"), NULL);
        if (name && !strcmp(name, "default"))
            text = json_text(json_get(json_at(v, i), "template"), NULL);
    }
    if (text && !*template) *template = xstrdup(text);
}

static bool check_ids(const struct model_file *m, const char *name, struct fail *f) {
    int64_t vocab = (int64_t)m->model.config.vocab;
    if (m->bos < vocab && m->eos < vocab) return true;
    return fail_set(f, EXIT_BADDATA, "a special token of '%s' is outside its vocabulary of %lld",
                    name, (long long)vocab);
}

// Ids from `first` on are special tokens all of them, which no text gives: Gemma 3's tokenizer has
// one for images that its text models have no row for.
static bool only_special(const struct tokenizer *t, size_t first) {
    for (size_t id = first; id < tokenizer_vocab(t); id++)
        if (!tokenizer_is_special(t, (int32_t)id)) return false;
    return true;
}

// The vocabulary of tokenizer and config agree, up to padding rows of the latter.
static bool fit_vocab(struct hf_config *c, const struct tokenizer *t, const char *config,
                      const char *tokenizer, struct fail *f) {
    size_t have = tokenizer_vocab(t);
    if (!c->model.vocab) c->model.vocab = have;
    c->model.vocab_used = have < c->model.vocab ? have : c->model.vocab;
    if (have <= c->model.vocab || only_special(t, c->model.vocab)) return true;
    return fail_set(f, EXIT_BADDATA,
                    "tokenizer '%s' has %zu ids, but vocab_size in '%s' is %zu; pass the model's "
                    "own with --tokenizer",
                    tokenizer, have, config, c->model.vocab);
}

static bool lay_out(struct model_file *m, const struct hf_config *c, const char *config,
                    struct fail *f) {
    char why[200];
    if (!model_init(&m->model, &c->model, why, sizeof why))
        return fail_set(f, EXIT_BADDATA, "bad config '%s': %s", config, why);
    return check_ids(m, config, f);
}

static bool add_tokenizer(struct model_file *m, struct hf_config *c, const char *config,
                          const char *tokenizer, struct fail *f) {
    size_t n = strlen(m->tokenizer_json);
    struct tokenizer *t = tokenizer_parse(m->tokenizer_json, n, tokenizer, f);
    if (!t) return false;
    const char *text = m->tokenizer_config_json;
    struct json *special = text ? json_parse(text, strlen(text), "tokenizer_config.json", f) : NULL;
    if (!f->code && fit_vocab(c, t, config, tokenizer, f)) {
        choose_ids(m, c, special, t);
        take_template(&m->chat_template, special);
        m->tokenizer = hash_bytes(m->tokenizer_json, n);
        lay_out(m, c, config, f);
    }
    json_free(special);
    tokenizer_free(t);
    return !f->code;
}

static bool load_texts(struct model_file *m, const char *config, const char *tokenizer,
                       struct fail *f) {
    size_t n, k;
    struct hf_config c;
    m->config_json = slurp(config, SMALL, &n, f);
    if (!m->config_json || !huggingface_config(m->config_json, n, config, &c, f)) return false;
    if (!tokenizer && !c.model.vocab)
        return fail_set(f, EXIT_BADDATA, "'%s' has no vocab_size; pass --tokenizer", config);
    if (!tokenizer) {
        choose_ids(m, &c, NULL, NULL);
        return lay_out(m, &c, config, f);
    }
    m->tokenizer_json = slurp(tokenizer, TOKENIZER, &k, f);
    if (m->tokenizer_json && strlen(m->tokenizer_json) != k)
        fail_set(f, EXIT_BADDATA, "'%s' is not a text file", tokenizer);
    return !f->code && add_tokenizer(m, &c, config, tokenizer, f);
}

bool huggingface_load(const char *folder, const char *tokenizer, struct model_file *m,
                      struct fail *f) {
    *m = (struct model_file){.bos = -1, .eos = -1};
    char *config = xasprintf("%s/config.json", folder);
    char *own = xasprintf("%s/tokenizer.json", folder);
    m->generation_config_json = optional(folder, "generation_config.json", f);
    m->tokenizer_config_json = optional(folder, "tokenizer_config.json", f);
    m->special_tokens_json = optional(folder, "special_tokens_map.json", f);
    m->chat_template = optional(folder, "chat_template.jinja", f);
    if (!tokenizer && !f->code && path_is_there(config, f) && !path_is_there(own, f))
        fail_set(f, EXIT_BADDATA, "no tokenizer.json in '%s'; pass one with --tokenizer", folder);
    bool ok = !f->code && load_texts(m, config, tokenizer ? tokenizer : own, f);
    free(config);
    free(own);
    return ok;
}

bool huggingface_init(const char *config, const char *tokenizer, struct model_file *m,
                      struct fail *f) {
    *m = (struct model_file){.bos = -1, .eos = -1};
    return load_texts(m, config, tokenizer, f);
}

static int32_t named_id(const struct tokenizer *t, const char *name, int32_t otherwise,
                        struct fail *f) {
    if (!name) return otherwise;
    int32_t id = tokenizer_id(t, name);
    if (id < 0) fail_set(f, EXIT_BADDATA, "no token '%s' in the tokenizer", name);
    return id;
}

bool huggingface_special(struct model_file *m, const char *bos, const char *eos, struct fail *f) {
    size_t n = m->tokenizer_json ? strlen(m->tokenizer_json) : 0;
    struct tokenizer *t = n ? tokenizer_parse(m->tokenizer_json, n, "tokenizer.json", f) : NULL;
    if (!t) return !f->code;
    const struct ids *before, *after;
    tokenizer_surround(t, &before, &after);
    if (m->bos < 0 && before->n) m->bos = before->id[0];
    if (m->eos < 0) m->eos = huggingface_guess_eos(t);
    m->bos = named_id(t, bos, m->bos, f);
    m->eos = named_id(t, eos, m->eos, f);
    tokenizer_free(t);
    return !f->code;
}

int32_t huggingface_guess_eos(const struct tokenizer *t) {
    static const char *const usual[] = {
        "<|eos|>", "</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (tokenizer_id(t, usual[i]) >= 0) return tokenizer_id(t, usual[i]);
    return -1;
}

static int adds_bos(const struct json *config) {
    const char *class = json_text(json_get(config, "tokenizer_class"), NULL);
    const struct json *adds = json_get(config, "add_bos_token");
    bool counts = class && (!strncmp(class, "Llama", 5) || !strncmp(class, "Gemma", 5));
    return counts && json_type(adds) == JSON_BOOL ? json_bool(adds) : -1;
}

int huggingface_adds_bos(const char *config) {
    struct fail f = {0};
    struct json *v = json_parse(config, strlen(config), "tokenizer_config.json", &f);
    int adds = adds_bos(v);
    json_free(v);
    return adds;
}

bool huggingface_begin(const char *config, struct tokenizer *t) {
    struct fail f = {0};
    struct json *v = json_parse(config, strlen(config), "tokenizer_config.json", &f);
    int adds = adds_bos(v);
    int32_t bos = special_id(v, "bos_token", t);
    const struct ids *before, *after;
    json_free(v);
    tokenizer_surround(t, &before, &after);
    bool has = before->n == 1 && before->id[0] == bos;
    if (adds < 0 || (adds && (has || bos < 0)) || (!adds && !before->n)) return false;
    tokenizer_begin_with(t, adds ? bos : -1);
    return true;
}

bool huggingface_beside(const char *config, const struct tokenizer *t, int32_t *eos,
                        char **template, struct fail *f) {
    struct json *v = json_parse(config, strlen(config), "tokenizer_config.json", f);
    if (!v) return false;
    int32_t id = special_id(v, "eos_token", t);
    if (id >= 0) *eos = id;
    take_template(template, v);
    json_free(v);
    return true;
}

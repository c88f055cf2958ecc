#include "formats/models/gguf_tokenizer.h"
#include "common/base/mem.h"
#include "formats/bytes/json.h"
#include "formats/models/huggingface.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER,
    TOKEN_UNUSED,
    TOKEN_BYTE
};

struct vocabulary {
    size_t n;
    char **text;   // (n)
    int32_t *type; // (n)
    float *score;  // (n) SentencePiece's manner alone
};

static void free_vocabulary(struct vocabulary *v) {
    for (size_t i = 0; i < v->n; i++) free(v->text[i]);
    free(v->text);
    free(v->type);
    free(v->score);
}

static void put_token(struct vocabulary *v, const struct json *id, const char *text,
                      enum token_type type) {
    int64_t at = json_int(id);
    if (!json_is_integer(id) || at < 0 || (size_t)at >= v->n) return;
    free(v->text[at]);
    v->text[at] = xstrdup(text);
    v->type[at] = type;
}

static bool is_byte(const char *text) { // "<0x0A>"
    return strlen(text) == 6 && !strncmp(text, "<0x", 3) && text[5] == '>';
}

static struct vocabulary read_vocabulary(const struct json *root, size_t n, bool bytes) {
    struct vocabulary v = {n, xcalloc(n, sizeof *v.text), xcalloc(n, sizeof *v.type),
                           xcalloc(n, sizeof *v.score)};
    const struct json *model = json_get(root, "model"), *vocab = json_get(model, "vocab");
    const struct json *added = json_get(root, "added_tokens");
    const char *unknown = json_text(json_get(model, "unk_token"), NULL);
    for (size_t i = 0; i < json_size(vocab); i++) {
        const char *text = json_key(vocab, i);
        put_token(&v, json_value(vocab, i), text,
                  bytes && is_byte(text) ? TOKEN_BYTE : TOKEN_NORMAL);
    }
    for (size_t i = 0; i < json_size(added); i++) {
        const struct json *token = json_at(added, i);
        const char *text = json_text(json_get(token, "content"), NULL);
        bool special = json_bool(json_get(token, "special"));
        bool is_unknown = text && unknown && !strcmp(text, unknown);
        if (text)
            put_token(&v, json_get(token, "id"), text,
                      is_unknown ? TOKEN_UNKNOWN
                      : special  ? TOKEN_CONTROL
                                 : TOKEN_USER);
    }
    for (size_t i = 0; i < n; i++) {
        if (v.text[i]) continue;
        v.text[i] = xasprintf("[PAD%zu]", i);
        v.type[i] = TOKEN_UNUSED;
    }
    return v;
}

// ---- merges: "a b" or ["a", "b"]

static char *merge_text(const struct json *merge, const char *between) {
    const char *whole = json_text(merge, NULL), *space = whole ? strchr(whole + 1, ' ') : NULL;
    if (space) return xasprintf("%.*s%s%s", (int)(space - whole), whole, between, space + 1);
    const char *a = json_text(json_at(merge, 0), NULL), *b = json_text(json_at(merge, 1), NULL);
    return xasprintf("%s%s%s", a ? a : "", between, b ? b : "");
}

static void put_merges(struct gguf *g, const struct json *merges) {
    size_t n = json_size(merges);
    char **texts = xcalloc(n + 1, sizeof *texts);
    for (size_t i = 0; i < n; i++) texts[i] = merge_text(json_at(merges, i), " ");
    gguf_texts(g, "tokenizer.ggml.merges", n, texts);
    for (size_t i = 0; i < n; i++) free(texts[i]);
    free(texts);
}

// SentencePiece joins the neighbours whose union scores highest: a union that is made by an earlier
// merge scores higher.
static void put_scores(struct gguf *g, const struct json *model, struct vocabulary *v) {
    const struct json *vocab = json_get(model, "vocab"), *merges = json_get(model, "merges");
    for (size_t i = json_size(merges); i-- > 0;) {
        char *text = merge_text(json_at(merges, i), "");
        const struct json *id = json_get(vocab, text);
        if (json_is_integer(id) && json_int(id) >= 0 && (size_t)json_int(id) < v->n)
            v->score[json_int(id)] = -1 - (float)i;
        free(text);
    }
    gguf_reals(g, "tokenizer.ggml.scores", v->n, v->score);
}

// ---- which of llama.cpp's pre-tokenizers

#define LETTERS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SHORT "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const char *name_of_pattern(const char *pattern) {
    if (!strcmp(pattern, SHORT "|" LETTERS "|\\p{N}{1,3}|" REST)) return "llama-bpe";
    if (!strcmp(pattern, SHORT "|" LETTERS "|\\p{N}|" REST)) return "qwen2";
    return NULL;
}

static const char *type_of(const struct json *step) {
    const char *type = json_text(json_get(step, "type"), NULL);
    return type ? type : "";
}

// NULL: none that we know.
static const char *pre_tokenizer(const struct json *pre) {
    if (!strcmp(type_of(pre), "ByteLevel"))
        return json_bool(json_get(pre, "use_regex")) ? "gpt-2" : NULL;
    const struct json *steps = json_get(pre, "pretokenizers"), *first = json_at(steps, 0);
    if (strcmp(type_of(pre), "Sequence") || json_size(steps) != 2 ||
        strcmp(type_of(json_at(steps, 1)), "ByteLevel"))
        return NULL;
    if (!strcmp(type_of(first), "Digits"))
        return json_bool(json_get(first, "individual_digits")) ? "smollm" : NULL;
    const char *pattern = json_text(json_get(json_get(first, "pattern"), "Regex"), NULL);
    return pattern && !strcmp(type_of(first), "Split") ? name_of_pattern(pattern) : NULL;
}

static bool prepends(const struct json *normalizer) {
    const struct json *steps = json_get(normalizer, "normalizers");
    if (!strcmp(type_of(normalizer), "Prepend")) return true;
    for (size_t i = 0; i < json_size(steps); i++)
        if (!strcmp(type_of(json_at(steps, i)), "Prepend")) return true;
    return false;
}

// ---- special tokens

// Does the post-processor put `bos` in front?
static bool adds_bos(const struct json *post, int32_t bos) {
    const struct json *steps = json_get(post, "processors"), *single = json_get(post, "single");
    for (size_t i = 0; i < json_size(steps); i++)
        if (adds_bos(json_at(steps, i), bos)) return true;
    const struct json *token = json_get(json_at(single, 0), "SpecialToken");
    const char *name = json_text(json_get(token, "id"), NULL);
    const struct json *known = name ? json_get(json_get(post, "special_tokens"), name) : NULL;
    return known && json_int(json_at(json_get(known, "ids"), 0)) == bos;
}

static void put_special(struct gguf *g, const struct model_file *m, const struct json *root,
                        const struct vocabulary *v) {
    if (m->bos >= 0) gguf_size(g, "tokenizer.ggml.bos_token_id", (size_t)m->bos);
    if (m->eos >= 0) gguf_size(g, "tokenizer.ggml.eos_token_id", (size_t)m->eos);
    for (size_t i = 0; i < v->n; i++)
        if (v->type[i] == TOKEN_UNKNOWN) gguf_size(g, "tokenizer.ggml.unknown_token_id", i);
    const char *config = m->tokenizer_config_json;
    int said = config ? huggingface_adds_bos(config) : -1;
    bool adds = said < 0 ? adds_bos(json_get(root, "post_processor"), m->bos) : said;
    gguf_flag(g, "tokenizer.ggml.add_bos_token", m->bos >= 0 && adds);
    gguf_flag(g, "tokenizer.ggml.add_eos_token", false);
    if (m->chat_template) gguf_text(g, "tokenizer.chat_template", m->chat_template);
}

static bool put_all(struct gguf *g, const struct model_file *m, const struct json *root, size_t n,
                    struct fail *f) {
    const struct json *model = json_get(root, "model"), *pre = json_get(root, "pre_tokenizer");
    bool pieces = json_bool(json_get(model, "byte_fallback"));
    const char *name = pieces ? NULL : pre_tokenizer(pre);
    if (!pieces && !name)
        return fail_set(f, EXIT_BADDATA,
                        "llama.cpp has no name that we know for the tokenizer's pre-tokenizer, so "
                        "its ids would differ; export to Hugging Face's format");
    struct vocabulary v = read_vocabulary(root, n, pieces);
    gguf_text(g, "tokenizer.ggml.model", pieces ? "llama" : "gpt2");
    gguf_text(g, "tokenizer.ggml.pre", pieces ? "default" : name);
    gguf_texts(g, "tokenizer.ggml.tokens", v.n, v.text);
    if (pieces)
        put_scores(g, model, &v);
    else
        put_merges(g, json_get(model, "merges"));
    gguf_sizes(g, "tokenizer.ggml.token_type", v.n, v.type);
    if (pieces)
        gguf_flag(g, "tokenizer.ggml.add_space_prefix", prepends(json_get(root, "normalizer")));
    put_special(g, m, root, &v);
    free_vocabulary(&v);
    return true;
}

bool gguf_tokenizer(struct gguf *g, const struct model_file *m, size_t n, struct fail *f) {
    if (!m->tokenizer_json)
        return fail_set(f, EXIT_BADDATA,
                        "the model has no tokenizer, which a GGUF file needs; import it with "
                        "--tokenizer");
    struct json *root =
        json_parse(m->tokenizer_json, strlen(m->tokenizer_json), "tokenizer.json", f);
    if (!root) return false;
    put_all(g, m, root, n, f);
    json_free(root);
    return !f->code;
}

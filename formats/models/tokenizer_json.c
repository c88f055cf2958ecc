#include "formats/models/tokenizer_json.h"
#include "formats/models/tokenizer_steps.h"
#include <stdlib.h>
#include <string.h>

static bool bad(struct tokenizer_source *p, const char *what, const char *subject) {
    return fail_set(p->f, EXIT_BADDATA, "%s in '%s': '%.80s'; fix the file", what, p->name,
                    subject ? subject : "?");
}

static bool read_id(struct tokenizer_source *p, const struct json *v, const char *token,
                    int32_t *id) {
    if (!json_is_integer(v) || json_int(v) < 0 || json_int(v) >= VOCAB_LIMIT)
        return bad(p, "token id is not a whole number below 2^24", token);
    *id = (int32_t)json_int(v);
    return true;
}

static bool read_vocab(struct tokenizer_source *p, const struct json *v) {
    if (json_type(v) != JSON_OBJECT) return bad(p, "model has no object", "vocab");
    for (size_t i = 0; i < json_size(v); i++) {
        const char *token = json_key(v, i);
        int32_t id = -1;
        if (!read_id(p, json_value(v, i), token, &id)) return false;
        if (!vocab_add(&p->t->model.vocab, token, strlen(token), id))
            return bad(p, "token id stands for two tokens", token);
    }
    return true;
}

struct part {
    const char *text;
    size_t n;
};

// "a b", or ["a", "b"].
static bool merge_parts(const struct json *v, struct part *left, struct part *right) {
    if (json_type(v) == JSON_ARRAY) {
        left->text = json_text(json_at(v, 0), &left->n);
        right->text = json_text(json_at(v, 1), &right->n);
        return left->text && right->text && json_size(v) == 2;
    }
    size_t n;
    const char *text = json_text(v, &n), *space = text ? memchr(text, ' ', n) : NULL;
    if (!space) return false;
    *left = (struct part){text, (size_t)(space - text)};
    *right = (struct part){space + 1, n - left->n - 1};
    return left->n && right->n && !memchr(right->text, ' ', right->n);
}

static bool read_merges(struct tokenizer_source *p, const struct json *v) {
    if (json_type(v) != JSON_ARRAY) return bad(p, "model has no array", "merges");
    const struct vocab *vocab = &p->t->model.vocab;
    struct str joined = {0};
    bool good = true;
    for (size_t i = 0; good && i < json_size(v); i++) {
        struct part left, right;
        if (!merge_parts(json_at(v, i), &left, &right)) {
            good = bad(p, "merge is not a pair of tokens", json_text(json_at(v, i), NULL));
            break;
        }
        joined.length = 0;
        str_add(&joined, left.text, left.n);
        str_add(&joined, right.text, right.n);
        int32_t a = vocab_find(vocab, left.text, left.n),
                b = vocab_find(vocab, right.text, right.n),
                to = vocab_find(vocab, joined.text, joined.length);
        if (a < 0 || b < 0 || to < 0)
            good =
                bad(p, "merge makes or takes a token that is not in the vocabulary", joined.text);
        else
            merges_add(&p->t->model.merges, a, b, to);
    }
    str_release(&joined);
    return good;
}

// Keys that must be absent, null, empty or zero: they would change every id.
static bool refuse_unknown(struct tokenizer_source *p, const struct json *v) {
    static const char *const affix[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        size_t n = 0;
        if (json_text(json_get(v, affix[i]), &n) && n)
            return bad(p, "unsupported model setting", affix[i]);
    }
    if (json_number(json_get(v, "dropout")) != 0)
        return bad(p, "unsupported model setting", "dropout");
    return true;
}

static bool read_model(struct tokenizer_source *p, const struct json *v) {
    struct bpe_model *m = &p->t->model;
    const struct json *type = json_get(v, "type");
    if (json_type(v) != JSON_OBJECT) return bad(p, "missing object", "model");
    const char *name = json_text(type, NULL);
    if (type && (!name || strcmp(name, "BPE")))
        return fail_set(p->f, EXIT_BADDATA, "unsupported model '%.60s' in '%s'; supported: BPE",
                        name ? name : "?", p->name);
    if (!refuse_unknown(p, v) || !read_vocab(p, json_get(v, "vocab")) ||
        !read_merges(p, json_get(v, "merges")) ||
        !tokenizer_flag(p, v, "byte_fallback", false, &m->byte_fallback) ||
        !tokenizer_flag(p, v, "fuse_unk", false, &m->fuse_unk) ||
        !tokenizer_flag(p, v, "ignore_merges", false, &m->ignore_merges))
        return false;
    const struct json *unk = json_get(v, "unk_token");
    if (json_type(unk) == JSON_NULL) return true;
    size_t n = 0;
    const char *text = json_text(unk, &n);
    m->unk = text ? vocab_find(&m->vocab, text, n) : -1;
    return m->unk >= 0 || bad(p, "unk_token is not in the vocabulary", text);
}

static bool read_added(struct tokenizer_source *p, const struct json *list) {
    if (json_type(list) == JSON_NULL) return true;
    if (json_type(list) != JSON_ARRAY) return bad(p, "not an array", "added_tokens");
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *v = json_at(list, i);
        size_t n = 0;
        const char *text = json_text(json_get(v, "content"), &n);
        if (!text || !n) return bad(p, "added token has no text", "content");
        if (strlen(text) != n) return bad(p, "added token holds a NUL", text);
        struct added_token *a = added_tokens_add(&p->t->added, text, n);
        if (!read_id(p, json_get(v, "id"), text, &a->id) ||
            !tokenizer_flag(p, v, "special", false, &a->special) ||
            !tokenizer_flag(p, v, "normalized", !a->special, &a->normalized) ||
            !tokenizer_flag(p, v, "single_word", false, &a->single_word) ||
            !tokenizer_flag(p, v, "lstrip", false, &a->lstrip) ||
            !tokenizer_flag(p, v, "rstrip", false, &a->rstrip))
            return false;
    }
    return true;
}

static bool read_all(struct tokenizer_source *p, const struct json *v) {
    if (json_type(v) != JSON_OBJECT) return bad(p, "not a tokenizer: no object", "model");
    return read_model(p, json_get(v, "model")) && read_added(p, json_get(v, "added_tokens")) &&
           tokenizer_read_normalizer(p, json_get(v, "normalizer")) &&
           tokenizer_read_pre_tokenizer(p, json_get(v, "pre_tokenizer")) &&
           tokenizer_read_decoder(p, json_get(v, "decoder")) &&
           tokenizer_read_post_processor(p, json_get(v, "post_processor")) &&
           tokenizer_finish(p->t, p->name, p->f);
}

struct tokenizer *tokenizer_parse(const char *json, size_t n, const char *name, struct fail *f) {
    struct json *root = json_parse(json, n, name, f);
    if (!root) return NULL;
    struct tokenizer_source p = {tokenizer_new(), name, f};
    if (!read_all(&p, root)) {
        tokenizer_free(p.t);
        p.t = NULL;
    }
    json_free(root);
    return p.t;
}

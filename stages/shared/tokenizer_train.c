#include "stages/shared/tokenizer_train.h"
#include "common/base/jsonout.h"
#include "formats/models/tokenizer_json.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_COUNT = 2 }; // a pair seen once is no pattern

static bool check(const struct tokenizer_training *o, struct fail *f) {
    size_t least = TRAIN_BYTES + o->n_special;
    if (o->vocab < least || o->vocab > VOCAB_LIMIT)
        return fail_set(f, EXIT_USAGE,
                        "vocabulary of %zu tokens cannot be trained; give %zu (bytes and special "
                        "tokens) to %d",
                        o->vocab, least, (int)VOCAB_LIMIT);
    bool has_bos = !o->bos;
    for (size_t i = 0; i < o->n_special; i++) {
        if (strlen(o->special[i]) < 2)
            return fail_set(f, EXIT_USAGE, "special token is too short: '%s'; give a longer one",
                            o->special[i]);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(o->special[i], o->special[k]))
                return fail_set(f, EXIT_USAGE, "special token is given twice: '%s'; name it once",
                                o->special[i]);
        has_bos |= o->bos && !strcmp(o->special[i], o->bos);
    }
    return has_bos ||
           fail_set(f, EXIT_USAGE, "token in front is not among the special tokens: '%s'; add it",
                    o->bos);
}

static void write_added(struct str *to, const struct tokenizer_training *o, size_t first) {
    str_puts(to, "  \"added_tokens\": [");
    for (size_t i = 0; i < o->n_special; i++) {
        str_printf(to, "%s\n    {\"id\": %zu, \"content\": ", i ? "," : "", first + i);
        jsonout_text(to, o->special[i]);
        str_puts(to, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                     "\"normalized\": false, \"special\": true}");
    }
    str_puts(to, o->n_special ? "\n  ],\n" : "],\n");
}

static void write_post_processor(struct str *to, const struct tokenizer_training *o, size_t first) {
    if (!o->bos) {
        str_puts(to, "  \"post_processor\": null,\n");
        return;
    }
    struct str bos = {0};
    jsonout_text(&bos, o->bos);
    size_t id = first;
    for (size_t i = 0; strcmp(o->special[i], o->bos); i++) id++;
    str_printf(to,
               "  \"post_processor\": {\"type\": \"TemplateProcessing\",\n"
               "    \"single\": [{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}},\n"
               "      {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}],\n"
               "    \"pair\": [{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}},\n"
               "      {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},\n"
               "      {\"SpecialToken\": {\"id\": %s, \"type_id\": 1}},\n"
               "      {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}],\n"
               "    \"special_tokens\": {%s: {\"id\": %s, \"ids\": [%zu], \"tokens\": [%s]}}},\n",
               bos.text, bos.text, bos.text, bos.text, bos.text, id, bos.text);
    str_release(&bos);
}

static void write_model(struct str *to, const struct tokenizer_training *o,
                        const struct vocab *tokens, const struct merges *merges) {
    size_t n;
    str_puts(to, "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
                 "    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
                 "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
                 "    \"vocab\": {");
    for (size_t i = 0; i < tokens->size; i++) {
        const char *text = vocab_text(tokens, (int32_t)i, &n);
        str_puts(to, i ? ",\n      " : "\n      ");
        jsonout_bytes(to, text, n);
        str_printf(to, ": %zu", i);
    }
    for (size_t i = 0; i < o->n_special; i++) {
        str_puts(to, ",\n      ");
        jsonout_text(to, o->special[i]);
        str_printf(to, ": %zu", tokens->size + i);
    }
    str_puts(to, "},\n    \"merges\": [");
    for (size_t i = 0; i < merges->count; i++) {
        struct str pair = {0};
        str_puts(&pair, vocab_text(tokens, merges->merge[i].left, NULL));
        str_puts(&pair, " ");
        str_puts(&pair, vocab_text(tokens, merges->merge[i].right, NULL));
        str_puts(to, i ? ",\n      " : "\n      ");
        jsonout_bytes(to, pair.text, pair.length);
        str_release(&pair);
    }
    str_puts(to, "]}\n");
}

// No token but a special one may be spelt like a special one. The texts are cut at them, but a
// merge could still spell one out of the parts of a longer special token.
static bool distinct(const struct tokenizer_training *o, const struct vocab *tokens,
                     struct fail *f) {
    for (size_t i = 0; i < o->n_special; i++)
        if (vocab_find(tokens, o->special[i], strlen(o->special[i])) >= 0)
            return fail_set(f, EXIT_USAGE,
                            "special token is a common word of the texts: '%s'; name it otherwise",
                            o->special[i]);
    return true;
}

char *tokenizer_train_json(struct bpe_trainer *trainer, const struct tokenizer_training *o,
                           size_t *n, struct fail *f) {
    struct vocab tokens = {0};
    struct merges merges = {0};
    struct str json = {0};
    if (!check(o, f)) return NULL;
    bpe_train_run(trainer, o->vocab - o->n_special, LEAST_COUNT, &tokens, &merges);
    if (distinct(o, &tokens, f)) {
        str_puts(&json, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
                        "  \"padding\": null,\n");
        write_added(&json, o, tokens.size);
        str_puts(&json,
                 "  \"normalizer\": null,\n"
                 "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                 "\"trim_offsets\": true, \"use_regex\": true},\n");
        write_post_processor(&json, o, tokens.size);
        str_puts(&json, "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                        "\"trim_offsets\": true, \"use_regex\": true},\n");
        write_model(&json, o, &tokens, &merges);
        str_puts(&json, "}\n");
    }
    vocab_release(&tokens);
    merges_release(&merges);
    *n = json.length;
    return json.text;
}

#include "formats/records/token_source.h"
#include "formats/models/huggingface.h"
#include "formats/models/model_file.h"
#include "formats/bytes/slurp.h"
#include "formats/models/tokenizer_json.h"
#include <stdlib.h>
#include <string.h>

static char *take_text(char **text) {
    char *taken = *text;
    *text = NULL;
    return taken;
}

static bool from_model(struct token_source *s, const char *path, struct fail *f) {
    struct model_file m;
    if (!model_file_verify(path, MODEL_LANGUAGE, &m, f)) return false;
    s->json = take_text(&m.tokenizer_json);
    s->template = take_text(&m.chat_template);
    s->config = take_text(&m.tokenizer_config_json);
    s->bos = m.bos;
    s->eos = m.eos;
    s->vocab = m.model.config.vocab_used;
    s->max_length = m.model.config.max_positions;
    model_file_release(&m);
    return s->json ||
           fail_set(f, EXIT_BADDATA, "no tokenizer in '%s'; import it with --tokenizer", path);
}

static bool from_file(struct token_source *s, const char *path, struct fail *f) {
    size_t n, k;
    const char *slash = strrchr(path, '/');
    char *beside =
        xasprintf("%.*stokenizer_config.json", slash ? (int)(slash - path + 1) : 0, path);
    s->json = slurp(path, 256 << 20, &n, f);
    s->config = f->code ? NULL : slurp_optional(beside, 64 << 20, &k, f);
    if (!f->code && strlen(s->json) != n)
        fail_set(f, EXIT_BADDATA, "'%s' is not a text file", path);
    free(beside);
    return !f->code;
}

bool token_source_open(struct token_source *s, const char *model, const char *tokenizer,
                       struct fail *f) {
    *s = (struct token_source){.bos = -1, .eos = -1};
    bool ok = model ? from_model(s, model, f) : from_file(s, tokenizer, f);
    size_t n = ok ? strlen(s->json) : 0;
    s->tokenizer = ok ? tokenizer_parse(s->json, n, model ? model : tokenizer, f) : NULL;
    if (!s->tokenizer) {
        token_source_close(s);
        return false;
    }
    const struct ids *before, *after;
    s->begins_otherwise = s->config && huggingface_begin(s->config, s->tokenizer);
    tokenizer_surround(s->tokenizer, &before, &after);
    if (before->n) s->bos = before->id[0];
    if (s->config && !model) huggingface_beside(s->config, s->tokenizer, &s->eos, &s->template, f);
    if (s->eos < 0) s->eos = huggingface_guess_eos(s->tokenizer);
    if (!s->vocab) s->vocab = tokenizer_vocab(s->tokenizer);
    s->hash = hash_bytes(s->json, n);
    if (f->code) token_source_close(s);
    return !f->code;
}

struct token_source token_source_of(const struct model_file *m, struct tokenizer *t) {
    const struct ids *before, *after;
    const char *config = m->tokenizer_config_json;
    bool otherwise = config && huggingface_begin(config, t);
    tokenizer_surround(t, &before, &after);
    return (struct token_source){.tokenizer = t,
                                 .json = m->tokenizer_json,
                                 .template = m->chat_template,
                                 .config = m->tokenizer_config_json,
                                 .hash = m->tokenizer,
                                 .bos = before->n ? before->id[0] : m->bos,
                                 .eos = m->eos,
                                 .begins_otherwise = otherwise,
                                 .vocab = m->model.config.vocab_used,
                                 .max_length = m->model.config.max_positions};
}

void token_source_close(struct token_source *s) {
    tokenizer_free(s->tokenizer);
    free(s->json);
    free(s->template);
    free(s->config);
    *s = (struct token_source){0};
}

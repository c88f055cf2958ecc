#include "common/text/bpe.h"
#include "common/text/bpe_build.h"
#include "common/base/unicode.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct work { // what one call needs; kept for later calls
    struct work *next;
    struct text_work normal, split;
    struct word_work *word;
    struct str repaired;
};

struct work_pool { // works that no call is using
    pthread_mutex_t lock;
    struct work *free;
};

void ids_release(struct ids *ids) {
    free(ids->id);
    *ids = (struct ids){0};
}

static struct work *work_take(const struct tokenizer *t) {
    pthread_mutex_lock(&t->pool->lock);
    struct work *w = t->pool->free;
    if (w) t->pool->free = w->next;
    pthread_mutex_unlock(&t->pool->lock);
    if (w) return w;
    w = xcalloc(1, sizeof *w);
    text_work_init(&w->normal, t->normal.n);
    text_work_init(&w->split, t->split.n);
    w->word = word_work_new();
    return w;
}

static void work_give(const struct tokenizer *t, struct work *w) {
    pthread_mutex_lock(&t->pool->lock);
    w->next = t->pool->free;
    t->pool->free = w;
    pthread_mutex_unlock(&t->pool->lock);
}

static void work_free(struct work *w) {
    text_work_release(&w->normal);
    text_work_release(&w->split);
    word_work_free(w->word);
    str_release(&w->repaired);
    free(w);
}

struct tokenizer *tokenizer_new(void) {
    struct tokenizer *t = xcalloc(1, sizeof *t);
    t->model.unk = -1;
    t->pool = xcalloc(1, sizeof *t->pool);
    pthread_mutex_init(&t->pool->lock, NULL);
    return t;
}

struct decode_step *tokenizer_add_decoder(struct tokenizer *t, enum decode_kind kind) {
    grow(&t->decode, &t->decode_capacity, t->n_decode + 1, sizeof *t->decode);
    struct decode_step *step = &t->decode[t->n_decode++];
    *step = (struct decode_step){.kind = kind};
    return step;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    bpe_model_release(&t->model);
    added_tokens_release(&t->added);
    text_steps_release(&t->normal);
    text_steps_release(&t->split);
    for (size_t i = 0; i < t->n_decode; i++) {
        regex_free(t->decode[i].regex);
        str_release(&t->decode[i].content);
    }
    free(t->decode);
    ids_release(&t->before);
    ids_release(&t->after);
    vocab_release(&t->added_names);
    matcher_release(&t->raw);
    matcher_release(&t->normalised);
    matcher_release(&t->specials);
    free(t->special);
    for (struct work *w = t->pool->free, *next; w; w = next) {
        next = w->next;
        work_free(w);
    }
    pthread_mutex_destroy(&t->pool->lock);
    free(t->pool);
    free(t);
}

static bool add_name(struct tokenizer *t, const struct added_token *a, const char *name,
                     struct fail *f) {
    const struct str *s = &a->text;
    int32_t known = vocab_find(&t->model.vocab, s->text, s->length);
    if (known >= 0 && known != a->id)
        return fail_set(f, EXIT_BADDATA,
                        "added token has id %d but the vocabulary says %d in '%s': '%.80s'; "
                        "fix the file",
                        (int)a->id, (int)known, name, s->text);
    if (known < 0 && (vocab_text(&t->model.vocab, a->id, NULL) ||
                      !vocab_add(&t->added_names, s->text, s->length, a->id)))
        return fail_set(f, EXIT_BADDATA,
                        "added token shares text or id %d with another in '%s': '%.80s'; "
                        "fix the file",
                        (int)a->id, name, s->text);
    return true;
}

static bool ids_exist(const struct tokenizer *t, const struct ids *ids, const char *name,
                      struct fail *f) {
    for (size_t i = 0; i < ids->n; i++)
        if (!tokenizer_token(t, ids->id[i]))
            return fail_set(f, EXIT_BADDATA,
                            "post_processor adds id %d, which is no token, in '%s'; fix the file",
                            (int)ids->id[i], name);
    return true;
}

// Normalised tokens are looked for as the normaliser would write them.
static void add_patterns(struct tokenizer *t) {
    struct work *w = work_take(t);
    for (size_t i = 0; i < t->added.n; i++) {
        const struct added_token *a = &t->added.token[i];
        size_t n = a->text.length;
        const char *text = a->text.text;
        if (a->normalized) text = text_normalise(&t->normal, &w->normal, text, n, false, &n);
        matcher_add(a->normalized ? &t->normalised : &t->raw, text, n, i);
        if (a->special) matcher_add(&t->specials, a->text.text, a->text.length, i);
    }
    work_give(t, w);
}

bool tokenizer_finish(struct tokenizer *t, const char *name, struct fail *f) {
    bpe_model_init(&t->model);
    for (size_t i = 0; i < t->added.n; i++)
        if (!add_name(t, &t->added.token[i], name, f)) return false;
    size_t a = t->model.vocab.size, b = t->added_names.size;
    t->vocab = a > b ? a : b;
    if (!t->vocab) return fail_set(f, EXIT_BADDATA, "no tokens in '%s'", name);
    if (!ids_exist(t, &t->before, name, f) || !ids_exist(t, &t->after, name, f)) return false;
    t->special = xcalloc(t->vocab, sizeof *t->special);
    for (size_t i = 0; i < t->added.n; i++)
        t->special[t->added.token[i].id] = t->added.token[i].special;
    add_patterns(t);
    return true;
}

struct encoding { // one call of tokenizer_encode
    const struct tokenizer *t;
    struct work *work;
    struct ids *out;
    const char *text; // what the offsets of the current cut are in
    bool parse_special;
    bool starts;     // the text begins the whole input
    bool may_prefix; // and may get the normaliser's prefix
};

static void piece(void *self, const char *text, size_t n) {
    struct encoding *e = self;
    bpe_word(&e->t->model, e->work->word, text, n, e->out);
}

static void normalised_part(void *self, ptrdiff_t token, size_t start, size_t end) {
    struct encoding *e = self;
    if (token == NO_TOKEN)
        text_split(&e->t->split, &e->work->split, e->text + start, end - start,
                   e->starts && start == 0, piece, e);
    else
        ids_add(e->out, e->t->added.token[token].id);
}

static void raw_part(void *self, ptrdiff_t token, size_t start, size_t end) {
    struct encoding *e = self;
    if (token != NO_TOKEN) {
        ids_add(e->out, e->t->added.token[token].id);
        return;
    }
    struct encoding inner = *e;
    size_t n;
    inner.text = text_normalise(&e->t->normal, &e->work->normal, e->text + start, end - start,
                                start == 0 && !e->may_prefix, &n);
    inner.starts = start == 0 && e->starts;
    matcher_cut(&e->t->normalised, &e->t->added, e->parse_special, inner.text, n, NULL,
                normalised_part, &inner);
}

static void encode(const struct tokenizer *t, const char *text, size_t n, bool parse_special,
                   bool starts, bool may_prefix, struct ids *out) {
    struct work *w = work_take(t);
    if (!unicode_valid(text, n)) {
        w->repaired.length = 0;
        unicode_repair(text, n, &w->repaired);
        text = w->repaired.text;
        n = w->repaired.length;
    }
    struct encoding e = {t, w, out, text, parse_special, starts, may_prefix};
    matcher_cut(&t->raw, &t->added, parse_special, text, n, NULL, raw_part, &e);
    out->gave_up |= regex_gave_up(w->normal.regex);
    out->gave_up |= regex_gave_up(w->split.regex);
    work_give(t, w);
}

static void append(struct ids *out, const struct ids *ids) {
    for (size_t i = 0; i < ids->n; i++) ids_add(out, ids->id[i]);
}

void tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, struct ids *out) {
    if (add_special) append(out, &t->before);
    encode(t, text, n, parse_special, true, true, out);
    if (add_special) append(out, &t->after);
}

void tokenizer_encode_continued(const struct tokenizer *t, const char *text, size_t n,
                                bool after_token, bool parse_special, struct ids *out) {
    encode(t, text, n, parse_special, false, after_token, out);
}

struct mixed { // one call of tokenizer_encode_mixed
    const struct tokenizer *t;
    const char *text;
    struct ids *out;
    bool starts, after_token;
};

static void mixed_part(void *self, ptrdiff_t token, size_t start, size_t end) {
    struct mixed *x = self;
    if (token != NO_TOKEN)
        ids_add(x->out, x->t->added.token[token].id);
    else
        encode(x->t, x->text + start, end - start, false, x->starts && !start,
               start || x->starts || x->after_token, x->out);
}

size_t tokenizer_encode_mixed(const struct tokenizer *t, const char *text, size_t n,
                              const uint8_t *typed, enum text_place place, struct ids *out) {
    struct mixed x = {t, text, out, place == TEXT_FIRST, place == TEXT_AFTER_TOKEN};
    return matcher_cut(&t->specials, &t->added, true, text, n, typed, mixed_part, &x);
}

struct last {
    size_t end;
};

static void note_end(void *self, ptrdiff_t token, size_t start, size_t end) {
    (void)start;
    if (token != NO_TOKEN) ((struct last *)self)->end = end;
}

size_t tokenizer_last_special(const struct tokenizer *t, const char *text, size_t n,
                              const uint8_t *typed) {
    struct last last = {0};
    matcher_cut(&t->specials, &t->added, true, text, n, typed, note_end, &last);
    return last.end;
}

bool tokenizer_added_at(const struct tokenizer *t, const char *text, size_t n) {
    for (size_t i = 0; i < t->added.n; i++) {
        const struct str *a = &t->added.token[i].text;
        if (a->length && a->length <= n && !memcmp(text, a->text, a->length)) return true;
    }
    return false;
}

static void ignore(void *self, ptrdiff_t token, size_t start, size_t end) {
    (void)token, (void)start;
    *(size_t *)self = end;
}

size_t tokenizer_count_special(const struct tokenizer *t, const char *text, size_t n) {
    uint8_t *typed = xmalloc(n + 1);
    size_t end;
    memset(typed, 1, n + 1);
    size_t count = matcher_cut(&t->specials, &t->added, true, text, n, typed, ignore, &end);
    free(typed);
    return count;
}

static const char *token_text(const struct tokenizer *t, int32_t id, size_t *n) {
    const char *text = vocab_text(&t->model.vocab, id, n);
    return text ? text : vocab_text(&t->added_names, id, n);
}

// The pieces after all decoders, joined in p->text.
static void decode(const struct tokenizer *t, struct pieces *p, bool middle) {
    for (size_t i = 0; i < t->n_decode; i++) {
        struct decode_step step = t->decode[i];
        if (middle && step.kind == DECODE_STRIP) continue;
        if (middle) step.drop = false;
        decode_run(&step, p);
    }
}

char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                       size_t *length) {
    struct pieces p = {0};
    struct str text = {0};
    for (size_t i = 0; i < n; i++) {
        size_t size;
        const char *token = token_text(t, ids[i], &size);
        if (!token || (skip_special && t->special[ids[i]])) continue;
        if (t->joined_by_spaces && p.n) pieces_add(&p, " ", 1);
        pieces_add(&p, token, size);
    }
    decode(t, &p, false);
    str_puts(&text, "");
    unicode_repair(p.text.text, p.text.length, &text);
    pieces_release(&p);
    if (length) *length = text.length;
    return text.text;
}

char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *length) {
    struct pieces p = {0};
    size_t size;
    const char *token = token_text(t, id, &size);
    int byte = token ? -1 : 0;
    for (int b = 0; token && t->model.byte_fallback && b < 256; b++)
        if (t->model.byte_token[b] == id) byte = b;
    if (token && byte >= 0) { // half a character, perhaps: not for the decoder
        pieces_add(&p, &(char){(char)byte}, 1);
    } else if (token) {
        pieces_add(&p, token, size);
        decode(t, &p, true);
    }
    str_puts(&p.text, "");
    char *text = xmalloc(p.text.length + 1);
    memcpy(text, p.text.text, p.text.length + 1);
    if (length) *length = p.text.length;
    pieces_release(&p);
    return text;
}

size_t tokenizer_vocab(const struct tokenizer *t) {
    return t->vocab;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token) {
    int32_t id = vocab_find(&t->model.vocab, token, strlen(token));
    return id >= 0 ? id : vocab_find(&t->added_names, token, strlen(token));
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id) {
    return token_text(t, id, NULL);
}

void tokenizer_surround(const struct tokenizer *t, const struct ids **before,
                        const struct ids **after) {
    *before = &t->before;
    *after = &t->after;
}

void tokenizer_begin_with(struct tokenizer *t, int32_t id) {
    t->before.n = 0;
    if (id >= 0) ids_add(&t->before, id);
}

void tokenizer_count_unknown(const struct tokenizer *t, const int32_t *ids, size_t n,
                             uint64_t *unknown, uint64_t *bytes) {
    const struct bpe_model *m = &t->model;
    bool falls = m->byte_fallback && !m->byte_level;
    for (size_t i = 0; i < n; i++) {
        *unknown += m->unk >= 0 && ids[i] == m->unk;
        for (int b = 128; falls && b < 256; b++) *bytes += m->byte_token[b] == ids[i];
    }
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->vocab && t->special[id];
}

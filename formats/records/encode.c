#include "formats/records/encode.h"
#include <stdlib.h>
#include <string.h>

size_t encoded_targets(const struct str *mask) { // one past it
    size_t n = mask->length;
    while (n && !mask->text[n - 1]) n--;
    return n;
}

static void add_id(struct ids *ids, int32_t id) {
    grow(&ids->id, &ids->capacity, ids->n + 1, sizeof *ids->id);
    ids->id[ids->n++] = id;
}

void encoded_add(struct ids *to, const int32_t *id, size_t n) {
    for (size_t i = 0; i < n; i++) add_id(to, id[i]);
}

static void fill_mask(struct encoded *out, char value) { // for the ids that have none yet
    while (out->mask.length < out->ids.n) str_add(&out->mask, &value, 1);
}

// What the tokenizer puts in front, then the text; a BOS that the text spells out itself counts.
static void encode_begin(const struct encoder *e, const char *text, size_t n, struct ids *out) {
    const struct ids *before, *after;
    tokenizer_surround(e->tokenizer, &before, &after);
    encoded_add(out, before->id, before->n);
    size_t at = out->n;
    tokenizer_encode(e->tokenizer, text, n, false, e->parse_special, out);
    bool twice = before->n && out->n > at && out->id[at] == before->id[before->n - 1] &&
                 tokenizer_is_special(e->tokenizer, out->id[at]);
    if (!twice) return;
    memmove(out->id + at, out->id + at + 1, (out->n - at - 1) * sizeof *out->id);
    out->n--;
}

// ---- without a template -------------------------------------------------------------------------

static void end_text(const struct encoder *e, struct ids *out) { // unless it spells EOS itself
    bool ended = e->parse_special && out->n && out->id[out->n - 1] == e->eos;
    if (e->eos >= 0 && !ended) add_id(out, e->eos);
}

static void encode_answer(const struct encoder *e, const struct turn *t, int32_t before,
                          struct ids *out) {
    bool after = tokenizer_is_special(e->tokenizer, before);
    tokenizer_encode_continued(e->tokenizer, t->text, t->n, after, e->parse_special, out);
    end_text(e, out);
}

static void count_special(const struct encoder *e, const char *text, size_t n,
                          struct encoded *out) {
    if (!e->parse_special && n) out->special_text += tokenizer_count_special(e->tokenizer, text, n);
}

static bool encode_plain(const struct encoder *e, struct record *row, const struct example *x,
                         struct encoded *out) {
    struct str prompt = {0};
    const char *beyond = example_beyond_text(x);
    if (beyond)
        return row_bad(
            row, "it holds %s, which only a chat template shows; name one with --template", beyond);
    example_prompt(x, &prompt);
    encode_begin(e, prompt.text ? prompt.text : "", prompt.length, &out->ids);
    count_special(e, prompt.text ? prompt.text : "", prompt.length, out);
    count_special(e, x->response.text, x->response.n, out);
    count_special(e, x->rejected.text, x->rejected.n, out);
    str_release(&prompt);
    if (e->kind == DATA_TEXT) {
        end_text(e, &out->ids);
        fill_mask(out, 1);
        out->mask.text[0] = 0;
        return true;
    }
    fill_mask(out, 0);
    out->prompt_length = out->ids.n;
    int32_t last = out->ids.n ? out->ids.id[out->ids.n - 1] : -1;
    if (e->kind == DATA_SFT) {
        encode_answer(e, &x->response, last, &out->ids);
        fill_mask(out, 1);
    }
    if (e->kind == DATA_PREF) {
        encode_answer(e, &x->response, last, &out->chosen);
        encode_answer(e, &x->rejected, last, &out->rejected);
    }
    return true;
}

// ---- ids as they are ----------------------------------------------------------------------------

static bool take_ids(const struct encoder *e, const struct example *x, struct encoded *out) {
    encoded_add(&out->ids, x->ids.id, x->ids.n);
    out->prompt_length = x->prompt_length;
    fill_mask(out, e->kind != DATA_PROMPT);
    memset(out->mask.text, 0, e->kind == DATA_TEXT ? 1 : x->prompt_length);
    return true;
}

// ---- length -------------------------------------------------------------------------------------

static size_t longer(size_t a, size_t b) {
    return a > b ? a : b;
}

// A prompt keeps what the tokenizer puts in front and its end.
static void cut_prompt(const struct encoder *e, struct encoded *x) {
    const struct ids *before, *after;
    tokenizer_surround(e->tokenizer, &before, &after);
    size_t keep = before->n < e->max_length ? before->n : 0, gone = x->ids.n - e->max_length;
    memmove(x->ids.id + keep, x->ids.id + keep + gone, (e->max_length - keep) * sizeof *x->ids.id);
    x->ids.n = x->mask.length = x->prompt_length = e->max_length;
}

static void truncate_row(const struct encoder *e, struct encoded *x) {
    size_t room = e->max_length > x->prompt_length ? e->max_length - x->prompt_length : 0;
    x->truncated = true;
    if (e->kind == DATA_PROMPT) {
        cut_prompt(e, x);
        return;
    }
    x->no_room = x->dropped = !room; // never an empty response
    if (x->ids.n > e->max_length) x->ids.n = x->mask.length = e->max_length;
    if (x->chosen.n > room) x->chosen.n = room;
    if (x->rejected.n > room) x->rejected.n = room;
}

static void fit(const struct encoder *e, struct encoded *x) {
    x->longest = x->ids.n + longer(x->chosen.n, x->rejected.n);
    if (!e->max_length || x->longest <= e->max_length || e->on_long == LONG_SPLIT) return;
    if (e->on_long == LONG_DROP || e->on_long == LONG_ERROR)
        x->dropped = true;
    else
        truncate_row(e, x);
}

size_t encoded_pieces(const struct encoder *e, const struct encoded *x) {
    size_t n = x->ids.n, most = e->max_length;
    if (e->on_long != LONG_SPLIT || !most || n <= most) return 1;
    return 1 + (n - most + most - 2) / (most - 1);
}

void encoded_piece(const struct encoder *e, const struct encoded *x, size_t i, size_t *first,
                   size_t *n) {
    bool whole = encoded_pieces(e, x) == 1;
    *first = whole ? 0 : i * (e->max_length - 1);
    *n = whole || x->ids.n - *first < e->max_length ? x->ids.n - *first : e->max_length;
}

// -------------------------------------------------------------------------------------------------

static void clear(struct encoded *x) {
    x->ids.n = x->mask.length = x->prompt_length = x->chosen.n = x->rejected.n = 0;
    x->ids.gave_up = x->chosen.gave_up = x->rejected.gave_up = false;
    x->dropped = x->truncated = x->no_room = x->joined = x->bos_added = false;
    x->special_text = 0;
    str_puts(&x->mask, "");
}

// Ids that were given as such, and special tokens that the model has no row for.
static bool check_ids(const struct encoder *e, struct record *row, const struct ids *ids) {
    for (size_t i = 0; i < ids->n; i++)
        if ((size_t)ids->id[i] >= e->vocab)
            return row_bad(row, "id %d is outside the vocabulary of %zu", (int)ids->id[i],
                           e->vocab);
    return true;
}

// The loss needs something to predict.
static bool check_targets(const struct encoder *e, struct record *row, const struct encoded *x) {
    if (x->dropped) return true;
    if (!x->ids.n) return row_bad(row, "no tokens");
    if (e->kind == DATA_TEXT && x->ids.n < 2) return row_bad(row, "a single token");
    if (e->kind == DATA_SFT && !encoded_targets(&x->mask))
        return row_bad(row, "nothing to train on");
    if (e->kind == DATA_PREF && (!x->chosen.n || !x->rejected.n))
        return row_bad(row, "a response without tokens");
    return true;
}

bool encode(const struct encoder *e, struct record *row, const struct example *x,
            struct encoded *out) {
    struct fail f = {0};
    clear(out);
    bool ok = x->ids.n                              ? take_ids(e, x, out)
              : e->template && e->kind != DATA_TEXT ? encode_chat(e, x, out, &f)
                                                    : encode_plain(e, row, x, out);
    if (f.code) row_bad(row, "%s", f.text);
    if (out->ids.gave_up || out->chosen.gave_up || out->rejected.gave_up) {
        row_bad(row,
                "the tokenizer's pattern takes too long on this text; cut it into shorter rows");
        return false;
    }
    ok = ok && check_ids(e, row, &out->ids) && check_ids(e, row, &out->chosen) &&
         check_ids(e, row, &out->rejected);
    if (ok) fit(e, out);
    return ok && check_targets(e, row, out);
}

struct text_rules encoder_text_rules(const struct encoder *e) {
    bool template = e->template && e->kind != DATA_TEXT;
    struct text_rules r = {.template = template, .rendered = e->parse_special && !template};
    if (e->parse_special) return r;
    r.bos = e->bos >= 0 ? tokenizer_token(e->tokenizer, e->bos) : NULL;
    r.tokenizer = e->tokenizer;
    return r;
}

void encoded_release(struct encoded *x) {
    ids_release(&x->ids);
    ids_release(&x->chosen);
    ids_release(&x->rejected);
    str_release(&x->mask);
    *x = (struct encoded){0};
}

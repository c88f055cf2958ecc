// Examples by a chat template; see formats/records/encode.h and chat_cut.h.
#include "formats/records/chat_cut.h"
#include "formats/records/encode.h"
#include <stdlib.h>
#include <string.h>

struct pieces { // a rendering on its way to ids, cut where answers begin and end
    const struct encoder *e;
    struct jtext text;
    uint8_t *typed; // NULL: special tokens become ids wherever they stand
    struct encoded *out;
};

static void pieces_begin(struct pieces *p, const struct encoder *e, struct jtext text,
                         struct encoded *out) {
    *p = (struct pieces){e, text, e->parse_special ? NULL : chat_typed(text), out};
}

static void pieces_end(struct pieces *p) {
    free(p->typed);
}

// What the tokenizer puts in front, where the text does not begin with it: every row has its BOS.
static void put_bos(const struct pieces *p, struct ids *to, size_t from) {
    const struct ids *before, *after;
    tokenizer_surround(p->e->tokenizer, &before, &after);
    if (!before->n) return;
    if (to->n - from >= before->n &&
        !memcmp(to->id + from, before->id, before->n * sizeof *before->id))
        return;
    size_t n = to->n - from;
    p->out->bos_added = true;
    encoded_add(to, before->id, before->n); // room
    memmove(to->id + from + before->n, to->id + from, n * sizeof *to->id);
    memcpy(to->id + from, before->id, before->n * sizeof *before->id);
}

// Ids of bytes [start, end), as they follow what stands before them.
static void put_bytes(struct pieces *p, size_t start, size_t end, struct ids *to) {
    const struct tokenizer *t = p->e->tokenizer;
    const uint8_t *typed = p->typed;
    if (start == end) return;
    bool after = tokenizer_last_special(t, p->text.text, start, typed) == start;
    enum text_place place = !start ? TEXT_FIRST : after ? TEXT_AFTER_TOKEN : TEXT_CONTINUED;
    size_t from = to->n;
    p->out->special_text += tokenizer_encode_mixed(t, p->text.text + start, end - start,
                                                   typed ? typed + start : NULL, place, to);
    if (!start) put_bos(p, to, from);
}

// Whether the tokens on both sides of a cut would be the same without it: between the special
// tokens around it, all in one go is the same as in two.
static void check_joint(struct pieces *p, size_t start, size_t at, size_t end) {
    struct ids apart = {0}, whole = {0};
    size_t counted = p->out->special_text;
    size_t from = tokenizer_last_special(p->e->tokenizer, p->text.text, at, p->typed);
    if (from < start) from = start;
    put_bytes(p, from, at, &apart);
    put_bytes(p, at, end, &apart);
    put_bytes(p, from, end, &whole);
    bool same = apart.n == whole.n && !memcmp(apart.id, whole.id, apart.n * sizeof *apart.id);
    p->out->joined |= !same;
    p->out->special_text = counted;
    ids_release(&apart);
    ids_release(&whole);
}

static void put_masked(struct pieces *p, size_t start, size_t end, char mask) {
    put_bytes(p, start, end, &p->out->ids);
    while (p->out->mask.length < p->out->ids.n) str_add(&p->out->mask, &mask, 1);
}

// ---- the spans of a row of kind sft -------------------------------------------------------------

struct spans {
    struct chat_span *item;
    size_t n, capacity;
};

static void add_span(struct spans *s, size_t start, size_t end) {
    if (s->n && s->item[s->n - 1].end == start) {
        s->item[s->n - 1].end = end;
        return;
    }
    grow(&s->item, &s->capacity, s->n + 1, sizeof *s->item);
    s->item[s->n++] = (struct chat_span){start, end};
}

static bool is_trained(const struct example *x, size_t i) {
    return i < x->n ? x->turns[i].role == ROLE_ASSISTANT && x->turns[i].trained : true;
}

// Which message stands between two bytes; SIZE_MAX: none that says anything.
static size_t message_within(struct jtext t, size_t start, size_t end) {
    for (size_t i = start; i < end; i++)
        if (chat_message(t.mark[i]) != SIZE_MAX) return chat_message(t.mark[i]);
    return SIZE_MAX;
}

// What {% generation %} says, without the turns that are not to be trained.
static bool marked_spans(const struct example *x, struct jtext whole, struct spans *s,
                         struct fail *f) {
    bool all = true;
    for (size_t i = 0; i < x->n; i++) all &= x->turns[i].role != ROLE_ASSISTANT || is_trained(x, i);
    for (size_t at = 0, end; whole.mark && at < whole.n; at = end) {
        bool in = whole.mark[at] & JMARK_GENERATION;
        for (end = at; end < whole.n && !(whole.mark[end] & JMARK_GENERATION) == !in; end++)
            continue;
        if (!in) continue;
        size_t message = all ? 0 : message_within(whole, at, end);
        if (message == SIZE_MAX)
            return fail_set(f, EXIT_BADDATA,
                            "an empty answer beside turns that are not to be trained: which is "
                            "meant is not known; drop the row");
        if (all || is_trained(x, message)) add_span(s, at, end);
    }
    return s->n || fail_set(f, EXIT_BADDATA,
                            "the template's {%% generation %%} marks nothing; drop "
                            "the row or give another template");
}

static bool cut_spans(struct chat *c, const struct encoder *e, const struct example *x,
                      struct jtext whole, struct spans *s) {
    for (size_t i = 0; i < c->n; i++) {
        struct chat_span span;
        if (!is_trained(x, i)) continue;
        if (!chat_cut(c, e->tokenizer, i, whole, &span)) return false;
        if (s->n && span.start < s->item[s->n - 1].end)
            return fail_set(c->fail, EXIT_BADDATA,
                            "the template shows two answers as one; drop the row");
        add_span(s, span.start, span.end);
    }
    return true;
}

static void encode_spans(const struct encoder *e, struct jtext whole, const struct spans *s,
                         struct encoded *out) {
    struct pieces p;
    size_t at = 0;
    pieces_begin(&p, e, whole, out);
    for (size_t i = 0; i < s->n; i++) {
        put_masked(&p, at, s->item[i].start, 0);
        if (!i) out->prompt_length = out->ids.n;
        put_masked(&p, s->item[i].start, s->item[i].end, 1);
        check_joint(&p, at, s->item[i].start, s->item[i].end);
        at = s->item[i].end;
    }
    pieces_end(&p);
}

static bool encode_sft(struct chat *c, const struct encoder *e, const struct example *x,
                       struct encoded *out) {
    struct jtext whole;
    struct spans s = {0};
    bool marked = jinja_has_generation(e->template->jinja);
    bool ok = chat_render(c, c->n, false, &whole) && chat_shows_all(c, x, &x->response, whole) &&
              (marked ? marked_spans(x, whole, &s, c->fail) : cut_spans(c, e, x, whole, &s));
    if (ok) encode_spans(e, whole, &s, out);
    free(s.item);
    return ok;
}

// ---- prompts and pairs --------------------------------------------------------------------------

static bool encode_prompt(struct chat *c, const struct encoder *e, const struct example *x,
                          struct encoded *out) {
    struct jtext text;
    struct pieces p;
    if (!chat_render(c, c->n, true, &text) || !chat_shows_all(c, x, NULL, text)) return false;
    pieces_begin(&p, e, text, out);
    put_masked(&p, 0, text.n, 0);
    pieces_end(&p);
    out->prompt_length = out->ids.n;
    return true;
}

struct answer { // one response of a pair
    struct chat chat;
    struct jtext whole;
    struct chat_span span;
};

static bool render_answer(struct answer *a, const struct encoder *e, const struct example *x,
                          const struct turn *t) {
    return chat_render(&a->chat, a->chat.n, false, &a->whole) &&
           chat_shows_all(&a->chat, x, t, a->whole) &&
           chat_cut(&a->chat, e->tokenizer, x->n, a->whole, &a->span);
}

static void encode_answer(struct answer *a, const struct encoder *e, size_t start,
                          struct encoded *out, struct ids *to) {
    struct pieces p;
    pieces_begin(&p, e, a->whole, out);
    if (!out->ids.n) put_masked(&p, 0, start, 0);
    put_bytes(&p, start, a->span.end, to);
    check_joint(&p, 0, start, a->span.end);
    pieces_end(&p);
}

// Both answers follow one prompt: what both renderings begin with, up to where an answer begins.
static bool encode_pair(const struct encoder *e, const struct example *x, struct encoded *out,
                        struct fail *f) {
    struct answer good, bad;
    chat_begin(&good.chat, e->template, x, &x->response, f);
    chat_begin(&bad.chat, e->template, x, &x->rejected, f);
    bool ok = render_answer(&good, e, x, &x->response) && render_answer(&bad, e, x, &x->rejected);
    size_t start = ok && bad.span.start < good.span.start ? bad.span.start
                   : ok                                   ? good.span.start
                                                          : 0;
    if (ok && memcmp(good.whole.text, bad.whole.text, start))
        ok = fail_set(f, EXIT_BADDATA,
                      "the template renders another prompt for chosen than for "
                      "rejected; drop the row or give another template");
    if (ok) encode_answer(&good, e, start, out, &out->chosen);
    if (ok) encode_answer(&bad, e, start, out, &out->rejected);
    out->prompt_length = out->ids.n;
    chat_end(&good.chat);
    chat_end(&bad.chat);
    return ok;
}

bool encode_chat(const struct encoder *e, const struct example *x, struct encoded *out,
                 struct fail *f) {
    if (x->n >= CHAT_MESSAGES)
        return fail_set(f, EXIT_BADDATA, "%zu messages; %d at most", x->n, CHAT_MESSAGES - 1);
    if (e->kind == DATA_PREF) return encode_pair(e, x, out, f);
    struct chat c;
    chat_begin(&c, e->template, x, e->kind == DATA_SFT ? &x->response : NULL, f);
    bool ok = e->kind == DATA_SFT ? encode_sft(&c, e, x, out) : encode_prompt(&c, e, x, out);
    chat_end(&c);
    return ok;
}

#include "formats/records/chat_cut.h"
#include "common/base/mem.h"
#include <stdlib.h>
#include <string.h>

uint8_t *chat_typed(struct jtext t) {
    uint8_t *typed = t.mark ? xmalloc(t.n + 1) : NULL;
    for (size_t i = 0; typed && i < t.n; i++) typed[i] = (t.mark[i] & JMARK_SOURCE) != 0;
    return typed;
}

static size_t shared(struct jtext a, struct jtext b) { // bytes that both begin with
    size_t n = 0;
    while (n < a.n && n < b.n && a.text[n] == b.text[n]) n++;
    return n;
}

// The bytes of a message: the first and one past the last; false: it shows none.
static bool message_bytes(struct jtext t, size_t message, struct chat_span *s) {
    bool any = false;
    for (size_t i = 0; t.mark && i < t.n; i++) {
        if (chat_message(t.mark[i]) != message) continue;
        if (!any) s->start = i;
        any = true;
        s->end = i + 1;
    }
    return any;
}

static bool template_only(struct jtext t, size_t from) {
    for (size_t i = from; t.mark && i < t.n; i++)
        if (t.mark[i] & JMARK_SOURCE) return false;
    return true;
}

// Whether a token that is one whole string begins or ends at the byte.
static bool at_token(const struct tokenizer *t, struct jtext text, size_t at) {
    if (tokenizer_last_special(t, text.text, at, NULL) == at) return true;
    return tokenizer_added_at(t, text.text + at, text.n - at);
}

// Where message i begins in `text`, when asked with `ask`.
static bool find_start(const struct tokenizer *t, struct jtext ask, struct jtext text, size_t i,
                       size_t *start) {
    struct chat_span said;
    size_t same = shared(ask, text), first = message_bytes(text, i, &said) ? said.start : SIZE_MAX;
    *start = same < first ? same : first;
    if (*start == ask.n) return true;
    return template_only(ask, *start) && at_token(t, ask, *start);
}

// The same of an answer in the middle, whose earlier text the template shows otherwise once more
// follows (a system text that goes with the last question): what stands between the message before
// and the answer must be the same.
static bool find_middle(struct jtext ask, struct jtext whole, size_t i, size_t *start) {
    struct chat_span asked, said, own;
    if (!i || !message_bytes(ask, i - 1, &asked) || !message_bytes(whole, i - 1, &said))
        return false;
    size_t n = ask.n - asked.end;
    bool same = template_only(ask, asked.end) && n <= whole.n - said.end &&
                !memcmp(ask.text + asked.end, whole.text + said.end, n);
    *start = said.end + n;
    return same && (!message_bytes(whole, i, &own) || *start <= own.start);
}

static bool no_cut(struct chat *c, size_t i, const char *why) {
    return fail_set(c->fail, EXIT_BADDATA,
                    "the answer in message %zu cannot be cut from what the template renders: %s; "
                    "drop the row, or give another template or --template-args",
                    i + 1, why);
}

// The same for a tokenizer that does not call the end-of-sequence token special.
static size_t last_eos(const struct chat *c, const struct tokenizer *t, struct jtext text) {
    const char *eos = chat_template_text(c->template, "eos_token");
    size_t n = eos ? strlen(eos) : 0, end = 0;
    if (!n || !tokenizer_added_at(t, eos, n)) return 0;
    for (size_t at = 0; at + n <= text.n; at++) {
        struct jtext here = jtext_part(text, at, at + n);
        if (!memcmp(here.text, eos, n) && template_only(here, 0)) end = at + n;
    }
    return end;
}

// What follows the message in `last`, where it is the last one, up to its last special token.
static bool find_tail(struct chat *c, const struct tokenizer *t, size_t i, struct jtext ask,
                      struct jtext last, struct jtext *tail) {
    struct chat_span said;
    size_t from;
    if (!find_start(t, ask, last, i, &from))
        return no_cut(c, i, "what it is asked with is no beginning of it");
    if (message_bytes(last, i, &said) && said.end > from) from = said.end;
    uint8_t *typed = chat_typed(last);
    size_t end =
        tokenizer_last_special(t, last.text + from, last.n - from, typed ? typed + from : NULL);
    free(typed);
    if (!end) end = last_eos(c, t, jtext_part(last, from, last.n));
    *tail = jtext_part(last, from, from + end);
    return end || no_cut(c, i, "no special token of the tokenizer ends its turn");
}

// How much of the tail stands in `whole` at `at`, in whole special tokens.
static size_t tail_there(const struct tokenizer *t, struct jtext tail, struct jtext whole,
                         size_t at) {
    size_t same = shared(tail, jtext_part(whole, at, whole.n));
    for (size_t i = 0; whole.mark && i < same; i++)
        if (whole.mark[at + i] & JMARK_SOURCE) same = i;
    return same == tail.n ? same : tokenizer_last_special(t, tail.text, same, NULL);
}

bool chat_cut(struct chat *c, const struct tokenizer *t, size_t i, struct jtext whole,
              struct chat_span *span) {
    struct jtext ask, last = whole, tail;
    struct chat_span said;
    if (!chat_render(c, i, true, &ask)) return false;
    if (i + 1 < c->n && !chat_render(c, i + 1, false, &last)) return false;
    bool found = find_start(t, ask, whole, i, &span->start);
    if (!found && i + 1 < c->n) found = find_middle(ask, whole, i, &span->start);
    if (!found) return no_cut(c, i, "what it is asked with is no beginning of it");
    if (!find_tail(c, t, i, ask, last, &tail)) return false;
    size_t at = span->start;
    if (message_bytes(whole, i, &said) && said.end > at) at = said.end;
    size_t n = tail_there(t, tail, whole, at);
    span->end = at + n;
    return n || no_cut(c, i, "it ends otherwise than as the last message");
}

// ---- what is shown ------------------------------------------------------------------------------

static bool shows(struct jtext t, uint16_t mark) {
    for (size_t i = 0; t.mark && i < t.n; i++)
        if ((t.mark[i] & JMARK_SOURCE) == mark) return true;
    return false;
}

static bool blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!text[i] || !strchr(" \t\r\n\v\f", text[i])) return false;
    return true;
}

static bool not_shown(struct chat *c, const char *what, size_t i) {
    return fail_set(c->fail, EXIT_BADDATA,
                    "the template does not show %s of message %zu; drop the row or give another "
                    "template",
                    what, i + 1);
}

// Blanks may be trimmed away; of an answer nothing would be left then.
static bool must_show(const struct turn *t) {
    bool alone = t->role == ROLE_ASSISTANT && !t->tool_calls && !t->reasoning.text;
    return !blank(t->text, t->n) || (t->n && alone);
}

static bool shows_turn(struct chat *c, const struct turn *t, struct jtext whole, size_t i,
                       bool thought) {
    if (must_show(t) && !shows(whole, chat_mark(i, CHAT_CONTENT)))
        return not_shown(c, "the content", i);
    if (t->tool_calls && !shows(whole, chat_mark(i, CHAT_CALLS)))
        return not_shown(c, "the tool calls", i);
    if (thought && !blank(t->reasoning.text, t->reasoning.n) &&
        !shows(whole, chat_mark(i, CHAT_THOUGHT)))
        return not_shown(c, "the thought (reasoning_content)", i);
    return true;
}

bool chat_shows_all(struct chat *c, const struct example *x, const struct turn *answer,
                    struct jtext whole) {
    if (x->tools && !shows(whole, CHAT_TOOLS))
        return fail_set(c->fail, EXIT_BADDATA,
                        "the template does not show the row's tools; drop the row or give another "
                        "template");
    for (size_t i = 0; i < x->n; i++)
        if (!shows_turn(c, &x->turns[i], whole, i, false)) return false;
    return !answer || shows_turn(c, answer, whole, x->n, true);
}

// Examples by a chat template; see formats/records/encode.h.
#include "common/text/template.h"
#include "formats/records/encode.h"
#include <stdlib.h>
#include <string.h>

struct rendering {
    struct template_message *message;
    size_t n;
    char **text; // the messages' contents, NUL-terminated
};

static void render_add(struct rendering *r, const char *role, const struct turn *t) {
    r->message = xrealloc(r->message, (r->n + 1) * sizeof *r->message);
    r->text = xrealloc(r->text, (r->n + 1) * sizeof *r->text);
    r->text[r->n] = xasprintf("%.*s", (int)t->n, t->text);
    r->message[r->n] = (struct template_message){role, r->text[r->n]};
    r->n++;
}

static void render_release(struct rendering *r) {
    for (size_t i = 0; i < r->n; i++) free(r->text[i]);
    free(r->text);
    free(r->message);
}

// The alpaca template has a place of its own for the input.
static void add_turns(struct rendering *r, const char *template, const struct example *x) {
    bool parts = x->input.text && !strcmp(template, "alpaca");
    if (parts) render_add(r, "user", &x->instruction);
    if (parts) render_add(r, "input", &x->input);
    for (size_t i = parts; i < x->n; i++) render_add(r, role_name(x->turns[i].role), &x->turns[i]);
}

// HH keeps the blank after "Assistant:" with the response.
static struct turn answer_of(const struct example *x, const struct turn *t) {
    struct turn a = *t;
    while (x->verbatim && a.n && *a.text == ' ') a.text++, a.n--;
    a.role = ROLE_ASSISTANT;
    return a;
}

// The turns and, unless NULL, an answer; else what comes before one.
static bool render(const struct encoder *e, const struct example *x, const struct turn *answer,
                   struct ids *ids, struct str *mask, struct fail *f) {
    const struct tokenizer *t = e->tokenizer;
    struct template_options o = {.bos = e->bos >= 0 ? tokenizer_token(t, e->bos) : NULL,
                                 .eos = e->eos >= 0 ? tokenizer_token(t, e->eos) : NULL,
                                 .generation_prompt = !answer,
                                 .no_think = true}; // as rows with an answer have it
    struct rendering r = {0};
    struct template_text text = {0};
    add_turns(&r, e->template, x);
    if (answer) {
        struct turn a = answer_of(x, answer);
        render_add(&r, "assistant", &a);
    }
    bool ok = template_render(e->template, r.message, r.n, &o, &text, f) &&
              template_encode(t, &text, ids, mask, f);
    template_text_release(&text);
    render_release(&r);
    return ok;
}

// Assistant's turns that are not to be trained lose their run in the mask.
static void clear_untrained(const struct example *x, struct str *mask) {
    size_t turn = 0;
    for (size_t i = 0; i < mask->length; i++) {
        bool begins = mask->text[i] && (!i || !mask->text[i - 1]);
        if (!begins) continue;
        while (turn < x->n && x->turns[turn].role != ROLE_ASSISTANT) turn++;
        bool keep = turn < x->n ? x->turns[turn].trained : true;
        size_t end = i;
        while (end < mask->length && mask->text[end]) end++;
        if (!keep) memset(mask->text + i, 2, end - i);
        i = end - 1;
        turn++;
    }
    for (size_t i = 0; i < mask->length; i++) mask->text[i] &= 1;
}

// ids of the prompt with an answer, from the prompt's end to the token that ends the turn.
static bool render_answer(const struct encoder *e, const struct example *x, const struct turn *t,
                          size_t from, struct ids *out, struct fail *f) {
    struct ids ids = {0};
    struct str mask = {0};
    bool ok = render(e, x, t, &ids, &mask, f);
    size_t end = ok ? encoded_targets(&mask) : 0;
    if (end > from) encoded_add(out, ids.id + from, end - from);
    ids_release(&ids);
    str_release(&mask);
    return ok;
}

bool encode_chat(const struct encoder *e, const struct example *x, struct encoded *out,
                 struct fail *f) {
    if (e->kind == DATA_SFT) {
        if (!render(e, x, &x->response, &out->ids, &out->mask, f)) return false;
        clear_untrained(x, &out->mask);
        out->ids.n = out->mask.length = encoded_targets(&out->mask);
        while (out->prompt_length < out->mask.length && !out->mask.text[out->prompt_length])
            out->prompt_length++;
        return true;
    }
    if (!render(e, x, NULL, &out->ids, &out->mask, f)) return false;
    out->prompt_length = out->ids.n;
    return e->kind == DATA_PROMPT ||
           (render_answer(e, x, &x->response, out->ids.n, &out->chosen, f) &&
            render_answer(e, x, &x->rejected, out->ids.n, &out->rejected, f));
}

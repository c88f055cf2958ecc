// Chat templates by name: messages -> text, with the parts that belong to the assistant.
//
// A model's Jinja source is recognised by what is characteristic of it and rendered by our own
// template of that name, character for character as Jinja would (without tools). An assistant's
// part is what the model has to produce after a generation prompt: the content and the token that
// ends the turn, nothing more. Roles are system (first), user and assistant; alpaca also takes
// `input` behind the user's instruction.
#pragma once
#include "common/text/bpe.h"
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>

struct template_message {
    const char *role, *content;
};

struct template_options {
    const char *bos, *eos;  // the tokenizer's, as text; NULL: the template's own
    const char *date;       // llama3.1 and llama3.2: "Today Date"; NULL: 26 Jul 2024
    bool generation_prompt; // end with what comes before an assistant's answer
    bool no_think;          // qwen3: the generation prompt holds an empty thought
};

struct template_part { // bytes start .. end-1
    size_t start, end;
    bool assistant; // the model's to produce
    bool token;     // one token: BOS, end of turn
};

struct template_text { // zero-initialise, template_text_release; the parts cover the text in order
    struct str text;
    struct template_part *part;
    size_t n, capacity;
    bool has_bos; // the text begins with BOS
};
void template_text_release(struct template_text *x);

const char *template_choices(void); // "chatml, qwen2, ..."
// The name for a Jinja source (n bytes), or NULL.
const char *template_recognise(const char *jinja, size_t n);
// What --template asks for: a known name, or "auto": that of the model's source (NULL: it has
// none). NULL with f set (EXIT_USAGE), listing the choices, where there is no answer.
const char *template_pick(const char *wanted, const char *jinja, struct fail *f);

// Renders n messages into x (cleared first). False with f set: EXIT_USAGE for an unknown name or a
// missing end-of-sequence token, EXIT_BADDATA for roles that the template does not take.
bool template_render(const char *name, const struct template_message *m, size_t n,
                     const struct template_options *o, struct template_text *x, struct fail *f);

// Appends the ids of rendered text and for each id a byte of mask: 1 where it is the assistant's.
// Exactly one BOS in front where the tokenizer or the template has one. Each part is encoded by
// itself, so a prompt's ids are a prefix of the ids of the prompt with its answer. False with f set
// (EXIT_USAGE) where an end-of-turn token is not in the tokenizer.
bool template_encode(const struct tokenizer *t, const struct template_text *x, struct ids *ids,
                     struct str *mask, struct fail *f);

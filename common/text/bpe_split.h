// The steps that change or cut text before the merges: normalisers and pre-tokenizers, lowered to a
// few primitives. Normalisers turn one text into another; pre-tokenizers cut it into pieces.
#pragma once
#include "common/base/mem.h"
#include "common/base/regex.h"
#include "common/base/unicode.h"
#include <stdbool.h>
#include <stddef.h>

enum text_kind {
    TEXT_FORM,    // a Unicode normal form
    TEXT_LOWER,   // lower case
    TEXT_REPLACE, // matches of regex by content
    TEXT_STRIP,   // white space at the ends
    TEXT_PREFIX,  // content in front of a text that is not empty
    TEXT_SPLIT,   // cut at matches of regex (pre-tokenizer only)
};
enum text_behaviour { SPLIT_ISOLATED, SPLIT_REMOVED, SPLIT_PREVIOUS, SPLIT_NEXT, SPLIT_CONTIGUOUS };

struct text_step {
    enum text_kind kind;
    enum unicode_form form;
    struct regex *regex; // owned
    struct str content;  // owned
    bool left, right;    // TEXT_STRIP
    bool unless_there;   // TEXT_PREFIX: not where the text begins with content
    bool first_only;     // TEXT_PREFIX: only for a text that begins the whole input
    bool invert;         // TEXT_SPLIT: what does not match is the match
    enum text_behaviour behaviour;
};

struct text_steps {
    struct text_step *step;
    size_t n, capacity;
};
struct text_step *text_steps_add(struct text_steps *s, enum text_kind kind); // zeroed
// The cut of GPT-2: words with the blank before them, numbers, other marks, white space.
struct text_step *text_steps_add_gpt2(struct text_steps *s);
void text_steps_release(struct text_steps *s);

struct text_work { // one per thread; zero-initialise, text_work_init
    struct regex_work *regex;
    size_t n;
    struct str *buffer;        // (n) a step's result
    struct text_ranges *range; // (n)
};
void text_work_init(struct text_work *w, size_t steps);
void text_work_release(struct text_work *w);

// Replaces matches of r in text by content; appends to out.
void text_replace(const struct regex *r, struct regex_work *w, const char *text, size_t n,
                  const struct str *content, struct str *out);
// Runs a normaliser. continued: the text continues earlier text, so nothing is put in front.
// The result lives in `w`, or is `text` itself, until the next call.
const char *text_normalise(const struct text_steps *s, struct text_work *w, const char *text,
                           size_t n, bool continued, size_t *length);
// Cuts text and calls piece() for each part, left to right, none empty. first: the text begins the
// whole input.
void text_split(const struct text_steps *s, struct text_work *w, const char *text, size_t n,
                bool first, void (*piece)(void *self, const char *text, size_t n), void *self);

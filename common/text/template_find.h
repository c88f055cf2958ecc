// The table of chat templates, one row a name: how it renders and how its Jinja source is known.
#pragma once
#include "common/text/template.h"

struct render;

struct template_style {
    const char *name;
    void (*render)(struct render *r);
    const char *bos, *eos;    // the usual ones; bos NULL: none in the text
    const char *open, *close; // around the role
    const char *end;          // token that ends a turn; NULL: the end-of-sequence token
    const char *gap;          // between turns
    const char *system;       // where the messages have none; NULL: nothing
    bool trim;                // contents lose white space at their ends
    bool system_last;         // the system text stands before the last question, not the first
    // Of the Jinja source in its reduced spelling: what must be in it and what must not, each a
    // list separated by line breaks. has NULL: never recognised, only named.
    const char *has, *lacks;
};

const struct template_style *template_find(const char *name); // NULL: no such template

void template_turns(struct render *r);    // open role close content end gap
void template_dated(struct render *r);    // llama3.1, llama3.2
void template_thinking(struct render *r); // qwen3
void template_llama2(struct render *r);
void template_mistral(struct render *r); // open question close, gap answer
void template_alpaca(struct render *r);
void template_hh(struct render *r);
void template_none(struct render *r);

// What a row of data means: the turns of a conversation and the response (or chosen and rejected),
// with everything that a chat template can show: thoughts, tool calls, tool results, tools.
//
// Texts are the record's own or belong to the example, and may hold NUL; JSON likewise. Both stay
// until the example's next use.
#pragma once
#include "common/text/bpe.h"
#include "formats/bytes/json.h"
#include <stdbool.h>
#include <stddef.h>

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };
const char *role_name(enum role r);

struct bytes { // text NULL: none
    const char *text;
    size_t n;
};

struct turn {
    enum role role;
    const char *text; // the content; NULL: none
    size_t n;
    struct bytes reasoning;        // reasoning_content: the thought before the content
    struct bytes name;             // of the speaker, of the tool that answered
    struct bytes tool_call_id;     // a tool's turn: the call that it answers
    const struct json *tool_calls; // a list of {type, id, function: {name, arguments: object}}
    bool trained;                  // an assistant's turn that counts in the loss
    // What a template may read of it beside role and text: the file's object, with the fields above
    // under the names above where the file has them otherwise; NULL: a text.
    const struct json *message;
};

struct example {   // zero-initialise; reused; example_release
    bool dialogue; // turns of a conversation; else turns[0] is a plain prompt (or the text)
    bool verbatim; // `plain` is the whole prompt, separators and all (hh)
    size_t n, capacity;
    struct turn *turns;
    struct turn plain, response, rejected;
    struct turn instruction, input; // alpaca: the parts of turns[n - 1], where there are two
    const struct json *tools;       // a list of {type, function: {...}}; NULL: none
    struct ids ids;                 // shape ids
    size_t prompt_length;
    bool scored; // the row says how good both responses are
    double score_chosen, score_rejected;
    struct str unused; // names of fields inside the row that nothing used, NUL after each

    size_t n_owned, owned_capacity, n_trees, trees_capacity;
    char **owned;
    struct json **trees;
};

void example_clear(struct example *e);
void example_release(struct example *e);
void example_add(struct example *e, struct turn t);
void example_insert(struct example *e, size_t at, struct turn t);
const char *example_own(struct example *e, char *text);                    // takes it
const struct json *example_own_json(struct example *e, struct json *root); // takes it
void example_unused(struct example *e, const char *format, ...)
    __attribute__((format(printf, 2, 3))); // a name, once

// All its texts with \n for \r\n, but for what is inside tools and other JSON.
void example_lf(struct example *e);

// What a chat template alone can show (tools, tool calls or results, thoughts): its name for
// messages, or NULL where the example is texts only.
const char *example_beyond_text(const struct example *e);

// Conversations by a chat template: which template, and what it renders of an example, with what
// each byte is.
#pragma once
#include "common/jinja/jinja.h"
#include "formats/bytes/json.h"
#include "formats/records/example.h"

struct token_source;

struct chat_template { // read-only once open; shared by threads
    struct jinja *jinja;
    char *source;      // what is recorded of it
    const char *label; // "auto", "file" or the name
    struct jinja_date date;
    bool lf; // strings of messages have \n for \r\n; the caller's to set
    size_t n, capacity;
    struct chat_variable { // special tokens by name, then --template-args
        char *name;
        struct json *value;
    } * variable;
};

// wanted: "none", "auto" (the model's; none where it has none), a name of template_names(), or a
// file. args: KEY=JSON; what is no JSON is a text; date=YYYY-MM-DD is also what strftime_now gives.
// t->jinja NULL: none. False with f set.
bool chat_template_open(struct chat_template *t, const char *wanted, const struct token_source *s,
                        size_t n_args, const char *const *args, struct fail *f);
const char *chat_template_label(const char *wanted); // what is recorded: "file" for a path
const char *chat_template_text(const struct chat_template *t, const char *variable); // NULL: none
void chat_template_close(struct chat_template *t);

// Marks of rendered bytes: message i and which part of it, the tools, or 0 for the template.
enum chat_part { CHAT_CONTENT, CHAT_THOUGHT, CHAT_CALLS, CHAT_OTHER };
enum { CHAT_MESSAGES = 8000, CHAT_TOOLS = JMARK_SOURCE };
uint16_t chat_mark(size_t message, enum chat_part part);
size_t chat_message(uint16_t mark); // SIZE_MAX: of no message

struct chat { // one example
    const struct chat_template *template;
    struct jinja_rendering rendering;
    struct jvalue messages; // all, the answer last where there is one
    size_t n;
    struct fail *fail;
};
// answer NULL: the turns alone.
void chat_begin(struct chat *c, const struct chat_template *t, const struct example *x,
                const struct turn *answer, struct fail *f);
// The first n messages; ask: up to where an answer begins. The text lives until chat_end. False
// with the failure set.
bool chat_render(struct chat *c, size_t n, bool ask, struct jtext *out);
void chat_end(struct chat *c);

#include "formats/records/chat.h"
#include "formats/records/json_values.h"
#include <string.h>

enum { PARTS = 4 };

uint16_t chat_mark(size_t message, enum chat_part part) {
    size_t i = message < CHAT_MESSAGES ? message : CHAT_MESSAGES;
    return (uint16_t)(1 + PARTS * i + part);
}

size_t chat_message(uint16_t mark) {
    uint16_t source = mark & JMARK_SOURCE;
    return source && source != CHAT_TOOLS ? (size_t)(source - 1) / PARTS : SIZE_MAX;
}

static struct jvalue text_value(struct jpool *p, const char *text, size_t n, uint16_t mark) {
    return text ? jinja_marked(p, text, n, mark) : jinja_none();
}

// The fields that the file's message has beside role and content.
static void put_fields(struct chat *c, struct jvalue m, const struct json *message) {
    struct jpool *p = &c->rendering.pool;
    for (size_t k = 0; k < json_size(message); k++) {
        const char *name = json_key(message, k);
        enum chat_part part = !strcmp(name, "tool_calls")          ? CHAT_CALLS
                              : !strcmp(name, "reasoning_content") ? CHAT_THOUGHT
                                                                   : CHAT_OTHER;
        struct jvalue v =
            json_values(p, json_value(message, k), chat_mark(c->n, part), c->template->lf);
        jinja_set(p, m, jinja_marked(p, name, strlen(name), 0), v);
    }
}

static void add_message(struct chat *c, const struct turn *t) {
    struct jpool *p = &c->rendering.pool;
    struct jvalue m = jinja_dict(p);
    jinja_put(p, m, "role", jinja_string(p, role_name(t->role)));
    jinja_put(p, m, "content", jinja_none());
    if (t->message) put_fields(c, m, t->message);
    jinja_put(p, m, "role", jinja_string(p, role_name(t->role)));
    jinja_put(p, m, "content", text_value(p, t->text, t->n, chat_mark(c->n, CHAT_CONTENT)));
    jinja_append(p, c->messages, m);
    c->n++;
}

// The alpaca template has a place of its own for the input.
static void put_parts(struct chat *c, const struct example *x) {
    struct jpool *p = &c->rendering.pool;
    struct jvalue m = c->messages.u.list->items[c->n - 1];
    uint16_t mark = chat_mark(c->n - 1, CHAT_CONTENT);
    jinja_put(p, m, "instruction", text_value(p, x->instruction.text, x->instruction.n, mark));
    jinja_put(p, m, "input", text_value(p, x->input.text, x->input.n, mark));
}

// HH keeps the blank after "Assistant:" with the response.
static struct turn answer_of(const struct example *x, const struct turn *t) {
    struct turn a = *t;
    while (x->verbatim && a.n && *a.text == ' ') a.text++, a.n--;
    a.role = ROLE_ASSISTANT;
    return a;
}

void chat_begin(struct chat *c, const struct chat_template *t, const struct example *x,
                const struct turn *answer, struct fail *f) {
    *c = (struct chat){.template = t, .fail = f};
    jinja_begin(&c->rendering, t->jinja);
    c->rendering.date = t->date;
    struct jpool *p = &c->rendering.pool;
    c->messages = jinja_list(p, J_LIST);
    for (size_t i = 0; i < x->n; i++) add_message(c, &x->turns[i]);
    if (x->input.text && x->n) put_parts(c, x);
    if (answer) {
        struct turn a = answer_of(x, answer);
        add_message(c, &a);
    }
    for (size_t i = 0; i < t->n; i++)
        jinja_let(&c->rendering, t->variable[i].name,
                  json_values(p, t->variable[i].value, 0, false));
    struct jvalue tools = x->tools ? json_values(p, x->tools, CHAT_TOOLS, t->lf) : jinja_none();
    jinja_let(&c->rendering, "tools", tools);
    jinja_let(&c->rendering, "documents", jinja_none());
}

bool chat_render(struct chat *c, size_t n, bool ask, struct jtext *out) {
    struct jvalue first = jinja_list(&c->rendering.pool, J_LIST);
    *first.u.list = *c->messages.u.list;
    first.u.list->n = n;
    jinja_let(&c->rendering, "messages", first);
    jinja_let(&c->rendering, "add_generation_prompt", jinja_bool(ask));
    return jinja_render(&c->rendering, out, c->fail);
}

void chat_end(struct chat *c) {
    jinja_end(&c->rendering);
}

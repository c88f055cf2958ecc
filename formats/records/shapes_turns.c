// Dialogues: lists of messages, pairs of lists with a common beginning, and HH's text form.
#include "formats/records/shapes.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"system", ROLE_SYSTEM}, {"developer", ROLE_SYSTEM}, {"user", ROLE_USER},
    {"human", ROLE_USER},    {"prompter", ROLE_USER},    {"assistant", ROLE_ASSISTANT},
    {"gpt", ROLE_ASSISTANT}, {"model", ROLE_ASSISTANT},  {"chatgpt", ROLE_ASSISTANT},
    {"bot", ROLE_ASSISTANT}, {"tool", ROLE_TOOL},        {"observation", ROLE_TOOL},
    {"ipython", ROLE_TOOL},
};

const char *role_name(enum role r) {
    static const char *const names[] = {"system", "user", "assistant", "tool"};
    return names[r];
}

// "content" is a text or a list of {"type": "text", "text" or "value"}.
static bool read_content(struct record *row, const struct json *v, struct example *e,
                         struct turn *to) {
    struct str s = {0};
    if ((to->text = json_text(v, &to->n))) return true;
    if (json_type(v) != JSON_ARRAY)
        return row_bad(row, "a message's content is %s, not text", json_type_name(json_type(v)));
    str_puts(&s, "");
    for (size_t i = 0; i < json_size(v); i++) {
        size_t n;
        const struct json *part = json_at(v, i);
        const char *type = json_text(json_get(part, "type"), NULL);
        const char *text = json_text(json_get(part, "text"), &n);
        if (!text) text = json_text(json_get(part, "value"), &n);
        if (!text || (type && strcmp(type, "text"))) {
            str_release(&s);
            return row_bad(row, "a message has a part of type '%s'; only text is taken",
                           type ? type : "(none)");
        }
        str_add(&s, text, n);
    }
    to->n = s.length;
    to->text = example_own(e, s.text);
    return true;
}

bool turn_read(struct record *row, const struct json *v, struct example *e, struct turn *to) {
    const char *name = json_text(json_get(v, "role"), NULL);
    if (!name) name = json_text(json_get(v, "from"), NULL);
    if (!name) return row_bad(row, "a message has neither 'role' nor 'from'");
    size_t i = 0;
    while (i < sizeof roles / sizeof *roles && strcmp(name, roles[i].name)) i++;
    if (i == sizeof roles / sizeof *roles)
        return row_bad(row,
                       "role '%s' of a message is not understood; system, user, assistant and "
                       "tool are",
                       name);
    const struct json *content = json_get(v, "content"), *weight = json_get(v, "loss_weight");
    if (!content) content = json_get(v, "value");
    if (!weight) weight = json_get(v, "weight");
    *to = (struct turn){.role = roles[i].role, .message = v};
    to->trained = to->role == ROLE_ASSISTANT &&
                  (json_type(weight) != JSON_NUMBER || json_number(weight) != 0);
    return read_content(row, content, e, to);
}

bool turns_add(struct record *row, const struct json *list, struct example *e) {
    for (size_t i = 0; i < json_size(list); i++) {
        struct turn t;
        if (!turn_read(row, json_at(list, i), e, &t)) return false;
        example_add(e, t);
    }
    return true;
}

static bool same_turn(const struct turn *a, const struct turn *b) {
    return a->role == b->role && a->n == b->n && !memcmp(a->text, b->text, a->n);
}

// Both lists are the same dialogue up to one last assistant's turn; turns already in *e (a prompt)
// count only where the lists have no dialogue of their own.
bool read_lists(struct record *row, const struct json *chosen, const struct json *rejected,
                struct example *e) {
    size_t n = json_size(chosen), before = e->n;
    if (!n || json_size(rejected) != n)
        return row_bad(row, "chosen and rejected have %zu and %zu messages", n,
                       json_size(rejected));
    if (n > 1) e->n = before = 0;
    for (size_t i = 0; i < n; i++) {
        struct turn a, b;
        if (!turn_read(row, json_at(chosen, i), e, &a) ||
            !turn_read(row, json_at(rejected, i), e, &b))
            return false;
        a.trained = false; // context only
        if (i + 1 < n && !same_turn(&a, &b))
            return row_bad(row, "chosen and rejected differ before their last message");
        if (i + 1 < n) example_add(e, a);
        e->response = a;
        e->rejected = b;
    }
    if (e->response.role != ROLE_ASSISTANT || e->rejected.role != ROLE_ASSISTANT)
        return row_bad(row, "chosen or rejected does not end with an assistant's message");
    e->dialogue = true;
    return true;
}

// ---- HH: "\n\nHuman: ...\n\nAssistant: ..." -----------------------------------------------------

static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

static const char *find(const char *text, size_t n, const char *mark) {
    return memmem(text, n, mark, strlen(mark));
}

static struct turn trimmed(enum role role, const char *text, size_t n) {
    while (n && strchr(" \n", *text)) text++, n--;
    while (n && strchr(" \n", text[n - 1])) n--;
    return (struct turn){.role = role, .text = text, .n = n};
}

// The turns of a dialogue that begins with one of the marks and ends with an empty assistant's.
static bool split_dialogue(struct example *e, const char *text, size_t n) {
    const char *end = text + n;
    while (text < end) {
        bool asks = n >= sizeof human - 1 && !memcmp(text, human, sizeof human - 1);
        bool answers = n >= sizeof assistant - 1 && !memcmp(text, assistant, sizeof assistant - 1);
        if (!asks && !answers) return false;
        text += asks ? sizeof human - 1 : sizeof assistant - 1;
        n = (size_t)(end - text);
        const char *h = find(text, n, human), *a = find(text, n, assistant), *stop = end;
        if (h && h < stop) stop = h;
        if (a && a < stop) stop = a;
        if (answers && stop == end) return true;
        example_add(e, trimmed(asks ? ROLE_USER : ROLE_ASSISTANT, text, (size_t)(stop - text)));
        text = stop;
        n = (size_t)(end - text);
    }
    return false;
}

// Bytes up to and with the last "\n\nAssistant:" that both texts share.
static size_t shared_dialogue(const char *a, size_t n, const char *b, size_t k) {
    size_t same = 0, cut = 0, m = sizeof assistant - 1;
    while (same < n && same < k && a[same] == b[same]) same++;
    for (const char *at = a; (at = find(at, same - (size_t)(at - a), assistant)); at++)
        cut = (size_t)(at - a) + m;
    return cut;
}

bool read_hh(struct record *row, const struct field_map *map, struct example *e) {
    size_t n, k;
    const char *a = record_text(row, mapped(map, "chosen"), &n);
    const char *b = record_text(row, mapped(map, "rejected"), &k);
    if (!a || !b) return row_bad(row, "chosen or rejected is not a text");
    size_t cut = shared_dialogue(a, n, b, k);
    if (!cut || !split_dialogue(e, a, cut))
        return row_bad(row, "chosen and rejected do not begin with the same dialogue of 'Human:' "
                            "and 'Assistant:'");
    e->dialogue = e->verbatim = true;
    e->plain = (struct turn){.role = ROLE_USER, .text = a, .n = cut};
    e->response = (struct turn){ROLE_ASSISTANT, a + cut, n - cut, true, NULL};
    e->rejected = (struct turn){ROLE_ASSISTANT, b + cut, k - cut, true, NULL};
    return true;
}

// Dialogues: messages with everything that they hold, lists of them, pairs of lists with a common
// beginning.
#include "common/base/jsonout.h"
#include "formats/records/shapes.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"system", ROLE_SYSTEM},
    {"developer", ROLE_SYSTEM},
    {"user", ROLE_USER},
    {"human", ROLE_USER},
    {"prompter", ROLE_USER},
    {"assistant", ROLE_ASSISTANT},
    {"gpt", ROLE_ASSISTANT},
    {"model", ROLE_ASSISTANT},
    {"chatgpt", ROLE_ASSISTANT},
    {"bot", ROLE_ASSISTANT},
    {"tool", ROLE_TOOL},
    {"function", ROLE_TOOL},
    {"observation", ROLE_TOOL},
    {"function_response", ROLE_TOOL},
    {"ipython", ROLE_TOOL},
    {"function_call", ROLE_ASSISTANT}, // its text is the call (LLaMA-Factory)
};

// ---- fields of a message ------------------------------------------------------------------------

static const char *const role_fields[] = {"role", "from", NULL};
static const char *const content_fields[] = {"content", "value", NULL};
static const char *const thought_fields[] = {"reasoning_content", "reasoning", "thinking", NULL};
static const char *const weight_fields[] = {"weight", "loss_weight", "train", "training",
                                            "loss",   "label",       NULL};
static const char *const media_fields[] = {"images", "image", "videos", "video",
                                           "audios", "audio", NULL};

static const struct json *member(const struct json *message, const char *name) {
    const struct json *v = json_get(message, name);
    return json_type(v) != JSON_NULL ? v : NULL;
}

// The first of the names that the message has, not null.
static const struct json *field(const struct json *message, const char *const *names) {
    const struct json *v = NULL;
    for (; *names && !v; names++) v = member(message, *names);
    return v;
}

static bool listed(const char *name, const char *const *names) {
    for (; *names; names++)
        if (!strcmp(name, *names)) return true;
    return false;
}

// "content" is a text or a list of {"type": "text", "text" or "value"}.
static bool read_parts(struct record *row, const struct json *v, struct example *e,
                       struct turn *to) {
    struct str s = {0};
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

static bool read_content(struct record *row, const struct json *v, struct example *e,
                         struct turn *to) {
    if ((to->text = json_text(v, &to->n))) return true;
    if (json_type(v) == JSON_ARRAY) return read_parts(row, v, e, to);
    if (json_type(v) == JSON_NULL && to->tool_calls) return true;
    return row_bad(row, "a message's content is %s, not text", json_type_name(json_type(v)));
}

static bool text_of(struct record *row, const struct json *v, const char *what, struct bytes *to) {
    if (!v) return true;
    to->text = json_text(v, &to->n);
    if (to->text && !to->n) to->text = NULL;
    return json_type(v) == JSON_STRING || row_bad(row, "'%s' of a message is not a text", what);
}

static bool named_role(struct record *row, const struct json *message, enum role *role,
                       const char **name) {
    *name = json_text(field(message, role_fields), NULL);
    if (!*name) return row_bad(row, "a message has neither 'role' nor 'from'");
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(*name, roles[i].name)) {
            *role = roles[i].role;
            return true;
        }
    return row_bad(row,
                   "role '%.40s' of a message is not understood; system, user, assistant and "
                   "tool are",
                   *name);
}

// ---- tool calls ---------------------------------------------------------------------------------

// Arguments are an object; OpenAI writes them as text of one, which templates would quote again.
static void put_function(struct str *to, const struct json *f) {
    size_t n;
    const struct json *arguments = json_get(f, "arguments");
    const char *text = json_text(arguments, &n);
    struct fail none = {0};
    struct json *parsed = text ? json_parse(text, n, "arguments", &none) : NULL;
    str_puts(to, "{");
    for (size_t i = 0; i < json_size(f); i++) {
        bool replaced = json_value(f, i) == arguments && json_type(parsed) == JSON_OBJECT;
        str_puts(to, i ? ", " : "");
        jsonout_text(to, json_key(f, i));
        str_puts(to, ": ");
        json_write(to, replaced ? parsed : json_value(f, i), 0);
    }
    str_puts(to, "}");
    json_free(parsed);
}

// A call with its function inside, as templates want it; else it is the function itself.
static bool put_call(struct record *row, struct str *to, const struct json *call) {
    const struct json *f = json_get(call, "function");
    if (json_type(f) != JSON_OBJECT) f = call;
    if (!json_text(json_get(f, "name"), NULL))
        return row_bad(row, "a tool call has no name; give {\"function\": {\"name\", "
                            "\"arguments\"}}");
    str_puts(to, "{\"type\": \"function\"");
    if (json_text(json_get(call, "id"), NULL) && f != call) {
        str_puts(to, ", \"id\": ");
        json_write(to, json_get(call, "id"), 0);
    }
    str_puts(to, ", \"function\": ");
    put_function(to, f);
    str_puts(to, "}");
    return true;
}

static bool read_calls(struct record *row, const struct json *v, struct example *e,
                       struct turn *to) {
    struct str s = {0};
    bool list = json_type(v) == JSON_ARRAY, ok = true;
    size_t n = list ? json_size(v) : 1;
    if (!v || !n) return true;
    str_puts(&s, "[");
    for (size_t i = 0; i < n && ok; i++) {
        str_puts(&s, i ? ", " : "");
        ok = put_call(row, &s, list ? json_at(v, i) : v);
    }
    str_puts(&s, "]");
    struct json *calls = ok ? json_parse(s.text, s.length, row->path, &row->bad) : NULL;
    if (calls) to->tool_calls = example_own_json(e, calls);
    str_release(&s);
    return calls != NULL;
}

// LLaMA-Factory's "function_call": the text is the call, or a list of calls.
static bool read_call_text(struct record *row, struct example *e, struct turn *to) {
    struct fail f = {0};
    struct json *v = to->text ? json_parse(to->text, to->n, "a call", &f) : NULL;
    to->text = NULL;
    to->n = 0;
    if (v) return read_calls(row, example_own_json(e, v), e, to);
    return row_bad(row, "a message of role 'function_call' does not hold JSON");
}

// ---- messages -----------------------------------------------------------------------------------

// Whether an assistant's message counts in the loss.
static bool read_weight(struct record *row, const struct json *message, struct example *e,
                        struct turn *to) {
    to->trained = to->role == ROLE_ASSISTANT;
    for (const char *const *name = weight_fields; *name; name++) {
        const struct json *v = json_get(message, *name);
        bool on = true;
        if (json_type(v) == JSON_NULL) continue;
        if (!weight_read(row, *name, v, NULL, 0, &on)) return false;
        if (on && to->role != ROLE_ASSISTANT) example_unused(e, "messages: %s", *name);
        to->trained &= on;
    }
    return true;
}

static bool holds(const struct json *v) { // something that must not be left out
    enum json_type t = json_type(v);
    if (t == JSON_ARRAY || t == JSON_OBJECT) return json_size(v) > 0;
    size_t n = 1;
    if (t == JSON_STRING) json_text(v, &n);
    return t != JSON_NULL && n;
}

// Every field is used, refused or named in the report.
static bool check_fields(struct record *row, const struct json *message, struct example *e) {
    static const char *const others[] = {"name", "tool_calls", "function_call", "tool_call_id",
                                         NULL};
    for (size_t i = 0; i < json_size(message); i++) {
        const char *name = json_key(message, i);
        const struct json *v = json_value(message, i);
        if (!holds(v)) continue;
        if (listed(name, media_fields))
            return row_bad(row, "a message holds '%s'; only text is taken", name);
        if (!strcmp(name, "tools") || !strcmp(name, "functions"))
            return row_bad(row, "a message holds '%s'; give them as the row's 'tools'", name);
        bool used = listed(name, others) || listed(name, weight_fields) ||
                    v == field(message, role_fields) || v == field(message, content_fields) ||
                    v == field(message, thought_fields);
        if (!used) example_unused(e, "messages: %s", name);
    }
    return true;
}

static const char *const call_fields[] = {"tool_calls", "function_call", NULL};

static void put_member(struct str *to, const char *name) {
    str_puts(to, to->length > 1 ? ", " : "");
    jsonout_text(to, name);
    str_puts(to, ": ");
}

// The message for a template: the file's own where it has our names, else a copy that has them.
static const struct json *renamed(const struct json *v, struct example *e, const struct turn *t) {
    bool same = !t->tool_calls && (!t->reasoning.text || member(v, thought_fields[0]));
    struct str s = {0};
    struct fail f = {0};
    if (same) return v;
    str_puts(&s, "{");
    for (size_t i = 0; i < json_size(v); i++) {
        const char *key = json_key(v, i);
        if (listed(key, call_fields) || listed(key, thought_fields)) continue;
        put_member(&s, key);
        json_write(&s, json_value(v, i), 0);
    }
    if (t->reasoning.text) put_member(&s, thought_fields[0]);
    if (t->reasoning.text) jsonout_bytes(&s, t->reasoning.text, t->reasoning.n);
    if (t->tool_calls) put_member(&s, call_fields[0]);
    if (t->tool_calls) json_write(&s, t->tool_calls, 0);
    str_puts(&s, "}");
    struct json *copy = json_parse(s.text, s.length, "a message", &f);
    str_release(&s);
    return copy ? example_own_json(e, copy) : v;
}

bool turn_read(struct record *row, const struct json *v, struct example *e, struct turn *to) {
    const char *name;
    *to = (struct turn){0};
    if (json_type(v) != JSON_OBJECT)
        return row_bad(row, "a message is %s, not an object", json_type_name(json_type(v)));
    if (!named_role(row, v, &to->role, &name) || !check_fields(row, v, e)) return false;
    bool is_call = !strcmp(name, "function_call");
    bool ok = read_calls(row, field(v, call_fields), e, to) &&
              read_content(row, field(v, content_fields), e, to) &&
              text_of(row, field(v, thought_fields), "reasoning_content", &to->reasoning) &&
              text_of(row, member(v, "name"), "name", &to->name) &&
              text_of(row, member(v, "tool_call_id"), "tool_call_id", &to->tool_call_id) &&
              read_weight(row, v, e, to);
    if (ok && to->role != ROLE_ASSISTANT && (to->tool_calls || to->reasoning.text))
        return row_bad(row, "a message of role '%s' holds %s", name,
                       to->tool_calls ? "tool calls" : "a thought");
    if (!ok || (is_call && !read_call_text(row, e, to))) return false;
    to->message = renamed(v, e, to);
    return true;
}

bool turns_add(struct record *row, const struct json *list, struct example *e) {
    for (size_t i = 0; i < json_size(list); i++) {
        struct turn t;
        if (!turn_read(row, json_at(list, i), e, &t)) return false;
        example_add(e, t);
    }
    return true;
}

static bool same_bytes(const char *a, size_t n, const char *b, size_t k) {
    return n == k && (!n || !memcmp(a, b, n));
}

static bool same_calls(const struct json *a, const struct json *b) {
    struct str s = {0}, t = {0};
    if (a) json_write(&s, a, 0);
    if (b) json_write(&t, b, 0);
    bool same = same_bytes(s.text, s.length, t.text, t.length);
    str_release(&s);
    str_release(&t);
    return same;
}

bool turn_same(const struct turn *a, const struct turn *b) {
    return a->role == b->role && same_bytes(a->text, a->n, b->text, b->n) &&
           same_bytes(a->reasoning.text, a->reasoning.n, b->reasoning.text, b->reasoning.n) &&
           same_calls(a->tool_calls, b->tool_calls);
}

static struct bytes without_blanks(const struct turn *t) {
    struct bytes b = {t->text, t->n};
    while (b.n && strchr(" \t\r\n", *b.text) && *b.text) b.text++, b.n--;
    while (b.n && strchr(" \t\r\n", b.text[b.n - 1]) && b.text[b.n - 1]) b.n--;
    return b;
}

static bool same_text(const struct turn *a, const struct turn *b) {
    struct bytes x = without_blanks(a), y = without_blanks(b);
    return same_bytes(x.text, x.n, y.text, y.n);
}

// Whether a prompt's one text is what the first or the last of n turns of a user says.
static bool text_agrees(const struct turn *prompt, const struct turn *turn, size_t n) {
    size_t first = 0, last = n;
    while (first < n && turn[first].role != ROLE_USER) first++;
    while (last && turn[last - 1].role != ROLE_USER) last--;
    return last && (same_text(prompt, &turn[first]) || same_text(prompt, &turn[last - 1]));
}

bool prompt_agrees(struct record *row, struct example *e, size_t n, bool list) {
    struct turn *turn = e->turns + n;
    size_t left = e->n - n;
    bool same = !n;
    if (n && !list) same = text_agrees(e->turns, turn, left);
    if (n && list) {
        bool system = left && turn->role == ROLE_SYSTEM && e->turns->role != ROLE_SYSTEM;
        same = left == n + system;
        for (size_t i = 0; same && i < n; i++) same = turn_same(&e->turns[i], &turn[system + i]);
    }
    if (left) memmove(e->turns, turn, left * sizeof *turn);
    e->n = left;
    return same || row_bad(row, "its prompt and its messages differ; drop the one that is wrong "
                                "(--map prompt=none)");
}

// Both lists are the same dialogue up to one last assistant's turn. Turns already in *e are a
// prompt (a list, or one text): they count where the lists have no dialogue of their own, else both
// must agree.
bool read_lists(struct record *row, const struct json *chosen, const struct json *rejected,
                struct example *e) {
    size_t n = json_size(chosen), before = e->n;
    bool list = e->dialogue;
    if (!n || json_size(rejected) != n)
        return row_bad(row, "chosen and rejected have %zu and %zu messages", n,
                       json_size(rejected));
    for (size_t i = 0; i < n; i++) {
        struct turn a, b;
        if (!turn_read(row, json_at(chosen, i), e, &a) ||
            !turn_read(row, json_at(rejected, i), e, &b))
            return false;
        if (i + 1 < n && !turn_same(&a, &b))
            return row_bad(row, "chosen and rejected differ before their last message");
        if (i + 1 < n) a.trained = false; // context only
        if (i + 1 < n) example_add(e, a);
        e->response = a;
        e->rejected = b;
    }
    if (e->response.role != ROLE_ASSISTANT || e->rejected.role != ROLE_ASSISTANT)
        return row_bad(row, "chosen or rejected does not end with an assistant's message");
    e->dialogue = true;
    return n == 1 || prompt_agrees(row, e, before, list);
}

// Texts that are not what they look like: lists written as text, other speakers' turns, text that a
// template has rendered already, tokens that are added anyway.
#include "formats/records/shapes.h"
#include <string.h>

static struct bytes stripped(struct bytes t) {
    while (t.n && strchr(" \t\r\n", *t.text) && *t.text) t.text++, t.n--;
    while (t.n && strchr(" \t\r\n", t.text[t.n - 1]) && t.text[t.n - 1]) t.n--;
    return t;
}

static bool begins(struct bytes t, const char *with) {
    size_t k = strlen(with);
    return t.n >= k && !memcmp(t.text, with, k);
}

static bool ends(struct bytes t, const char *with) {
    size_t k = strlen(with);
    return t.n >= k && !memcmp(t.text + t.n - k, with, k);
}

static bool contains(struct bytes t, const char *what) {
    return t.n && memmem(t.text, t.n, what, strlen(what));
}

// ---- a list of messages, written as JSON or as Python shows it ----------------------------------

static bool is_list(const char *text, size_t n) {
    static const char *const keys[] = {"role", "content", "from", "value"};
    struct bytes t = stripped((struct bytes){text, n});
    bool list = begins(t, "[");
    if (list) t = stripped((struct bytes){t.text + 1, t.n - 1});
    if (!begins(t, "{")) return false;
    t = stripped((struct bytes){t.text + 1, t.n - 1});
    if (t.n < 2 || (*t.text != '"' && *t.text != '\'')) return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t k = strlen(keys[i]);
        if (t.n > k + 1 && !memcmp(t.text + 1, keys[i], k) && t.text[k + 1] == *t.text) return true;
    }
    return false;
}

// ---- another speaker's turns --------------------------------------------------------------------

// What begins a turn of somebody in a written-out dialogue. A single label may be part of a play
// or of an example: it counts after an empty line, or where both speakers have a line.
static const char *other_speaker(struct bytes t) {
    static const char *const marks[] = {
        "\n\nHuman:",      "\n\nAssistant:",   "\n\nUser:",         "\n### Human:",
        "\n### User:",     "\n### Assistant:", "\n### Instruction", "\n### Response:",
        "[INST]",          "[/INST]",          "<|im_start|>",      "<|start_header_id|>",
        "<start_of_turn>", "<|user|>",         "<|assistant|>"};
    static const char *const asks[] = {"\nHuman:", "\nUser:", "\nHUMAN:", "\nUSER:"};
    static const char *const answers[] = {"\nAssistant:", "\nASSISTANT:", "\nAI:"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (contains(t, marks[i])) return marks[i] + strspn(marks[i], "\n");
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        if (contains(t, asks[i]) || begins(t, asks[i] + 1))
            for (size_t k = 0; k < sizeof answers / sizeof *answers; k++)
                if (contains(t, answers[k])) return asks[i] + 1;
    return begins(stripped(t), "Human:") ? "Human:" : NULL;
}

// ---- rendered already ---------------------------------------------------------------------------

static const char *rendered_with(struct bytes t, bool as_text) {
    static const char *const tokens[] = {"<|im_start|>",      "<|start_header_id|>",
                                         "<|begin_of_text|>", "[INST]",
                                         "<s>[INST]",         "<start_of_turn>",
                                         "<bos><start_of",    "<|user|>",
                                         "<|system|>",        "<|assistant|>",
                                         "<|start|>",         "<|start_of_role|>",
                                         "[SYSTEM_PROMPT]",   "<s>[SYSTEM_PROMPT]",
                                         "<|header_start|>",  "<｜begin▁of▁sentence｜>",
                                         "<｜User｜>",        "<|turn>"};
    static const char *const words[] = {"### Instruction:",
                                        "Below is an instruction that describes a task"};
    t = stripped(t);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (begins(t, tokens[i])) return tokens[i];
    for (size_t i = 0; as_text && i < sizeof words / sizeof *words; i++)
        if (begins(t, words[i])) return words[i];
    bool asks = as_text && begins(t, "Human:") && ends(t, "\n\nAssistant:");
    return asks ? "Human:" : NULL;
}

// ---- a row --------------------------------------------------------------------------------------

bool text_not_list(struct record *row, const char *what, const char *text, size_t n) {
    if (!is_list(text, n)) return true;
    return row_bad(row,
                   "%s is a list of messages written as text; write JSONL that holds the list "
                   "itself (json.loads or ast.literal_eval of that text in Python)",
                   what);
}

// A special token in angle brackets that the text ends with.
static bool last_token(const struct text_rules *r, struct bytes t, char token[64]) {
    const char *at =
        r->tokenizer && t.n && t.text[t.n - 1] == '>' ? memrchr(t.text, '<', t.n) : NULL;
    size_t n = at ? (size_t)(t.text + t.n - at) : 0;
    if (!n || n >= 64) return false;
    memcpy(token, at, n);
    token[n] = 0;
    int32_t id = tokenizer_id(r->tokenizer, token);
    return id >= 0 && tokenizer_is_special(r->tokenizer, id);
}

static bool check_ends(struct record *row, const struct text_rules *r, const char *what,
                       struct bytes t) {
    t = stripped(t);
    char token[64];
    if (last_token(r, t, token))
        return row_bad(row, "%s ends with '%s', as if a turn ended twice; take it off", what,
                       token);
    if (r->bos && *r->bos && begins(t, r->bos))
        return row_bad(row, "%s begins with '%s', which is added anyway; take it off", what,
                       r->bos);
    return true;
}

static bool check_response(struct record *row, const struct text_rules *r, const char *what,
                           const struct turn *turn) {
    struct bytes t = {turn->text, turn->n};
    const char *other = other_speaker(t);
    if (other)
        return row_bad(row, "%s holds another speaker's turn ('%s'); keep the answer alone", what,
                       other);
    return text_not_list(row, what, t.text, t.n) && check_ends(row, r, what, t);
}

static bool check_prompt(struct record *row, const struct text_rules *r, bool dialogue,
                         const struct turn *turn) {
    struct bytes t = {turn->text, turn->n};
    const char *rendered = r->rendered ? NULL : rendered_with(t, r->template);
    bool answer = turn->role == ROLE_ASSISTANT;
    if (rendered)
        return row_bad(row,
                       "the %s is rendered already (it begins with '%s'); pass --template "
                       "none --parse-special",
                       dialogue ? "message" : "prompt", rendered);
    return text_not_list(row, dialogue ? "a message" : "the prompt", t.text, t.n) &&
           (!answer || check_ends(row, r, "a message", t));
}

bool texts_check(struct record *row, enum data_kind kind, const struct text_rules *r,
                 const struct example *e) {
    if (e->ids.n) return true;
    if (kind == DATA_TEXT) {
        struct bytes t = {e->turns[0].text, e->turns[0].n};
        const char *rendered = r->rendered ? NULL : rendered_with(t, false);
        if (rendered)
            return row_bad(row,
                           "the text is rendered already (it begins with '%s'); pass "
                           "--parse-special",
                           rendered);
        return check_ends(row, r, "the text", t);
    }
    for (size_t i = 0; i < e->n; i++)
        if (!check_prompt(row, r, e->dialogue, &e->turns[i])) return false;
    bool pair = kind == DATA_PREF;
    return kind == DATA_PROMPT ||
           (check_response(row, r, pair ? "the chosen response" : "the response", &e->response) &&
            (!pair || check_response(row, r, "the rejected response", &e->rejected)));
}

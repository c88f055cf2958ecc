#include "formats/records/shapes.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const shape_names[] = {"auto",       "text", "completion", "alpaca", "messages",
                                          "preference", "v1",   "hh",         "ids"};

enum shape shape_named(const char *name) {
    for (size_t i = 0; i < sizeof shape_names / sizeof *shape_names; i++)
        if (!strcmp(name, shape_names[i])) return (enum shape)i;
    return SHAPE_AUTO;
}

const char *shape_name(enum shape s) {
    return shape_names[s];
}

// ---- names of fields ----------------------------------------------------------------------------

void field_map_release(struct field_map *m) {
    for (size_t i = 0; i < m->n; i++) {
        free(m->ours[i]);
        free(m->theirs[i]);
    }
    free(m->ours);
    free(m->theirs);
    *m = (struct field_map){0};
}

const char *mapped(const struct field_map *map, const char *name) {
    for (size_t i = 0; i < map->n; i++)
        if (!strcmp(map->ours[i], name)) return map->theirs[i];
    return name;
}

// Our name of a field, and the others that data sets use for the same.
static const char *const prompt_names[] = {"prompt", "question", "query", NULL};
static const char *const response_names[] = {"response", "completion", "output", "answer", NULL};
static const char *const dialogue_names[] = {"messages", "conversations", "conversation", NULL};
static const char *const chosen_names[] = {"chosen", "response_j", NULL};
static const char *const rejected_names[] = {"rejected", "response_k", NULL};

static const char *const *const aliases[] = {prompt_names, response_names, dialogue_names,
                                             chosen_names, rejected_names};
static const char *const other_names[] = {"instruction", "input",           "text",
                                          "ids",         "chosen_messages", "rejected_messages"};

// The field that a name stands for: the first of its names. NULL: none of ours.
static const char *field_of(const char *name) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        for (const char *const *a = aliases[i]; *a; a++)
            if (!strcmp(name, *a)) return aliases[i][0];
    for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++)
        if (!strcmp(name, other_names[i])) return other_names[i];
    return columns_field(name);
}

static bool add_pair(struct field_map *m, const char *ours, const char *theirs, struct fail *f) {
    const char *field = field_of(ours);
    if (!field)
        return fail_set(f, EXIT_USAGE, "--map '%s': tokenize has no field of that name", ours);
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->ours[i], field))
            return fail_set(f, EXIT_USAGE, "--map names '%s' twice", field);
    m->ours = xrealloc(m->ours, (m->n + 1) * sizeof *m->ours);
    m->theirs = xrealloc(m->theirs, (m->n + 1) * sizeof *m->theirs);
    m->ours[m->n] = xstrdup(field);
    m->theirs[m->n++] = xstrdup(theirs);
    return true;
}

bool field_map_parse(struct field_map *m, const char *text, struct fail *f) {
    *m = (struct field_map){0};
    while (text && *text && !f->code) {
        size_t n = strcspn(text, ","), equal = strcspn(text, "=");
        if (!equal || equal + 1 >= n)
            return fail_set(f, EXIT_USAGE, "bad --map '%s': give ours=theirs,...", text);
        char *ours = xasprintf("%.*s", (int)equal, text);
        char *theirs = xasprintf("%.*s", (int)(n - equal - 1), text + equal + 1);
        add_pair(m, ours, theirs, f);
        free(ours);
        free(theirs);
        text += n + (text[n] == ',');
    }
    return !f->code;
}

// The column that --map has for a field; NULL: it names none, or one that the row lacks.
static const char *mapped_there(const struct record *row, const struct field_map *map,
                                const char *field) {
    const char *theirs = mapped(map, field);
    return theirs != field && record_names_it(row, theirs) ? theirs : NULL;
}

// Whether a row may be without the column that --map has for a field: `none` leaves it out, a
// dialogue stands for a prompt and the reverse, and a row of JSON need not have what is optional.
static bool may_lack(const struct record *row, const struct field_map *map, const char *field) {
    if (!strcmp(mapped(map, field), "none")) return true;
    if (!strcmp(field, "prompt") && mapped_there(row, map, "messages")) return true;
    if (!strcmp(field, "messages") && mapped_there(row, map, "prompt")) return true;
    return !row->header && (columns_field(field) || !strcmp(field, "input"));
}

// The columns that --map names are there.
static bool map_fits(struct record *row, const struct field_map *map) {
    for (size_t i = 0; i < map->n; i++) {
        const char *theirs = map->theirs[i];
        if (record_names_it(row, theirs) || may_lack(row, map, map->ours[i])) continue;
        struct str names = {0};
        str_puts(&names, "");
        record_names(row, &names);
        row_bad(row, "no column '%s', which --map has for '%s'; there are: %s", theirs,
                map->ours[i], names.text);
        str_release(&names);
        return false;
    }
    return true;
}

static const char *pick(const struct record *row, const struct field_map *map,
                        const char *const *names) {
    const char *ours = mapped(map, names[0]);
    if (ours != names[0]) return record_has(row, ours) ? ours : NULL;
    for (; *names; names++)
        if (record_has(row, *names)) return *names;
    return NULL;
}

static bool has(const struct record *row, const struct field_map *map, const char *name) {
    return record_has(row, mapped(map, name));
}

// ---- rows that cannot be used -------------------------------------------------------------------

bool row_bad(struct record *row, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail_set(&row->bad, EXIT_BADDATA, "'%s' line %zu: %s", row->path, row->line, text);
}

// ---- telling ------------------------------------------------------------------------------------

static enum shape tell_pref(const struct record *row, const struct field_map *map) {
    if (has(row, map, "chosen_messages") && has(row, map, "rejected_messages")) return SHAPE_V1;
    if (!pick(row, map, chosen_names) || !pick(row, map, rejected_names)) return SHAPE_AUTO;
    if (pick(row, map, prompt_names) || pick(row, map, dialogue_names)) return SHAPE_PREFERENCE;
    return has(row, map, "instruction") ? SHAPE_ALPACA : SHAPE_HH;
}

static enum shape tell_sft(const struct record *row, const struct field_map *map, bool prompt) {
    bool responds = prompt || pick(row, map, response_names);
    if (pick(row, map, prompt_names) && responds) return SHAPE_COMPLETION;
    if (has(row, map, "instruction") && responds) return SHAPE_ALPACA;
    enum shape pairs = tell_pref(row, map); // its prompts, its chosen responses
    if (pairs != SHAPE_AUTO) return pairs;
    return pick(row, map, dialogue_names) ? SHAPE_MESSAGES : SHAPE_AUTO;
}

static const char *wanted(enum data_kind kind) {
    static const char *const names[] = {
        "text", "prompt and response, instruction and output, or messages",
        "prompt, chosen and rejected", "prompt, instruction or messages"};
    return names[kind];
}

static enum shape recognise(const struct record *row, enum data_kind kind,
                            const struct field_map *map) {
    if (kind != DATA_PREF && has(row, map, "ids")) return SHAPE_IDS;
    if (kind == DATA_TEXT) return has(row, map, "text") ? SHAPE_TEXT : SHAPE_AUTO;
    if (kind == DATA_PREF) return tell_pref(row, map);
    if (kind == DATA_PROMPT && row->syntax == SYNTAX_TEXT) return SHAPE_COMPLETION;
    return tell_sft(row, map, kind == DATA_PROMPT);
}

static bool unpaired(const struct record *row, enum data_kind kind, const struct field_map *map) {
    bool labelled = has(row, map, "label") || has(row, map, "kto_tag");
    return kind == DATA_PREF && labelled && tell_sft(row, map, false) != SHAPE_AUTO;
}

static void tell_missing(struct record *row, enum data_kind kind, const struct field_map *map) {
    struct str names = {0};
    str_puts(&names, "");
    record_names(row, &names);
    if (unpaired(row, kind, map))
        row_bad(row, "unpaired data (a label for each response, as for KTO); put chosen and "
                     "rejected responses to one prompt side by side, or train on the wanted ones "
                     "with --kind sft --on-bad skip");
    else
        row_bad(row, "missing column: --kind %s needs %s; there are: %s; name others with --map",
                (const char *[]){"text", "sft", "pref", "prompt"}[kind], wanted(kind), names.text);
    str_release(&names);
}

enum shape shape_tell(struct record *row, enum data_kind kind, const struct field_map *map,
                      bool *sure) {
    *sure = false;
    if (!map_fits(row, map)) return SHAPE_AUTO;
    enum shape s = recognise(row, kind, map);
    *sure = s != SHAPE_AUTO;
    if (*sure) return s;
    row->nulls = true;
    s = recognise(row, kind, map);
    row->nulls = false;
    if (s == SHAPE_AUTO) tell_missing(row, kind, map);
    return s;
}

// ---- reading ------------------------------------------------------------------------------------

static bool text_field(struct record *row, const char *name, const char *what, struct turn *to) {
    to->text = name ? record_text(row, name, &to->n) : NULL;
    if (to->text) return true;
    name = name ? name : what;
    if (record_has(row, name)) return row_bad(row, "'%s' is not a text", name);
    return row_bad(row, record_names_it(row, name) ? "'%s' is null" : "no '%s'", name);
}

// A response: a text, a message, or a list whose last message it is.
static bool read_answer(struct record *row, const char *name, const char *what, struct example *e,
                        struct turn *to) {
    const struct json *v = name ? record_json(row, name) : NULL;
    size_t before = e->n;
    if (json_type(v) == JSON_OBJECT || json_type(v) == JSON_ARRAY) {
        e->dialogue = true;
        bool list = json_type(v) == JSON_ARRAY;
        if (list ? !turns_add(row, v, e) : !turn_read(row, v, e, to)) return false;
        if (list && e->n > before) *to = e->turns[--e->n];
        return to->role == ROLE_ASSISTANT || row_bad(row, "'%s' is no assistant's message", name);
    }
    *to = (struct turn){.role = ROLE_ASSISTANT, .trained = true};
    return text_field(row, name, what, to);
}

static bool read_prompt(struct record *row, const struct field_map *map, struct example *e) {
    const char *name = pick(row, map, prompt_names), *list = pick(row, map, dialogue_names);
    if (!name && row->syntax == SYNTAX_TEXT) name = "text";
    const struct json *v = record_json(row, name ? name : list ? list : "");
    if (json_type(v) == JSON_ARRAY) {
        e->dialogue = true;
        return turns_add(row, v, e);
    }
    struct turn t = {.role = ROLE_USER};
    if (!text_field(row, name, "prompt", &t)) return false;
    example_add(e, t);
    return true;
}

static bool read_preference(struct record *row, const struct field_map *map, struct example *e) {
    const char *good = pick(row, map, chosen_names), *bad = pick(row, map, rejected_names);
    const struct json *chosen = record_json(row, good ? good : "");
    const struct json *rejected = record_json(row, bad ? bad : "");
    if (!read_prompt(row, map, e)) return false;
    if (json_type(chosen) == JSON_ARRAY) return read_lists(row, chosen, rejected, e);
    return read_answer(row, good, "chosen", e, &e->response) &&
           read_answer(row, bad, "rejected", e, &e->rejected);
}

static bool read_dialogues(struct record *row, const struct field_map *map, struct example *e) {
    const char *good = pick(row, map, chosen_names), *bad = pick(row, map, rejected_names);
    if (!good || !bad) return row_bad(row, "no '%s'", mapped(map, good ? "rejected" : "chosen"));
    const struct json *list = record_json(row, good);
    if (json_type(list) == JSON_ARRAY) return read_lists(row, list, record_json(row, bad), e);
    return read_hh(row, good, bad, e);
}

static bool read_alpaca(struct record *row, enum data_kind kind, const struct field_map *map,
                        struct example *e) {
    struct turn t = {.role = ROLE_USER}, input = {0};
    if (!text_field(row, mapped(map, "instruction"), "instruction", &t)) return false;
    input.text = record_text(row, mapped(map, "input"), &input.n);
    if (input.text && input.n) {
        e->instruction = t;
        e->input = input;
        struct str s = {0};
        str_add(&s, t.text, t.n);
        str_puts(&s, "\n");
        str_add(&s, input.text, input.n);
        t.n = s.length;
        t.text = example_own(e, s.text);
    }
    example_add(e, t);
    if (kind == DATA_PREF)
        return read_answer(row, pick(row, map, chosen_names), "chosen", e, &e->response) &&
               read_answer(row, pick(row, map, rejected_names), "rejected", e, &e->rejected);
    const char *name = pick(row, map, response_names);
    return kind == DATA_PROMPT || read_answer(row, name, "output", e, &e->response);
}

static bool read_completion(struct record *row, enum data_kind kind, const struct field_map *map,
                            struct example *e) {
    if (!read_prompt(row, map, e) || kind == DATA_PROMPT) return !row->bad.code;
    return read_answer(row, pick(row, map, response_names), "response", e, &e->response);
}

static bool no_list(struct record *row, const char *name) {
    size_t n;
    const char *text = name ? record_text(row, name, &n) : NULL;
    char what[64];
    snprintf(what, sizeof what, "'%.40s'", name ? name : "");
    if (text && !text_not_list(row, what, text, n)) return false;
    if (name) return row_bad(row, "'%s' is not a list of messages", name);
    return row_bad(row, "no list of messages");
}

// A prompt ends with what is to be answered.
static bool ends_here(enum data_kind kind, const struct turn *t) {
    if (kind == DATA_PROMPT) return t->role == ROLE_USER || t->role == ROLE_TOOL;
    return t->role == ROLE_ASSISTANT && t->trained;
}

// The last assistant's turn that is trained is the response; what follows it is of no use.
static bool read_messages(struct record *row, enum data_kind kind, const struct field_map *map,
                          struct example *e) {
    const char *name = pick(row, map, dialogue_names);
    const struct json *list = record_json(row, name ? name : "");
    size_t n, asked = 0;
    if (json_type(list) != JSON_ARRAY) return no_list(row, name);
    bool both = pick(row, map, prompt_names);
    if (both && !read_prompt(row, map, e)) return false;
    bool prompt_list = e->dialogue;
    asked = e->n;
    e->dialogue = true;
    if (!turns_add(row, list, e) || !prompt_agrees(row, e, asked, prompt_list)) return false;
    n = e->n;
    while (e->n && !ends_here(kind, &e->turns[e->n - 1])) e->n--;
    bool answered = false;
    for (size_t i = 0; i < n; i++) answered |= e->turns[i].role == ROLE_ASSISTANT;
    if (!e->n && kind != DATA_PROMPT && answered)
        return row_bad(row, "no assistant's message is to be trained (weight 0)");
    if (!e->n) return row_bad(row, "no %s's message", kind == DATA_PROMPT ? "user" : "assistant");
    if (kind != DATA_PROMPT) e->response = e->turns[--e->n];
    return true;
}

static bool read_length(struct record *row, size_t n, struct example *e) {
    const struct json *length = record_json(row, "prompt_length");
    if (!json_is_integer(length) || json_int(length) < 1 || (uint64_t)json_int(length) >= n)
        return row_bad(row, "'prompt_length' is not from 1 to %zu", n - 1);
    e->prompt_length = (size_t)json_int(length);
    return true;
}

// Rows of ids train what follows the prompt. A `mask` that says otherwise is not taken for that.
static bool mask_agrees(struct record *row, enum data_kind kind, size_t n, size_t prompt) {
    const struct json *mask = record_json(row, "mask");
    if (json_type(mask) != JSON_ARRAY || kind == DATA_PROMPT) return true;
    bool agrees = json_size(mask) == n;
    for (size_t i = 1; agrees && i < n; i++) {
        const struct json *v = json_at(mask, i);
        double on = json_type(v) == JSON_BOOL ? json_bool(v) : json_number(v);
        agrees = on == (i >= prompt);
    }
    return agrees ||
           row_bad(row, "its 'mask' is not that of %s; bring the texts, or leave the mask out",
                   kind == DATA_TEXT ? "all its tokens" : "the tokens after 'prompt_length'");
}

static bool read_ids(struct record *row, enum data_kind kind, const struct field_map *map,
                     struct example *e) {
    const struct json *v = record_json(row, mapped(map, "ids"));
    size_t n = json_size(v);
    if (json_type(v) != JSON_ARRAY || !n) return row_bad(row, "'ids' is not a list of token ids");
    grow(&e->ids.id, &e->ids.capacity, n, sizeof *e->ids.id);
    for (size_t i = 0; i < n; i++) {
        int64_t id = json_int(json_at(v, i));
        if (!json_is_integer(json_at(v, i)) || id < 0 || id > INT32_MAX)
            return row_bad(row, "'ids' holds something that is no token id");
        e->ids.id[e->ids.n++] = (int32_t)id;
    }
    e->prompt_length = kind == DATA_PROMPT ? n : 0;
    if (kind == DATA_SFT && !read_length(row, n, e)) return false;
    return mask_agrees(row, kind, n, e->prompt_length);
}

static bool read_v1(struct record *row, const struct field_map *map, struct example *e) {
    if (pick(row, map, prompt_names) && !read_prompt(row, map, e)) return false;
    return read_lists(row, record_json(row, mapped(map, "chosen_messages")),
                      record_json(row, mapped(map, "rejected_messages")), e);
}

static bool read_shape(struct record *row, enum shape shape, enum data_kind kind,
                       const struct field_map *map, struct example *e) {
    struct turn text = {.role = ROLE_USER};
    switch (shape) {
    case SHAPE_TEXT:
        if (!text_field(row, mapped(map, "text"), "text", &text)) return false;
        example_add(e, text);
        return true;
    case SHAPE_COMPLETION:
        return read_completion(row, kind, map, e);
    case SHAPE_ALPACA:
        return read_alpaca(row, kind, map, e);
    case SHAPE_MESSAGES:
        return read_messages(row, kind, map, e);
    case SHAPE_PREFERENCE:
        return read_preference(row, map, e);
    case SHAPE_V1:
        return read_v1(row, map, e);
    case SHAPE_HH:
        return read_dialogues(row, map, e);
    case SHAPE_IDS:
        return read_ids(row, kind, map, e);
    default:
        return row_bad(row, "its shape is not known");
    }
}

static bool empty(const struct turn *t) {
    return !t->n && !t->tool_calls && !t->reasoning.text;
}

static bool check_filled(struct record *row, enum data_kind kind, const struct example *e) {
    if (e->ids.n) return true;
    bool asked = false;
    for (size_t i = 0; i < e->n; i++) asked |= !empty(&e->turns[i]);
    if (!asked) return row_bad(row, kind == DATA_TEXT ? "empty text" : "empty prompt");
    for (size_t i = 0; i < e->n; i++)
        if (e->turns[i].role == ROLE_ASSISTANT && empty(&e->turns[i]))
            return row_bad(row, "empty assistant's message");
    if (kind == DATA_SFT && empty(&e->response)) return row_bad(row, "empty response");
    bool responds = kind == DATA_SFT || kind == DATA_PREF;
    if (responds && !(e->response.trained && (kind == DATA_SFT || e->rejected.trained)))
        return row_bad(row, "a response has weight 0: nothing to train on");
    if (kind == DATA_PREF && empty(&e->response)) return row_bad(row, "empty chosen response");
    if (kind == DATA_PREF && empty(&e->rejected)) return row_bad(row, "empty rejected response");
    return true;
}

bool shape_read(struct record *row, enum shape shape, enum data_kind kind,
                const struct field_map *map, struct example *out) {
    example_clear(out);
    return map_fits(row, map) && read_shape(row, shape, kind, map, out) &&
           columns_take(row, kind, map, out) && check_filled(row, kind, out);
}

// Columns beside the conversation that change what it means: system, history, tools, label, weight,
// images, scores.
#include "common/base/value.h"
#include "formats/records/shapes.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- a column as JSON or as a cell --------------------------------------------------------------

struct cell {
    const char *name, *field; // the column's; ours
    const struct json *json;  // NULL: a text
    const char *text;
    size_t n;
};

static const char *const label_names[] = {"label", "kto_tag", NULL};
static const char *const weight_names[][2] = {{"weight"}, {"loss_weight"}, {"train"}};
static const char *const media_names[][2] = {{"images"}, {"image"},  {"videos"},
                                             {"video"},  {"audios"}, {"audio"}};
static const char *const system_names[] = {"system", "system_prompt", "system_message", NULL};
static const char *const history_names[] = {"history", NULL};
static const char *const tools_names[] = {"tools", "functions", NULL};
static const char *const chosen_scores[] = {"score_chosen", "chosen_score", "chosen_rating",
                                            "chosen_avg_rating", NULL};
static const char *const rejected_scores[] = {"score_rejected", "rejected_score", "rejected_rating",
                                              "rejected_avg_rating", NULL};

static const char *const *const columns[] = {
    label_names,    weight_names[0], weight_names[1], weight_names[2], media_names[0],
    media_names[1], media_names[2],  media_names[3],  media_names[4],  media_names[5],
    system_names,   history_names,   tools_names,     chosen_scores,   rejected_scores};

const char *columns_field(const char *name) {
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        for (const char *const *a = columns[i]; *a; a++)
            if (!strcmp(name, *a)) return columns[i][0];
    return NULL;
}

// Whether the row has something in the first of the names that it has, or in the one that --map
// gives; an empty text, list or object is nothing.
static bool find_cell(const struct record *row, const struct field_map *map,
                      const char *const *names, struct cell *to) {
    const char *field = names[0], *own = mapped(map, field), *const only[] = {own, NULL};
    for (names = own == field ? names : only; *names; names++) {
        *to = (struct cell){.name = *names, .field = field};
        to->json = record_json(row, to->name);
        to->text = record_text(row, to->name, &to->n);
        enum json_type t = json_type(to->json);
        bool filled = t == JSON_ARRAY || t == JSON_OBJECT ? json_size(to->json) > 0
                      : to->text                          ? to->n > 0
                                                          : t != JSON_NULL;
        if (filled) return true;
    }
    return false;
}

// A list that the row holds, or that a text of it spells as JSON. NULL with row->bad set, or where
// the list is empty.
static const struct json *list_of(struct record *row, const struct cell *c, struct example *e) {
    struct fail f = {0};
    struct json *v = c->text ? json_parse(c->text, c->n, c->name, &f) : NULL;
    const struct json *list = v ? example_own_json(e, v) : c->text ? NULL : c->json;
    if (json_type(list) == JSON_ARRAY) return json_size(list) ? list : NULL;
    row_bad(row, "'%s' is not a list; pass --map %s=none to leave it out", c->name, c->field);
    return NULL;
}

static bool word_of(const struct json *v, const char *text, size_t n, char word[32]) {
    if (v && json_type(v) == JSON_STRING) text = json_text(v, &n);
    if (!text || n >= 32) return false;
    memcpy(word, text, n);
    word[n] = 0;
    return true;
}

// ---- label, weight ------------------------------------------------------------------------------

// What says yes or no, as data sets write it: 1 yes, 0 no, -1 neither.
static int verdict(const struct json *v, const char *text, size_t n) {
    static const struct {
        const char *word;
        int yes;
    } words[] = {{"true", 1},      {"false", 0},       {"1", 1},      {"0", 0},       {"1.0", 1},
                 {"0.0", 0},       {"yes", 1},         {"no", 0},     {"good", 1},    {"bad", 0},
                 {"desirable", 1}, {"undesirable", 0}, {"chosen", 1}, {"rejected", 0}};
    char word[32];
    if (json_type(v) == JSON_BOOL) return json_bool(v);
    if (json_type(v) == JSON_NUMBER) return json_number(v) == 0 ? 0 : json_number(v) == 1 ? 1 : -1;
    if (word_of(v, text, n, word))
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strcasecmp(word, words[i].word)) return words[i].yes;
    return -1;
}

bool weight_read(struct record *row, const char *name, const struct json *v, const char *text,
                 size_t n, bool *on) {
    int yes = verdict(v, text, n);
    *on = yes == 1;
    return yes >= 0 || row_bad(row,
                               "'%s' is neither zero nor one; tokens are trained in full or not at "
                               "all (pass --map %s=none to leave a column out)",
                               name, name);
}

// A label of 0 may be the class of a text or the better one of two: there words alone count.
static bool check_label(struct record *row, enum data_kind kind, const struct field_map *map,
                        struct example *e) {
    struct cell c;
    if (!find_cell(row, map, label_names, &c)) return true;
    bool digit = json_type(c.json) == JSON_NUMBER || (c.text && strchr("01", *c.text));
    int yes = digit && kind != DATA_SFT ? -1 : verdict(c.json, c.text, c.n);
    if (yes < 0) example_unused(e, "%s", c.name);
    return yes || row_bad(row, "its %s is false: a response that nobody should learn", c.name);
}

static bool check_weight(struct record *row, const struct field_map *map) {
    for (size_t i = 0; i < sizeof weight_names / sizeof *weight_names; i++) {
        struct cell c;
        bool on = true;
        if (!find_cell(row, map, weight_names[i], &c)) continue;
        if (!weight_read(row, c.name, c.json, c.text, c.n, &on)) return false;
        if (!on) return row_bad(row, "its %s is zero: nothing to train on", c.name);
    }
    return true;
}

static bool check_media(struct record *row, const struct field_map *map) {
    struct cell c;
    for (size_t i = 0; i < sizeof media_names / sizeof *media_names; i++)
        if (find_cell(row, map, media_names[i], &c))
            return row_bad(row,
                           "it has '%s'; only texts can be trained on (pass --map %s=none to "
                           "leave the column out)",
                           c.name, c.field);
    return true;
}

// ---- system, history, tools ---------------------------------------------------------------------

static bool add_system(struct record *row, const struct field_map *map, struct example *e) {
    struct cell c;
    if (!find_cell(row, map, system_names, &c)) return true;
    if (!c.text) return row_bad(row, "'%s' is not a text", c.name);
    struct turn t = {.role = ROLE_SYSTEM, .text = c.text, .n = c.n};
    if (!e->n || e->turns[0].role != ROLE_SYSTEM)
        example_insert(e, 0, t);
    else if (!turn_same(&e->turns[0], &t))
        return row_bad(row, "the column '%s' and the system message differ", c.name);
    return true;
}

static bool add_exchange(struct record *row, const struct json *pair, size_t *at,
                         struct example *e) {
    for (size_t k = 0; k < 2; k++) {
        struct turn t = {.role = k ? ROLE_ASSISTANT : ROLE_USER, .trained = k};
        t.text = json_text(json_at(pair, k), &t.n);
        if (!t.text || json_size(pair) != 2)
            return row_bad(row, "'history' is not a list of [prompt, response]");
        example_insert(e, (*at)++, t);
    }
    return true;
}

// Earlier turns: pairs of prompt and response (LLaMA-Factory), or messages.
static bool add_history(struct record *row, const struct field_map *map, struct example *e) {
    struct cell c;
    const struct json *list = find_cell(row, map, history_names, &c) ? list_of(row, &c, e) : NULL;
    size_t at = e->n && e->turns[0].role == ROLE_SYSTEM;
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *one = json_at(list, i);
        struct turn t;
        if (json_type(one) == JSON_ARRAY) {
            if (!add_exchange(row, one, &at, e)) return false;
        } else if (turn_read(row, one, e, &t)) {
            example_insert(e, at++, t);
        } else {
            return false;
        }
    }
    return !row->bad.code;
}

// With the function inside, as templates want it.
static bool put_tool(struct record *row, struct str *to, const struct json *tool) {
    bool bare = json_type(json_get(tool, "function")) != JSON_OBJECT;
    const struct json *f = bare ? tool : json_get(tool, "function");
    if (!json_text(json_get(f, "name"), NULL))
        return row_bad(row, "a tool has no name; give {\"type\": \"function\", \"function\": "
                            "{\"name\", \"description\", \"parameters\"}}");
    if (bare) str_puts(to, "{\"type\": \"function\", \"function\": ");
    json_write(to, tool, 0);
    if (bare) str_puts(to, "}");
    return true;
}

static bool add_tools(struct record *row, const struct field_map *map, struct example *e) {
    struct cell c;
    struct str s = {0};
    const struct json *list = find_cell(row, map, tools_names, &c) ? list_of(row, &c, e) : NULL;
    if (!list) return !row->bad.code;
    bool ok = true;
    str_puts(&s, "[");
    for (size_t i = 0; i < json_size(list) && ok; i++) {
        str_puts(&s, i ? ", " : "");
        ok = put_tool(row, &s, json_at(list, i));
    }
    str_puts(&s, "]");
    struct json *tools = ok ? json_parse(s.text, s.length, row->path, &row->bad) : NULL;
    if (tools) e->tools = example_own_json(e, tools);
    str_release(&s);
    return tools != NULL;
}

// What came in front of the prompt belongs to it, also where it is one text.
static void renew_plain(struct example *e, size_t added) {
    if (!added) return;
    e->instruction = e->input = (struct turn){0}; // the parts of a single turn no more
    if (!e->verbatim) return;
    struct str s = {0};
    for (size_t i = 0; i < added; i++) {
        if (i) str_puts(&s, "\n\n");
        str_add(&s, e->turns[i].text ? e->turns[i].text : "", e->turns[i].n);
    }
    str_add(&s, e->plain.text, e->plain.n);
    e->plain.n = s.length;
    e->plain.text = example_own(e, s.text);
}

// ---- scores -------------------------------------------------------------------------------------

static bool number_of(const struct cell *c, double *v) {
    char word[32];
    if (json_type(c->json) == JSON_NUMBER) *v = json_number(c->json);
    if (json_type(c->json) == JSON_NUMBER) return true;
    return word_of(NULL, c->text, c->n, word) && value_real(word, v) && isfinite(*v);
}

// The name of a column that holds a number, or NULL; what is no number is not used.
static const char *score(const struct record *row, const struct field_map *map,
                         const char *const *names, struct example *e, double *v) {
    struct cell c;
    if (find_cell(row, map, names, &c)) {
        if (number_of(&c, v)) return c.name;
        example_unused(e, "%s", c.name);
    }
    const struct json *within = json_get(json_get(row->json, "metadata"), names[0]);
    if (json_type(within) != JSON_NUMBER) return NULL;
    *v = json_number(within);
    record_json(row, "metadata"); // it is used
    return "metadata";
}

static void read_scores(const struct record *row, const struct field_map *map, struct example *e) {
    const char *one = score(row, map, chosen_scores, e, &e->score_chosen),
               *other = score(row, map, rejected_scores, e, &e->score_rejected);
    e->scored = one && other;
    if (!e->scored && (one || other)) example_unused(e, "%s", one ? one : other);
}

// -------------------------------------------------------------------------------------------------

bool columns_take(struct record *row, enum data_kind kind, const struct field_map *map,
                  struct example *e) {
    if (!check_media(row, map)) return false;
    if (kind != DATA_PROMPT && !(check_label(row, kind, map, e) && check_weight(row, map)))
        return false;
    if (kind == DATA_PREF) read_scores(row, map, e);
    if (kind == DATA_TEXT || e->ids.n) return true;
    size_t before = e->n;
    if (!add_system(row, map, e) || !add_history(row, map, e) || !add_tools(row, map, e))
        return false;
    renew_plain(e, e->n - before);
    return true;
}

#include "formats/models/tokenizer_steps.h"
#include <string.h>

static bool unsupported(struct tokenizer_source *p, const char *what, const char *type,
                        const char *known) {
    return fail_set(p->f, EXIT_BADDATA, "unsupported %s '%.60s' in '%s'; supported: %s", what, type,
                    p->name, known);
}

static bool malformed(struct tokenizer_source *p, const char *what, const char *key) {
    return fail_set(p->f, EXIT_BADDATA, "%s has no usable '%s' in '%s'; fix the file", what, key,
                    p->name);
}

bool tokenizer_flag(struct tokenizer_source *p, const struct json *v, const char *key,
                    bool otherwise, bool *to) {
    const struct json *x = json_get(v, key);
    *to = otherwise;
    if (json_type(x) == JSON_NULL) return true;
    if (json_type(x) != JSON_BOOL) return malformed(p, "a component", key);
    *to = json_bool(x);
    return true;
}

// Runs read() on a value, or on each member of the Sequence it is. A Sequence in a Sequence is
// flattened (the JSON reader bounds the depth).
static bool each(struct tokenizer_source *p, const struct json *v, const char *what,
                 const char *list,
                 bool (*read)(struct tokenizer_source *p, const struct json *v, const char *type)) {
    if (json_type(v) == JSON_NULL) return true;
    const char *type = json_text(json_get(v, "type"), NULL);
    if (!type) return malformed(p, what, "type");
    if (strcmp(type, "Sequence")) return read(p, v, type);
    const struct json *items = json_get(v, list);
    if (json_type(items) != JSON_ARRAY) return malformed(p, what, list);
    for (size_t i = 0; i < json_size(items); i++)
        if (!each(p, json_at(items, i), what, list, read)) return false;
    return true;
}

// {"String": ...} or {"Regex": ...}; a plain string counts as the former.
static struct regex *read_pattern(struct tokenizer_source *p, const struct json *v,
                                  const char *what) {
    size_t n;
    const char *text = json_text(json_get(v, "Regex"), &n);
    char why[200] = "";
    if (text) {
        struct regex *r = regex_new(text, n, why, sizeof why);
        if (!r)
            fail_set(p->f, EXIT_BADDATA, "pattern is not understood (%s) in '%s': '%.200s'", why,
                     p->name, text);
        return r;
    }
    const struct json *literal = json_get(v, "String");
    text = json_text(literal ? literal : v, &n);
    if (!text || !n) {
        malformed(p, what, "pattern");
        return NULL;
    }
    return regex_literal(text, n);
}

static bool read_text(struct tokenizer_source *p, const struct json *v, const char *what,
                      const char *key, bool may_be_empty, struct str *to) {
    size_t n;
    const char *text = json_text(json_get(v, key), &n);
    if (!text || (!n && !may_be_empty)) return malformed(p, what, key);
    str_add(to, text, n);
    return true;
}

static bool one_normalizer(struct tokenizer_source *p, const struct json *v, const char *type) {
    static const char *const form[] = {"NFC", "NFD", "NFKC", "NFKD"};
    struct text_steps *steps = &p->t->normal;
    for (int i = 0; i < 4; i++) {
        if (strcmp(type, form[i])) continue;
        text_steps_add(steps, TEXT_FORM)->form = (enum unicode_form)i;
        return true;
    }
    if (!strcmp(type, "Lowercase")) {
        text_steps_add(steps, TEXT_LOWER);
        return true;
    }
    if (!strcmp(type, "Prepend")) {
        struct text_step *step = text_steps_add(steps, TEXT_PREFIX);
        return read_text(p, v, type, "prepend", true, &step->content);
    }
    if (!strcmp(type, "Replace")) {
        struct text_step *step = text_steps_add(steps, TEXT_REPLACE);
        step->regex = read_pattern(p, json_get(v, "pattern"), type);
        return step->regex && read_text(p, v, type, "content", true, &step->content);
    }
    if (!strcmp(type, "Strip")) {
        struct text_step *step = text_steps_add(steps, TEXT_STRIP);
        return tokenizer_flag(p, v, "strip_left", true, &step->left) &&
               tokenizer_flag(p, v, "strip_right", true, &step->right);
    }
    return unsupported(p, "normalizer", type,
                       "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip");
}

bool tokenizer_read_normalizer(struct tokenizer_source *p, const struct json *v) {
    return each(p, v, "normalizer", "normalizers", one_normalizer);
}

static struct text_step *add_split(struct tokenizer_source *p, const char *pattern,
                                   enum text_behaviour behaviour) {
    char why[200];
    struct text_step *step = text_steps_add(&p->t->split, TEXT_SPLIT);
    step->regex = regex_new(pattern, strlen(pattern), why, sizeof why);
    step->behaviour = behaviour;
    return step;
}

static bool read_split(struct tokenizer_source *p, const struct json *v) {
    static const char *const names[] = {
        [SPLIT_ISOLATED] = "Isolated",           [SPLIT_REMOVED] = "Removed",
        [SPLIT_PREVIOUS] = "MergedWithPrevious", [SPLIT_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    struct text_step *step = text_steps_add(&p->t->split, TEXT_SPLIT);
    step->regex = read_pattern(p, json_get(v, "pattern"), "Split");
    if (!step->regex || !tokenizer_flag(p, v, "invert", false, &step->invert)) return false;
    const char *behaviour = json_text(json_get(v, "behavior"), NULL);
    if (!behaviour) return malformed(p, "Split", "behavior");
    for (int i = 0; i <= SPLIT_CONTIGUOUS; i++) {
        step->behaviour = (enum text_behaviour)i;
        if (!strcmp(behaviour, names[i])) return true;
    }
    return unsupported(p, "Split behavior", behaviour,
                       "Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

static bool read_byte_level(struct tokenizer_source *p, const struct json *v) {
    bool prefix, words;
    if (!tokenizer_flag(p, v, "add_prefix_space", true, &prefix) ||
        !tokenizer_flag(p, v, "use_regex", true, &words))
        return false;
    if (prefix) {
        struct text_step *step = text_steps_add(&p->t->split, TEXT_PREFIX);
        step->unless_there = true;
        str_puts(&step->content, " ");
    }
    if (words) text_steps_add_gpt2(&p->t->split);
    p->t->model.byte_level = true;
    return true;
}

// When Metaspace puts its mark in front: "always", "first" or "never"; older files say true or
// false.
static bool read_scheme(struct tokenizer_source *p, const struct json *v, const char **scheme) {
    bool prefix;
    if (!tokenizer_flag(p, v, "add_prefix_space", true, &prefix)) return false;
    *scheme = prefix ? "always" : "never";
    const struct json *x = json_get(v, "prepend_scheme");
    if (json_type(x) == JSON_NULL) return true;
    *scheme = json_text(x, NULL);
    if (!*scheme) return malformed(p, "Metaspace", "prepend_scheme");
    if (strcmp(*scheme, "always") && strcmp(*scheme, "first") && strcmp(*scheme, "never"))
        return unsupported(p, "prepend_scheme", *scheme, "always, first, never");
    return true;
}

static bool read_metaspace(struct tokenizer_source *p, const struct json *v) {
    struct text_step *step = text_steps_add(&p->t->split, TEXT_REPLACE);
    step->regex = regex_literal(" ", 1);
    if (!read_text(p, v, "Metaspace", "replacement", false, &step->content)) return false;
    size_t n;
    const char *mark = json_text(json_get(v, "replacement"), &n), *scheme;
    bool split;
    if (!read_scheme(p, v, &scheme) || !tokenizer_flag(p, v, "split", true, &split)) return false;
    if (strcmp(scheme, "never")) {
        step = text_steps_add(&p->t->split, TEXT_PREFIX);
        step->unless_there = true;
        step->first_only = !strcmp(scheme, "first");
        str_add(&step->content, mark, n);
    }
    if (split) {
        step = text_steps_add(&p->t->split, TEXT_SPLIT);
        step->regex = regex_literal(mark, n);
        step->behaviour = SPLIT_NEXT;
    }
    return true;
}

static bool one_pre_tokenizer(struct tokenizer_source *p, const struct json *v, const char *type) {
    if (p->t->model.byte_level)
        return fail_set(
            p->f, EXIT_BADDATA,
            "pre_tokenizer follows ByteLevel in '%s': '%.60s'; ByteLevel must come last", p->name,
            type);
    if (!strcmp(type, "Split")) return read_split(p, v);
    if (!strcmp(type, "ByteLevel")) return read_byte_level(p, v);
    if (!strcmp(type, "Metaspace")) return read_metaspace(p, v);
    if (!strcmp(type, "Digits")) {
        bool single;
        if (!tokenizer_flag(p, v, "individual_digits", false, &single)) return false;
        add_split(p, single ? "\\p{N}" : "\\p{N}+", SPLIT_ISOLATED);
        return true;
    }
    return unsupported(p, "pre_tokenizer", type, "Sequence, Split, ByteLevel, Metaspace, Digits");
}

bool tokenizer_read_pre_tokenizer(struct tokenizer_source *p, const struct json *v) {
    return each(p, v, "pre_tokenizer", "pretokenizers", one_pre_tokenizer);
}

static bool read_count(struct tokenizer_source *p, const struct json *v, const char *key,
                       size_t *to) {
    const struct json *x = json_get(v, key);
    if (!json_is_integer(x) || json_int(x) < 0 || json_int(x) > 1000000)
        return malformed(p, "decoder Strip", key);
    *to = (size_t)json_int(x);
    return true;
}

static bool one_decoder(struct tokenizer_source *p, const struct json *v, const char *type) {
    static const struct {
        const char *name;
        enum decode_kind kind;
    } kinds[] = {
        {"ByteLevel", DECODE_BYTE_LEVEL},
        {"Replace", DECODE_REPLACE},
        {"Fuse", DECODE_FUSE},
        {"ByteFallback", DECODE_BYTE_FALLBACK},
        {"Strip", DECODE_STRIP},
        {"Metaspace", DECODE_METASPACE},
    };
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && strcmp(type, kinds[k].name)) k++;
    if (k == sizeof kinds / sizeof *kinds)
        return unsupported(p, "decoder", type,
                           "Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace");
    struct decode_step *step = tokenizer_add_decoder(p->t, kinds[k].kind);
    const char *scheme;
    switch (step->kind) {
    case DECODE_REPLACE:
        step->regex = read_pattern(p, json_get(v, "pattern"), type);
        return step->regex && read_text(p, v, type, "content", true, &step->content);
    case DECODE_STRIP:
        return read_text(p, v, type, "content", false, &step->content) &&
               read_count(p, v, "start", &step->start) && read_count(p, v, "stop", &step->stop);
    case DECODE_METASPACE:
        if (!read_scheme(p, v, &scheme)) return false;
        step->drop = strcmp(scheme, "never") != 0;
        return read_text(p, v, type, "replacement", false, &step->content);
    default:
        return true;
    }
}

bool tokenizer_read_decoder(struct tokenizer_source *p, const struct json *v) {
    p->t->joined_by_spaces = json_type(v) == JSON_NULL;
    return each(p, v, "decoder", "decoders", one_decoder);
}

static bool add_ids(struct tokenizer_source *p, const struct json *ids, struct ids *to) {
    if (json_type(ids) != JSON_ARRAY) return malformed(p, "TemplateProcessing", "special_tokens");
    for (size_t i = 0; i < json_size(ids); i++) {
        const struct json *id = json_at(ids, i);
        if (!json_is_integer(id) || json_int(id) < 0 || json_int(id) >= VOCAB_LIMIT)
            return malformed(p, "TemplateProcessing", "special_tokens");
        ids_add(to, (int32_t)json_int(id));
    }
    return true;
}

// The template of a single text: special tokens around one Sequence. What earlier processors put
// there stays inside.
static bool read_template(struct tokenizer_source *p, const struct json *v) {
    const struct json *single = json_get(v, "single"), *known = json_get(v, "special_tokens");
    struct ids before = {0}, after = {0};
    size_t texts = 0;
    bool good = json_type(single) == JSON_ARRAY || malformed(p, "TemplateProcessing", "single");
    for (size_t i = 0; good && i < json_size(single); i++) {
        const struct json *part = json_at(single, i), *token = json_get(part, "SpecialToken");
        const char *id = json_text(json_get(token, "id"), NULL);
        if (id)
            good = add_ids(p, json_get(json_get(known, id), "ids"), texts ? &after : &before);
        else if (json_type(json_get(part, "Sequence")) == JSON_OBJECT)
            texts++;
        else
            good = malformed(p, "TemplateProcessing", "single");
    }
    if (good && texts != 1) good = malformed(p, "TemplateProcessing", "single");
    struct ids *inner = &p->t->before;
    for (size_t i = 0; i < inner->n; i++) ids_add(&before, inner->id[i]);
    for (size_t i = 0; i < after.n; i++) ids_add(&p->t->after, after.id[i]);
    ids_release(inner);
    ids_release(&after);
    *inner = before;
    return good;
}

static bool one_processor(struct tokenizer_source *p, const struct json *v, const char *type) {
    if (!strcmp(type, "ByteLevel")) return true; // moves offsets only
    if (!strcmp(type, "TemplateProcessing")) return read_template(p, v);
    return unsupported(p, "post_processor", type, "Sequence, ByteLevel, TemplateProcessing");
}

bool tokenizer_read_post_processor(struct tokenizer_source *p, const struct json *v) {
    return each(p, v, "post_processor", "processors", one_processor);
}

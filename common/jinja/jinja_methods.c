// Methods of strings, dicts and lists. What would change a value is refused, as transformers'
// sandbox does.
#include "common/base/unicode.h"
#include "common/jinja/jinja_run.h"
#include <ctype.h>
#include <string.h>

static struct jvalue text(struct jrun *r, struct jtext t) {
    return jinja_text(r->pool, t);
}

static struct jvalue strip(struct jrun *r, struct jvalue in, const struct jbound *a, bool left,
                           bool right) {
    bool set = a->given[0] && a->v[0].type != J_NONE;
    struct jtext chars = jinja_arg_text(r, a, 0, "");
    return text(r, jtext_strip(*in.u.string, set ? &chars : NULL, left, right));
}

static struct jvalue m_strip(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return strip(r, in, a, true, true);
}

static struct jvalue m_lstrip(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return strip(r, in, a, true, false);
}

static struct jvalue m_rstrip(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return strip(r, in, a, false, true);
}

static struct jvalue split(struct jrun *r, struct jvalue in, const struct jbound *a, bool right) {
    bool by = a->given[0] && a->v[0].type != J_NONE;
    struct jtext sep = jinja_arg_text(r, a, 0, "");
    return jtext_split(r, *in.u.string, by ? &sep : NULL, jinja_arg_int(r, a, 1, -1), right);
}

static struct jvalue m_split(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return split(r, in, a, false);
}

static struct jvalue m_rsplit(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return split(r, in, a, true);
}

static struct jvalue m_splitlines(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return jtext_lines(r, *in.u.string, jinja_arg_bool(a, 0, false));
}

// ---- searching ----------------------------------------------------------------------------------

static bool ends(struct jtext t, struct jtext with, bool at_end) {
    return t.n >= with.n && !memcmp(t.text + (at_end ? t.n - with.n : 0), with.text, with.n);
}

// Whether it begins or ends with a string or one of a tuple of them.
static struct jvalue affix(struct jrun *r, struct jvalue in, const struct jbound *a, bool at_end) {
    if (!a->given[0]) jinja_fail(r, "a string to look for is missing");
    if (a->v[0].type != J_TUPLE)
        return jinja_bool(ends(*in.u.string, jinja_arg_text(r, a, 0, ""), at_end));
    const struct jlist *l = a->v[0].u.list;
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].type == J_STRING && ends(*in.u.string, *l->items[i].u.string, at_end))
            return jinja_bool(true);
    return jinja_bool(false);
}

static struct jvalue m_startswith(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return affix(r, in, a, false);
}

static struct jvalue m_endswith(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return affix(r, in, a, true);
}

static struct jvalue m_removeprefix(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = *in.u.string, with = jinja_arg_text(r, a, 0, "");
    return text(r, ends(t, with, false) ? jtext_part(t, with.n, t.n) : t);
}

static struct jvalue m_removesuffix(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = *in.u.string, with = jinja_arg_text(r, a, 0, "");
    return text(r, ends(t, with, true) ? jtext_part(t, 0, t.n - with.n) : t);
}

static size_t find_last(struct jtext t, struct jtext what) {
    size_t found = SIZE_MAX;
    for (size_t at = 0; (at = jtext_find(t, what, at)) != SIZE_MAX; at++) found = at;
    return found;
}

// The character where the argument stands between two bounds; -1: nowhere.
static int64_t search(struct jrun *r, struct jvalue in, const struct jbound *a, bool last) {
    struct jvalue none = jinja_none();
    struct jvalue part =
        jinja_slice(r, in, a->given[1] ? a->v[1] : none, a->given[2] ? a->v[2] : none, none);
    struct jtext t = *part.u.string, what = jinja_arg_text(r, a, 0, "");
    jinja_step(r, t.n / 16);
    size_t at = last ? find_last(t, what) : jtext_find(t, what, 0);
    if (at == SIZE_MAX) return -1;
    size_t before = (size_t)(t.text - in.u.string->text) + at;
    return (int64_t)jtext_length(jtext_part(*in.u.string, 0, before));
}

static struct jvalue m_find(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return jinja_int(search(r, in, a, false));
}

static struct jvalue m_rfind(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return jinja_int(search(r, in, a, true));
}

static struct jvalue m_index(struct jrun *r, struct jvalue in, const struct jbound *a) {
    int64_t at = search(r, in, a, false);
    if (at < 0) jinja_fail(r, "the string is not in it");
    return jinja_int(at);
}

static struct jvalue m_count(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = *in.u.string, what = jinja_arg_text(r, a, 0, "");
    int64_t n = 0;
    jinja_step(r, t.n / 16);
    if (!what.n) return jinja_int((int64_t)jtext_length(t) + 1);
    for (size_t at = 0; (at = jtext_find(t, what, at)) != SIZE_MAX; at += what.n) n++;
    return jinja_int(n);
}

static struct jvalue partition(struct jrun *r, struct jvalue in, const struct jbound *a,
                               bool last) {
    struct jtext t = *in.u.string, by = jinja_arg_text(r, a, 0, "");
    struct jvalue parts = jinja_list(r->pool, J_TUPLE);
    size_t at = last ? find_last(t, by) : jtext_find(t, by, 0);
    if (!by.n) jinja_fail(r, "partition by an empty string");
    bool none = at == SIZE_MAX;
    if (none) at = last ? 0 : t.n;
    jinja_append(r->pool, parts, text(r, jtext_part(t, 0, at)));
    jinja_append(r->pool, parts, text(r, jtext_part(t, at, none ? at : at + by.n)));
    jinja_append(r->pool, parts, text(r, jtext_part(t, none ? at : at + by.n, t.n)));
    return parts;
}

static struct jvalue m_partition(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return partition(r, in, a, false);
}

static struct jvalue m_rpartition(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return partition(r, in, a, true);
}

// ---- other text ---------------------------------------------------------------------------------

#define CASE_METHOD(name, how)                                                                     \
    static struct jvalue name(struct jrun *r, struct jvalue in, const struct jbound *a) {          \
        (void)a;                                                                                   \
        return text(r, jtext_case(r, *in.u.string, how));                                          \
    }
CASE_METHOD(m_lower, JCASE_LOWER)
CASE_METHOD(m_upper, JCASE_UPPER)
CASE_METHOD(m_title, JCASE_TITLE)
CASE_METHOD(m_capitalize, JCASE_CAPITAL)
CASE_METHOD(m_swapcase, JCASE_SWAP)

static struct jvalue m_replace(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return text(r, jtext_replace(r, *in.u.string, jinja_arg_text(r, a, 0, ""),
                                 jinja_arg_text(r, a, 1, ""), jinja_arg_int(r, a, 2, -1)));
}

static struct jvalue m_join(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, a->v[0]);
    for (size_t i = 0; i < all.n; i++)
        if (all.items[i].type != J_STRING)
            jinja_fail(r, "join takes strings, not %s", jinja_type_name(all.items[i]));
    return text(r, jtext_join(r, *in.u.string, a->v[0]));
}

static struct jvalue pad(struct jrun *r, struct jvalue in, const struct jbound *a, int left_share) {
    struct jtext with = jinja_arg_text(r, a, 1, " ");
    if (with.n != 1) jinja_fail(r, "the fill character must be one ASCII character");
    return text(r, jtext_pad(r, *in.u.string, jinja_arg_int(r, a, 0, 0), *with.text, left_share));
}

static struct jvalue m_ljust(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return pad(r, in, a, 0);
}

static struct jvalue m_rjust(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return pad(r, in, a, 2);
}

static struct jvalue m_center(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return pad(r, in, a, 1);
}

static struct jvalue m_zfill(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = *in.u.string;
    bool sign = t.n && (*t.text == '-' || *t.text == '+');
    struct jbuild b = {.pool = r->pool};
    if (sign) jbuild_text(&b, jtext_part(t, 0, 1));
    jbuild_text(&b,
                jtext_pad(r, jtext_part(t, sign, t.n), jinja_arg_int(r, a, 0, 0) - sign, '0', 2));
    return text(r, jbuild_take(&b));
}

// "{} {0} {name}": no format specifications.
static struct jvalue m_format(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = *in.u.string;
    struct jbuild b = {.pool = r->pool};
    size_t next = 0;
    for (size_t at = 0; at < t.n;) {
        char c = t.text[at];
        if (c != '{' && c != '}') {
            jbuild_text(&b, jtext_part(t, at, at + 1));
            at++;
            continue;
        }
        if (at + 1 < t.n && t.text[at + 1] == c) {
            jbuild_text(&b, jtext_part(t, at, at + 1));
            at += 2;
            continue;
        }
        const char *close = memchr(t.text + at, '}', t.n - at);
        if (c == '}' || !close) jinja_fail(r, "a brace stands alone in a format");
        struct jtext name = jtext_part(t, at + 1, (size_t)(close - t.text));
        size_t i = name.n ? SIZE_MAX : next++;
        if (name.n && isdigit((unsigned char)*name.text) && name.n < 3)
            i = (size_t)(*name.text - '0');
        for (size_t k = 0; i == SIZE_MAX && k < a->raw->n; k++) {
            const struct jtext *known = a->raw->names ? a->raw->names[k] : NULL;
            if (known && known->n == name.n && !memcmp(known->text, name.text, name.n)) i = k;
        }
        if (i >= a->raw->n)
            jinja_fail(r, "unknown field '{%.*s}' in a format", (int)(name.n < 40 ? name.n : 40),
                       name.text);
        jinja_write(&b, a->raw->v[i]);
        at = (size_t)(close - t.text) + 1;
    }
    return text(r, jbuild_take(&b));
}

// ---- what the characters are --------------------------------------------------------------------

static bool all_are(struct jtext t, int (*is)(int)) {
    for (size_t i = 0; i < t.n; i++)
        if (!is((unsigned char)t.text[i]) && (unsigned char)t.text[i] < 0x80) return false;
    return t.n != 0;
}

static int is_word(int c) {
    return isalnum(c);
}

#define IS_METHOD(name, is)                                                                        \
    static struct jvalue name(struct jrun *r, struct jvalue in, const struct jbound *a) {          \
        (void)r, (void)a;                                                                          \
        return jinja_bool(all_are(*in.u.string, is));                                              \
    }
IS_METHOD(m_isdigit, isdigit)
IS_METHOD(m_isalpha, isalpha)
IS_METHOD(m_isalnum, is_word)
IS_METHOD(m_isspace, isspace)

static struct jvalue is_case(struct jrun *r, struct jvalue in, enum jcase how, enum jcase other) {
    struct jtext t = *in.u.string, same = jtext_case(r, t, how), not = jtext_case(r, t, other);
    bool equal = same.n == t.n && !memcmp(same.text, t.text, t.n);
    return jinja_bool(equal && (not .n != t.n || memcmp(not .text, t.text, t.n)));
}

static struct jvalue m_isupper(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return is_case(r, in, JCASE_UPPER, JCASE_LOWER);
}

static struct jvalue m_islower(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return is_case(r, in, JCASE_LOWER, JCASE_UPPER);
}

const struct jfunction jinja_text_methods[] = {
    {"strip", "chars", m_strip},
    {"lstrip", "chars", m_lstrip},
    {"rstrip", "chars", m_rstrip},
    {"split", "sep,maxsplit", m_split},
    {"rsplit", "sep,maxsplit", m_rsplit},
    {"splitlines", "keepends", m_splitlines},
    {"startswith", "prefix", m_startswith},
    {"endswith", "suffix", m_endswith},
    {"removeprefix", "prefix", m_removeprefix},
    {"removesuffix", "suffix", m_removesuffix},
    {"find", "sub,start,end", m_find},
    {"rfind", "sub,start,end", m_rfind},
    {"index", "sub,start,end", m_index},
    {"count", "sub", m_count},
    {"partition", "sep", m_partition},
    {"rpartition", "sep", m_rpartition},
    {"lower", "", m_lower},
    {"upper", "", m_upper},
    {"title", "", m_title},
    {"capitalize", "", m_capitalize},
    {"swapcase", "", m_swapcase},
    {"replace", "old,new,count", m_replace},
    {"join", "iterable", m_join},
    {"ljust", "width,fillchar", m_ljust},
    {"rjust", "width,fillchar", m_rjust},
    {"center", "width,fillchar", m_center},
    {"zfill", "width", m_zfill},
    {"format", "*", m_format},
    {"isdigit", "", m_isdigit},
    {"isnumeric", "", m_isdigit},
    {"isdecimal", "", m_isdigit},
    {"isalpha", "", m_isalpha},
    {"isalnum", "", m_isalnum},
    {"isspace", "", m_isspace},
    {"isupper", "", m_isupper},
    {"islower", "", m_islower},
};
const size_t jinja_text_methods_n = sizeof jinja_text_methods / sizeof *jinja_text_methods;

// ---- dicts, lists, loops ------------------------------------------------------------------------

static struct jvalue pair(struct jrun *r, struct jvalue a, struct jvalue b) {
    struct jvalue t = jinja_list(r->pool, J_TUPLE);
    jinja_append(r->pool, t, a);
    jinja_append(r->pool, t, b);
    return t;
}

static struct jvalue m_items(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jvalue list = jinja_list(r->pool, J_LIST);
    const struct jdict *d = in.u.dict;
    (void)a;
    jinja_step(r, d->n);
    for (size_t i = 0; i < d->n; i++)
        jinja_append(r->pool, list, pair(r, d->keys[i], d->values[i]));
    return list;
}

static struct jvalue list_of(struct jrun *r, const struct jvalue *v, size_t n) {
    struct jvalue list = jinja_list(r->pool, J_LIST);
    jinja_step(r, n);
    for (size_t i = 0; i < n; i++) jinja_append(r->pool, list, v[i]);
    return list;
}

static struct jvalue m_keys(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return list_of(r, in.u.dict->keys, in.u.dict->n);
}

static struct jvalue m_values(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return list_of(r, in.u.dict->values, in.u.dict->n);
}

static struct jvalue m_get(struct jrun *r, struct jvalue in, const struct jbound *a) {
    if (!a->given[0]) jinja_fail(r, "'get' needs a key");
    const struct jvalue *v = jinja_get(in.u.dict, a->v[0]);
    return v ? *v : a->given[1] ? a->v[1] : jinja_none();
}

static struct jvalue m_list_index(struct jrun *r, struct jvalue in, const struct jbound *a) {
    for (size_t i = 0; i < in.u.list->n; i++)
        if (jinja_equal(in.u.list->items[i], a->v[0])) return jinja_int((int64_t)i);
    jinja_fail(r, "the value is not in the list");
}

static struct jvalue m_list_count(struct jrun *r, struct jvalue in, const struct jbound *a) {
    int64_t n = 0;
    (void)r;
    for (size_t i = 0; i < in.u.list->n; i++) n += jinja_equal(in.u.list->items[i], a->v[0]);
    return jinja_int(n);
}

static struct jvalue m_list_copy(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return list_of(r, in.u.list->items, in.u.list->n);
}

static struct jvalue m_changes(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)in, (void)a;
    jinja_fail(r, "this method changes a value, which a template may not; use a namespace");
}

static struct jvalue m_cycle(struct jrun *r, struct jvalue in, const struct jbound *a) {
    if (!a->raw->n) jinja_fail(r, "'cycle' needs values");
    return a->raw->v[in.u.loop->i % a->raw->n];
}

static struct jvalue m_changed(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jvalue now = list_of(r, a->raw->v, a->raw->n);
    bool same = jinja_equal(in.u.loop->changed, now);
    in.u.loop->changed = now;
    return jinja_bool(!same);
}

static const struct jfunction dict_methods[] = {
    {"items", "", m_items},         {"keys", "", m_keys},        {"values", "", m_values},
    {"get", "key,default", m_get},  {"pop", "*", m_changes},     {"update", "*", m_changes},
    {"setdefault", "*", m_changes}, {"popitem", "*", m_changes}, {"clear", "*", m_changes},
};
static const struct jfunction list_methods[] = {
    {"index", "value", m_list_index}, {"count", "value", m_list_count}, {"copy", "", m_list_copy},
    {"append", "*", m_changes},       {"insert", "*", m_changes},       {"pop", "*", m_changes},
    {"extend", "*", m_changes},       {"remove", "*", m_changes},       {"reverse", "*", m_changes},
    {"sort", "*", m_changes},         {"clear", "*", m_changes},
};
static const struct jfunction loop_methods[] = {{"cycle", "*", m_cycle},
                                                {"changed", "*", m_changed}};

#define FIND(table) jinja_entry(table, sizeof table / sizeof *table, name, n)

const struct jfunction *jinja_entry(const struct jfunction *table, size_t count, const char *name,
                                    size_t n) {
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == n && !memcmp(table[i].name, name, n)) return &table[i];
    return NULL;
}

const struct jfunction *jinja_method_find(struct jvalue of, const char *name, size_t n) {
    switch (of.type) {
    case J_STRING:
        return jinja_entry(jinja_text_methods, jinja_text_methods_n, name, n);
    case J_DICT:
        return FIND(dict_methods);
    case J_LIST:
    case J_TUPLE:
        return FIND(list_methods);
    case J_LOOP:
        return FIND(loop_methods);
    default:
        return NULL;
    }
}

// ---- arguments ----------------------------------------------------------------------------------

struct jtext jinja_arg_text(struct jrun *r, const struct jbound *a, size_t i, const char *without) {
    if (!a->given[i] || a->v[i].type == J_NONE)
        return (struct jtext){without, NULL, strlen(without)};
    if (a->v[i].type != J_STRING)
        jinja_fail(r, "argument %zu is %s, not a string", i + 1, jinja_type_name(a->v[i]));
    return *a->v[i].u.string;
}

int64_t jinja_arg_int(struct jrun *r, const struct jbound *a, size_t i, int64_t without) {
    if (!a->given[i] || a->v[i].type == J_NONE) return without;
    if (a->v[i].type != J_INT && a->v[i].type != J_BOOL)
        jinja_fail(r, "argument %zu is %s, not an integer", i + 1, jinja_type_name(a->v[i]));
    return jinja_integer(a->v[i]);
}

bool jinja_arg_bool(const struct jbound *a, size_t i, bool without) {
    return a->given[i] ? jinja_truth(a->v[i]) : without;
}

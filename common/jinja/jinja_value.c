#include "common/jinja/jinja_value.h"
#include "common/base/unicode.h"
#include <string.h>

struct jvalue jinja_none(void) {
    return (struct jvalue){.type = J_NONE};
}

struct jvalue jinja_bool(bool b) {
    return (struct jvalue){.type = J_BOOL, .u.truth = b};
}

struct jvalue jinja_int(int64_t i) {
    return (struct jvalue){.type = J_INT, .u.integer = i};
}

struct jvalue jinja_float(double d) {
    return (struct jvalue){.type = J_FLOAT, .u.real = d};
}

struct jvalue jinja_text(struct jpool *p, struct jtext t) {
    struct jtext *copy = jpool_take(p, sizeof *copy);
    *copy = t;
    return (struct jvalue){.type = J_STRING, .u.string = copy};
}

struct jvalue jinja_undefined(struct jpool *p, const char *name, size_t n) {
    struct jvalue v = jinja_text(p, (struct jtext){name, NULL, n});
    v.type = J_UNDEFINED;
    return v;
}

struct jvalue jinja_string(struct jpool *p, const char *text) {
    return jinja_text(p, (struct jtext){text, NULL, strlen(text)});
}

struct jvalue jinja_marked(struct jpool *p, const char *text, size_t n, uint16_t mark) {
    uint16_t *marks = mark ? jpool_take(p, n * sizeof *marks) : NULL;
    for (size_t i = 0; marks && i < n; i++) marks[i] = mark;
    return jinja_text(p, (struct jtext){jpool_copy(p, text, n), marks, n});
}

// ---- lists and dicts ----------------------------------------------------------------------------

static void *bigger(struct jpool *p, void *old, size_t n, size_t *capacity, size_t size) {
    size_t more = *capacity ? 2 * *capacity : 4;
    void *new = jpool_take(p, more * size);
    if (n) memcpy(new, old, n * size);
    *capacity = more;
    return new;
}

struct jvalue jinja_list(struct jpool *p, enum jtype type) {
    return (struct jvalue){.type = type, .u.list = jpool_take(p, sizeof(struct jlist))};
}

void jinja_append(struct jpool *p, struct jvalue list, struct jvalue item) {
    struct jlist *l = list.u.list;
    if (l->n == l->capacity) l->items = bigger(p, l->items, l->n, &l->capacity, sizeof *l->items);
    l->items[l->n++] = item;
}

struct jvalue jinja_dict(struct jpool *p) {
    return (struct jvalue){.type = J_DICT, .u.dict = jpool_take(p, sizeof(struct jdict))};
}

void jinja_set(struct jpool *p, struct jvalue dict, struct jvalue key, struct jvalue value) {
    struct jdict *d = dict.u.dict;
    struct jvalue *there = (struct jvalue *)jinja_get(d, key);
    if (there) {
        *there = value;
        return;
    }
    if (d->n == d->capacity) {
        size_t capacity = d->capacity;
        d->keys = bigger(p, d->keys, d->n, &capacity, sizeof *d->keys);
        d->values = bigger(p, d->values, d->n, &d->capacity, sizeof *d->values);
    }
    d->keys[d->n] = key;
    d->values[d->n++] = value;
}

void jinja_put(struct jpool *p, struct jvalue dict, const char *key, struct jvalue value) {
    jinja_set(p, dict, jinja_string(p, key), value);
}

const struct jvalue *jinja_get(const struct jdict *d, struct jvalue key) {
    for (size_t i = 0; i < d->n; i++)
        if (jinja_equal(d->keys[i], key)) return &d->values[i];
    return NULL;
}

const struct jvalue *jinja_get_text(const struct jdict *d, const char *key, size_t n) {
    struct jtext t = {key, NULL, n};
    return jinja_get(d, (struct jvalue){.type = J_STRING, .u.string = &t});
}

// ---- what a value is ----------------------------------------------------------------------------

bool jinja_is_list(struct jvalue v) {
    return v.type == J_LIST || v.type == J_TUPLE;
}

bool jinja_is_number(struct jvalue v) {
    return v.type == J_BOOL || v.type == J_INT || v.type == J_FLOAT;
}

int64_t jinja_integer(struct jvalue v) {
    return v.type == J_BOOL ? v.u.truth : v.u.integer;
}

double jinja_number(struct jvalue v) {
    return v.type == J_FLOAT ? v.u.real : (double)jinja_integer(v);
}

bool jinja_truth(struct jvalue v) {
    switch (v.type) {
    case J_UNDEFINED:
    case J_NONE:
        return false;
    case J_BOOL:
        return v.u.truth;
    case J_INT:
        return v.u.integer != 0;
    case J_FLOAT:
        return v.u.real != 0;
    case J_STRING:
        return v.u.string->n != 0;
    case J_LIST:
    case J_TUPLE:
        return v.u.list->n != 0;
    case J_DICT:
        return v.u.dict->n != 0;
    default:
        return true;
    }
}

static bool same_text(const struct jtext *a, const struct jtext *b) {
    return a->n == b->n && !memcmp(a->text, b->text, a->n);
}

enum { EQUAL_DEPTH = 250 }; // deeper values are never equal

static bool equal(struct jvalue a, struct jvalue b, int depth);

static bool same_items(const struct jlist *a, const struct jlist *b, int depth) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!equal(a->items[i], b->items[i], depth)) return false;
    return true;
}

static bool same_members(const struct jdict *a, const struct jdict *b, int depth) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct jvalue *other = jinja_get(b, a->keys[i]);
        if (!other || !equal(a->values[i], *other, depth)) return false;
    }
    return true;
}

static bool equal(struct jvalue a, struct jvalue b, int depth) {
    if (depth > EQUAL_DEPTH) return false;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a.type == J_FLOAT || b.type == J_FLOAT) return jinja_number(a) == jinja_number(b);
        return jinja_integer(a) == jinja_integer(b);
    }
    if (a.type != b.type) return false;
    switch (a.type) {
    case J_UNDEFINED:
    case J_NONE:
        return true;
    case J_STRING:
        return same_text(a.u.string, b.u.string);
    case J_LIST:
    case J_TUPLE:
        return a.u.list == b.u.list || same_items(a.u.list, b.u.list, depth + 1);
    case J_DICT:
        return a.u.dict == b.u.dict || same_members(a.u.dict, b.u.dict, depth + 1);
    default:
        return a.u.dict == b.u.dict; // one object
    }
}

bool jinja_equal(struct jvalue a, struct jvalue b) {
    return equal(a, b, 0);
}

const char *jinja_type_name(struct jvalue v) {
    static const char *const names[] = {
        "undefined", "none",   "a boolean",   "an integer", "a float", "a string",   "a list",
        "a tuple",   "a dict", "a namespace", "a macro",    "a loop",  "a function", "a method"};
    return names[v.type];
}

// ---- text ---------------------------------------------------------------------------------------

static void build_room(struct jbuild *b, size_t n) {
    if (b->n + n <= b->capacity) return;
    size_t capacity = 2 * b->capacity > b->n + n ? 2 * b->capacity : b->n + n + 64;
    char *text = jpool_take(b->pool, capacity);
    if (b->n) memcpy(text, b->text, b->n);
    b->text = text;
    b->capacity = capacity;
    if (!b->mark) return;
    uint16_t *mark = jpool_take(b->pool, capacity * sizeof *mark);
    memcpy(mark, b->mark, b->n * sizeof *mark);
    b->mark = mark;
}

void jbuild_add(struct jbuild *b, const char *text, const uint16_t *mark, size_t n) {
    if (!n) return;
    build_room(b, n);
    if (mark && !b->mark) b->mark = jpool_take(b->pool, b->capacity * sizeof *b->mark);
    memcpy(b->text + b->n, text, n);
    if (mark) memcpy(b->mark + b->n, mark, n * sizeof *mark);
    if (!mark && b->mark) memset(b->mark + b->n, 0, n * sizeof *b->mark);
    b->n += n;
}

void jbuild_puts(struct jbuild *b, const char *text) {
    jbuild_add(b, text, NULL, strlen(text));
}

void jbuild_text(struct jbuild *b, struct jtext t) {
    jbuild_add(b, t.text, t.mark, t.n);
}

struct jtext jbuild_take(const struct jbuild *b) {
    return (struct jtext){b->n ? b->text : "", b->mark, b->n};
}

struct jtext jtext_part(struct jtext t, size_t start, size_t end) {
    return (struct jtext){t.text + start, t.mark ? t.mark + start : NULL, end - start};
}

size_t jtext_length(struct jtext t) {
    size_t n = 0;
    for (size_t i = 0; i < t.n; i++) n += ((unsigned char)t.text[i] & 0xc0) != 0x80;
    return n;
}

size_t jtext_offset(struct jtext t, size_t i) {
    size_t at = 0;
    for (; i && at < t.n; i--) do
            at++;
        while (at < t.n && ((unsigned char)t.text[at] & 0xc0) == 0x80);
    return at;
}

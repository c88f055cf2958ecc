// Values as text: Python's str() and repr(), and json.dumps. See jinja_value.h.
#include "common/jinja/jinja_value.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 100 };

static void put_int(struct jbuild *b, int64_t i) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)i);
    jbuild_puts(b, text);
}

// The shortest digits that read back the same, laid out as Python's repr does: 1.0, 0.0001, 1e-05,
// 1e+16.
void jinja_write_float(struct jbuild *b, double d) {
    char text[64], digits[40];
    if (!isfinite(d)) {
        jbuild_puts(b, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    for (int n = 0; n < 17; n++) {
        snprintf(text, sizeof text, "%.*e", n, d);
        if (strtod(text, NULL) == d) break;
    }
    int power = atoi(strchr(text, 'e') + 1), n = 0;
    for (const char *c = text; *c != 'e'; c++)
        if (*c >= '0' && *c <= '9') digits[n++] = *c;
    digits[n] = 0;
    if (*text == '-') jbuild_puts(b, "-");
    if (power < -4 || power >= 16) {
        snprintf(text, sizeof text, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "", digits + 1,
                 power < 0 ? '-' : '+', abs(power));
    } else if (power < 0) {
        snprintf(text, sizeof text, "0.%.*s%s", -power - 1, "0000", digits);
    } else {
        int whole = power + 1;
        snprintf(text, sizeof text, "%.*s%.*s.%s", whole, digits, whole > n ? whole - n : 0,
                 "0000000000000000", whole < n ? digits + whole : "0");
    }
    jbuild_puts(b, text);
}

// In single quotes, in double ones where it holds a single quote and no double one.
static void repr_text(struct jbuild *b, struct jtext t) {
    bool single = memchr(t.text, '\'', t.n), both = single && memchr(t.text, '"', t.n);
    const char *quote = single && !both ? "\"" : "'";
    jbuild_puts(b, quote);
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.text[i];
        char code[8];
        if (c == '\\' || (c == '\'' && both))
            snprintf(code, sizeof code, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            snprintf(code, sizeof code, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if (c < 0x20 || c == 0x7f)
            snprintf(code, sizeof code, "\\x%02x", c);
        else
            code[0] = 0;
        if (code[0])
            jbuild_puts(b, code);
        else
            jbuild_text(b, jtext_part(t, i, i + 1));
    }
    jbuild_puts(b, quote);
}

static void repr_items(struct jbuild *b, struct jvalue v, int depth) {
    const struct jlist *l = v.u.list;
    bool tuple = v.type == J_TUPLE;
    jbuild_puts(b, tuple ? "(" : "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i) jbuild_puts(b, ", ");
        jinja_write_repr(b, l->items[i], depth + 1);
    }
    jbuild_puts(b, tuple ? l->n == 1 ? ",)" : ")" : "]");
}

static void repr_members(struct jbuild *b, const struct jdict *d, int depth) {
    jbuild_puts(b, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i) jbuild_puts(b, ", ");
        jinja_write_repr(b, d->keys[i], depth + 1);
        jbuild_puts(b, ": ");
        jinja_write_repr(b, d->values[i], depth + 1);
    }
    jbuild_puts(b, "}");
}

void jinja_write_repr(struct jbuild *b, struct jvalue v, int depth) {
    if (depth > DEPTH) {
        jbuild_puts(b, "...");
        return;
    }
    switch (v.type) {
    case J_UNDEFINED:
        jbuild_puts(b, "Undefined");
        break;
    case J_NONE:
        jbuild_puts(b, "None");
        break;
    case J_BOOL:
        jbuild_puts(b, v.u.truth ? "True" : "False");
        break;
    case J_INT:
        put_int(b, v.u.integer);
        break;
    case J_FLOAT:
        jinja_write_float(b, v.u.real);
        break;
    case J_STRING:
        repr_text(b, *v.u.string);
        break;
    case J_LIST:
    case J_TUPLE:
        repr_items(b, v, depth);
        break;
    case J_DICT:
        repr_members(b, v.u.dict, depth);
        break;
    default:
        jbuild_puts(b, "<");
        jbuild_puts(b, jinja_type_name(v));
        jbuild_puts(b, ">");
    }
}

void jinja_write(struct jbuild *b, struct jvalue v) {
    if (v.type == J_STRING)
        jbuild_text(b, *v.u.string);
    else if (v.type != J_UNDEFINED)
        jinja_write_repr(b, v, 0);
}

struct jtext jinja_str(struct jpool *p, struct jvalue v) {
    if (v.type == J_STRING) return *v.u.string;
    struct jbuild b = {.pool = p};
    jinja_write(&b, v);
    return jbuild_take(&b);
}

// ---- JSON ---------------------------------------------------------------------------------------

static void json_text(struct jbuild *b, struct jtext t) {
    jbuild_puts(b, "\"");
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.text[i];
        const char *short_form = c ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", c) : NULL;
        char code[8] = {0};
        if (c == '"' || c == '\\')
            snprintf(code, sizeof code, "\\%c", c);
        else if (c < 0x20 && short_form)
            snprintf(code, sizeof code, "\\%c", short_form[1]);
        else if (c < 0x20)
            snprintf(code, sizeof code, "\\u%04x", c);
        if (code[0])
            jbuild_puts(b, code);
        else
            jbuild_text(b, jtext_part(t, i, i + 1));
    }
    jbuild_puts(b, "\"");
}

static void json_line(struct jbuild *b, const struct jjson *how, int depth) {
    if (how->indent < 0) return;
    jbuild_puts(b, "\n");
    for (int i = 0; i < how->indent * depth; i++) jbuild_puts(b, " ");
}

// Keys that are no strings are written as JSON writes them, in quotes.
static bool json_key(struct jbuild *b, struct jvalue key) {
    if (key.type == J_STRING) {
        json_text(b, *key.u.string);
        return true;
    }
    if (!jinja_is_number(key) && key.type != J_NONE) return false;
    jbuild_puts(b, "\"");
    jinja_write_json(b, key, &(struct jjson){.indent = -1}, 0);
    jbuild_puts(b, "\"");
    return true;
}

static int by_key(const void *a, const void *b) {
    const struct jtext *x = ((const struct jvalue *)a)[0].u.string;
    const struct jtext *y = ((const struct jvalue *)b)[0].u.string;
    size_t n = x->n < y->n ? x->n : y->n;
    int c = memcmp(x->text, y->text, n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static bool sorted(struct jpool *p, struct jdict *d) {
    struct jvalue *both = jpool_take(p, 2 * d->n * sizeof *both);
    for (size_t i = 0; i < d->n; i++) {
        if (d->keys[i].type != J_STRING) return false;
        both[2 * i] = d->keys[i];
        both[2 * i + 1] = d->values[i];
    }
    qsort(both, d->n, 2 * sizeof *both, by_key);
    struct jdict copy = {.n = d->n};
    copy.keys = jpool_take(p, d->n * sizeof *copy.keys);
    copy.values = jpool_take(p, d->n * sizeof *copy.values);
    for (size_t i = 0; i < d->n; i++) {
        copy.keys[i] = both[2 * i];
        copy.values[i] = both[2 * i + 1];
    }
    *d = copy;
    return true;
}

static bool json_members(struct jbuild *b, const struct jdict *members, const struct jjson *how,
                         int depth) {
    struct jdict d = *members;
    if (how->sort && d.n && !sorted(b->pool, &d)) return false;
    jbuild_puts(b, "{");
    for (size_t i = 0; i < d.n; i++) {
        if (i) jbuild_puts(b, how->item);
        json_line(b, how, depth + 1);
        if (!json_key(b, d.keys[i])) return false;
        jbuild_puts(b, how->key);
        if (!jinja_write_json(b, d.values[i], how, depth + 1)) return false;
    }
    if (d.n) json_line(b, how, depth);
    jbuild_puts(b, "}");
    return true;
}

static bool json_items(struct jbuild *b, const struct jlist *l, const struct jjson *how,
                       int depth) {
    jbuild_puts(b, "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i) jbuild_puts(b, how->item);
        json_line(b, how, depth + 1);
        if (!jinja_write_json(b, l->items[i], how, depth + 1)) return false;
    }
    if (l->n) json_line(b, how, depth);
    jbuild_puts(b, "]");
    return true;
}

bool jinja_write_json(struct jbuild *b, struct jvalue v, const struct jjson *how, int depth) {
    if (depth > 4 * DEPTH) return false;
    switch (v.type) {
    case J_NONE:
        jbuild_puts(b, "null");
        return true;
    case J_BOOL:
        jbuild_puts(b, v.u.truth ? "true" : "false");
        return true;
    case J_INT:
        put_int(b, v.u.integer);
        return true;
    case J_FLOAT:
        if (isfinite(v.u.real))
            jinja_write_float(b, v.u.real);
        else
            jbuild_puts(b, isnan(v.u.real) ? "NaN" : v.u.real > 0 ? "Infinity" : "-Infinity");
        return true;
    case J_STRING:
        json_text(b, *v.u.string);
        return true;
    case J_LIST:
    case J_TUPLE:
        return json_items(b, v.u.list, how, depth);
    case J_DICT:
        return json_members(b, v.u.dict, how, depth);
    default:
        return false;
    }
}

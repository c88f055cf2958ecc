// Expressions to values.
#include "common/jinja/jinja_run.h"
#include <string.h>

// ---- attributes and items -----------------------------------------------------------------------

static struct jvalue undefined(struct jrun *r, const char *name, size_t n) {
    return jinja_undefined(r->pool, name, n);
}

static _Noreturn void fail_undefined(struct jrun *r, struct jvalue v) {
    jinja_fail(r, "'%.*s' is undefined", (int)(v.u.string->n < 80 ? v.u.string->n : 80),
               v.u.string->text);
}

static struct jvalue loop_attribute(struct jrun *r, struct jloop *l, const char *name, size_t n) {
    struct {
        const char *name;
        struct jvalue value;
    } const known[] = {
        {"index", jinja_int((int64_t)l->i + 1)},
        {"index0", jinja_int((int64_t)l->i)},
        {"revindex", jinja_int((int64_t)(l->n - l->i))},
        {"revindex0", jinja_int((int64_t)(l->n - l->i) - 1)},
        {"first", jinja_bool(l->i == 0)},
        {"last", jinja_bool(l->i + 1 == l->n)},
        {"length", jinja_int((int64_t)l->n)},
        {"depth", jinja_int(l->depth)},
        {"depth0", jinja_int(l->depth - 1)},
        {"previtem", l->i ? l->items[l->i - 1] : undefined(r, "previtem", 8)},
        {"nextitem", l->i + 1 < l->n ? l->items[l->i + 1] : undefined(r, "nextitem", 8)},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == n && !memcmp(known[i].name, name, n)) return known[i].value;
    return undefined(r, name, n);
}

static struct jvalue bind_method(struct jrun *r, struct jvalue of, const struct jfunction *f) {
    struct jmethod *m = jpool_take(r->pool, sizeof *m);
    m->self = of;
    m->function = f;
    return (struct jvalue){.type = J_METHOD, .u.method = m};
}

struct jvalue jinja_attribute(struct jrun *r, struct jvalue of, const char *name, size_t n) {
    if (of.type == J_UNDEFINED) fail_undefined(r, of);
    const struct jfunction *method = jinja_method_find(of, name, n);
    if (method) return bind_method(r, of, method);
    if (of.type == J_LOOP) return loop_attribute(r, of.u.loop, name, n);
    const struct jvalue *v = NULL;
    if (of.type == J_DICT || of.type == J_NAMESPACE) v = jinja_get_text(of.u.dict, name, n);
    return v ? *v : undefined(r, name, n);
}

static struct jvalue element(struct jrun *r, struct jvalue of, int64_t i) {
    bool text = of.type == J_STRING;
    int64_t n = text ? (int64_t)jtext_length(*of.u.string) : (int64_t)of.u.list->n;
    if (i < 0) i += n;
    if (i < 0 || i >= n) return undefined(r, "an item past the end", 20);
    if (!text) return of.u.list->items[i];
    size_t at = jtext_offset(*of.u.string, (size_t)i);
    struct jtext rest = jtext_part(*of.u.string, at, of.u.string->n);
    return jinja_text(r->pool, jtext_part(rest, 0, jtext_offset(rest, 1)));
}

struct jvalue jinja_item(struct jrun *r, struct jvalue of, struct jvalue key) {
    if (of.type == J_UNDEFINED) fail_undefined(r, of);
    if (of.type == J_DICT) {
        jinja_step(r, of.u.dict->n / 16);
        const struct jvalue *v = jinja_get(of.u.dict, key);
        if (v) return *v;
    }
    bool place = key.type == J_INT || key.type == J_BOOL;
    if (place && (jinja_is_list(of) || of.type == J_STRING))
        return element(r, of, jinja_integer(key));
    if (key.type == J_STRING) return jinja_attribute(r, of, key.u.string->text, key.u.string->n);
    return undefined(r, "an item", 7);
}

// ---- calls --------------------------------------------------------------------------------------

static size_t parameter(const char *signature, const struct jtext *name) { // SIZE_MAX: none
    for (size_t i = 0; *signature; i++) {
        size_t n = strcspn(signature, ",");
        if (n == name->n && !memcmp(signature, name->text, n)) return i;
        signature += n + (signature[n] == ',');
    }
    return SIZE_MAX;
}

static size_t parameters(const char *signature) {
    size_t n = *signature != 0;
    for (; *signature; signature++) n += *signature == ',';
    return n;
}

struct jvalue jinja_apply(struct jrun *r, const struct jfunction *f, struct jvalue in,
                          const struct jargs *a) {
    struct jbound b = {.raw = a};
    bool any = *f->signature == '*';
    size_t most = parameters(f->signature);
    for (size_t i = 0; !any && i < a->n; i++) {
        size_t at = i;
        if (a->names && a->names[i]) at = parameter(f->signature, a->names[i]);
        if (at == SIZE_MAX)
            jinja_fail(r, "'%s' has no argument '%.40s'", f->name, a->names[i]->text);
        if (at >= most) jinja_fail(r, "'%s' takes at most %zu arguments", f->name, most);
        b.v[at] = a->v[i];
        b.given[at] = true;
    }
    return f->run(r, in, &b);
}

struct jvalue jinja_call(struct jrun *r, struct jvalue f, const struct jargs *a) {
    switch (f.type) {
    case J_UNDEFINED:
        fail_undefined(r, f);
    case J_FUNCTION:
        return jinja_apply(r, f.u.function, jinja_none(), a);
    case J_METHOD:
        return jinja_apply(r, f.u.method->function, f.u.method->self, a);
    case J_MACRO:
        return jinja_call_macro(r, f.u.macro, a);
    case J_LOOP:
        return jinja_call_loop(r, f.u.loop, a);
    default:
        jinja_fail(r, "%s cannot be called", jinja_type_name(f));
    }
}

static struct jargs arguments(struct jrun *r, const struct jnode *n) {
    struct jargs a = {.n = n->n, .names = n->keywords};
    a.v = n->n ? jpool_take(r->pool, n->n * sizeof *a.v) : NULL;
    for (size_t i = 0; i < n->n; i++) a.v[i] = jinja_eval(r, n->items[i]);
    return a;
}

static struct jvalue call(struct jrun *r, const struct jnode *n) {
    struct jvalue f;
    if (n->a->kind == JN_ATTR) {
        struct jvalue of = jinja_eval(r, n->a->a);
        r->at = n->a;
        f = jinja_attribute(r, of, n->a->text, n->a->text_n);
        if (f.type == J_UNDEFINED)
            jinja_fail(r, "%s has no method '%.60s'", jinja_type_name(of), n->a->text);
    } else {
        f = jinja_eval(r, n->a);
        r->at = n;
        if (f.type == J_UNDEFINED) fail_undefined(r, f);
    }
    struct jargs a = arguments(r, n);
    r->at = n;
    return jinja_call(r, f, &a);
}

static struct jvalue filtered(struct jrun *r, const struct jnode *n) {
    struct jvalue in = jinja_eval(r, n->a);
    struct jargs a = arguments(r, n);
    r->at = n;
    return jinja_apply(r, n->known, in, &a);
}

// ---- the rest -----------------------------------------------------------------------------------

static struct jvalue name(struct jrun *r, const struct jnode *n) {
    const struct jvalue *v = jscope_find(r->scope, n->symbol);
    return v ? *v : undefined(r, n->text, n->text_n);
}

static struct jvalue items(struct jrun *r, const struct jnode *n) {
    struct jvalue list = jinja_list(r->pool, n->kind == JN_LIST ? J_LIST : J_TUPLE);
    for (size_t i = 0; i < n->n; i++) jinja_append(r->pool, list, jinja_eval(r, n->items[i]));
    return list;
}

static struct jvalue members(struct jrun *r, const struct jnode *n) {
    struct jvalue d = jinja_dict(r->pool);
    for (size_t i = 0; i + 1 < n->n; i += 2) {
        struct jvalue key = jinja_eval(r, n->items[i]);
        jinja_set(r->pool, d, key, jinja_eval(r, n->items[i + 1]));
    }
    return d;
}

static struct jvalue slice(struct jrun *r, const struct jnode *n) {
    struct jvalue of = jinja_eval(r, n->a), part[3];
    for (size_t i = 0; i < 3; i++)
        part[i] = n->items[i] ? jinja_eval(r, n->items[i]) : jinja_none();
    r->at = n;
    if (of.type == J_UNDEFINED) fail_undefined(r, of);
    return jinja_slice(r, of, part[0], part[1], part[2]);
}

static struct jvalue compared(struct jrun *r, const struct jnode *n) {
    struct jvalue a = jinja_eval(r, n->a);
    for (size_t i = 0; i < n->n; i++) {
        struct jvalue b = jinja_eval(r, n->items[i]->a);
        r->at = n->items[i];
        if (!jinja_compare(r, n->items[i]->op, a, b)) return jinja_bool(false);
        a = b;
    }
    return jinja_bool(true);
}

static struct jvalue sign(struct jrun *r, const struct jnode *n) {
    struct jvalue v = jinja_eval(r, n->a);
    r->at = n;
    if (v.type == J_UNDEFINED) fail_undefined(r, v);
    if (!jinja_is_number(v)) jinja_fail(r, "%s has no sign", jinja_type_name(v));
    if (n->kind == JN_NEGATIVE) return jinja_binary(r, '-', jinja_int(0), v);
    return v.type == J_BOOL ? jinja_int(v.u.truth) : v;
}

static struct jvalue evaluate(struct jrun *r, const struct jnode *n) {
    struct jvalue a;
    switch (n->kind) {
    case JN_CONSTANT:
        return n->constant;
    case JN_NAME:
        return name(r, n);
    case JN_LIST:
    case JN_TUPLE:
        return items(r, n);
    case JN_DICT:
        return members(r, n);
    case JN_ATTR:
        a = jinja_eval(r, n->a);
        r->at = n;
        return jinja_attribute(r, a, n->text, n->text_n);
    case JN_ITEM:
        a = jinja_eval(r, n->a);
        struct jvalue key = jinja_eval(r, n->b);
        r->at = n;
        return jinja_item(r, a, key);
    case JN_SLICE:
        return slice(r, n);
    case JN_CALL:
        return call(r, n);
    case JN_FILTER:
    case JN_TEST:
        return filtered(r, n);
    case JN_NOT:
        return jinja_bool(!jinja_truth(jinja_eval(r, n->a)));
    case JN_NEGATIVE:
    case JN_POSITIVE:
        return sign(r, n);
    case JN_BINARY:
        a = jinja_eval(r, n->a);
        struct jvalue b = jinja_eval(r, n->b);
        r->at = n;
        return jinja_binary(r, n->op, a, b);
    case JN_COMPARE:
        return compared(r, n);
    case JN_AND:
        a = jinja_eval(r, n->a);
        return jinja_truth(a) ? jinja_eval(r, n->b) : a;
    case JN_OR:
        a = jinja_eval(r, n->a);
        return jinja_truth(a) ? a : jinja_eval(r, n->b);
    case JN_CHOICE:
        if (jinja_truth(jinja_eval(r, n->b))) return jinja_eval(r, n->a);
        return n->c ? jinja_eval(r, n->c) : undefined(r, "the value without 'else'", 24);
    default:
        r->at = n;
        jinja_fail(r, "this cannot be evaluated");
    }
}

struct jvalue jinja_eval(struct jrun *r, const struct jnode *n) {
    if (++r->depth > JINJA_DEPTH) {
        r->at = n;
        jinja_fail(r, "more than %d calls inside each other", JINJA_DEPTH);
    }
    r->steps++;
    struct jvalue v = evaluate(r, n);
    r->depth--;
    return v;
}

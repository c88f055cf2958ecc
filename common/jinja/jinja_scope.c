// Scopes, the functions every template has, and the bounds on work.
#include "common/jinja/jinja_run.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void jinja_fail(struct jrun *r, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    jinja_fail_at(r->pool->fault, r->at ? r->at->line : 0, r->at ? r->at->column : 0, "%s", text);
}

void jinja_step(struct jrun *r, uint64_t n) {
    r->steps += n;
    if (r->steps > r->rendering->limits.steps)
        jinja_fail(r, "the template takes more than %llu steps",
                   (unsigned long long)r->rendering->limits.steps);
}

// ---- scopes -------------------------------------------------------------------------------------

void jscope_set(struct jrun *r, struct jscope *s, uint32_t symbol, struct jvalue v) {
    for (size_t i = 0; i < s->n; i++)
        if (s->variable[i].symbol == symbol) {
            s->variable[i].value = v;
            return;
        }
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 4;
        struct jvariable *more = jpool_take(r->pool, capacity * sizeof *more);
        if (s->n) memcpy(more, s->variable, s->n * sizeof *more);
        s->variable = more;
        s->capacity = capacity;
    }
    s->variable[s->n++] = (struct jvariable){symbol, v};
}

const struct jvalue *jscope_find(const struct jscope *s, uint32_t symbol) {
    for (; s; s = s->parent)
        for (size_t i = 0; i < s->n; i++)
            if (s->variable[i].symbol == symbol) return &s->variable[i].value;
    return NULL;
}

struct jscope *jscope_push(struct jrun *r, struct jscope *parent) {
    struct jscope *s = jpool_take(r->pool, sizeof *s);
    s->parent = parent;
    return s;
}

// ---- functions ----------------------------------------------------------------------------------

static struct jvalue range(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)in;
    bool two = a->given[1];
    int64_t start = two ? jinja_arg_int(r, a, 0, 0) : 0, stop = jinja_arg_int(r, a, two, 0);
    int64_t step = jinja_arg_int(r, a, 2, 1);
    if (!a->given[0] || !step) jinja_fail(r, "range needs an end, and a step other than 0");
    struct jvalue list = jinja_list(r->pool, J_LIST);
    double n = ((double)stop - (double)start) / (double)step;
    if (n > JINJA_RANGE) jinja_fail(r, "range has more than %d numbers", JINJA_RANGE);
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        jinja_append(r->pool, list, jinja_int(i));
    return list;
}

static struct jvalue new_dict(struct jrun *r, const struct jbound *a, enum jtype type) {
    struct jvalue d = jinja_dict(r->pool);
    for (size_t i = 0; i < a->raw->n; i++) {
        struct jvalue v = a->raw->v[i];
        if (a->raw->names && a->raw->names[i]) {
            jinja_set(r->pool, d, jinja_text(r->pool, *a->raw->names[i]), v);
            continue;
        }
        if (v.type != J_DICT) jinja_fail(r, "%s is no dict to begin with", jinja_type_name(v));
        for (size_t k = 0; k < v.u.dict->n; k++)
            jinja_set(r->pool, d, v.u.dict->keys[k], v.u.dict->values[k]);
    }
    d.type = type;
    return d;
}

static struct jvalue make_namespace(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)in;
    return new_dict(r, a, J_NAMESPACE);
}

static struct jvalue make_dict(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)in;
    return new_dict(r, a, J_DICT);
}

static struct jvalue raise_exception(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)in;
    struct jtext t = jinja_str(r->pool, a->given[0] ? a->v[0] : jinja_none());
    jinja_fail(r, "the template refuses: %.*s", (int)(t.n < 200 ? t.n : 200), t.text);
}

static struct jvalue strftime_now(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)in;
    struct jtext format = jinja_arg_text(r, a, 0, "");
    const struct jinja_date *d = &r->rendering->date;
    struct tm tm = {
        .tm_year = d->year - 1900, .tm_mon = d->month - 1, .tm_mday = d->day, .tm_isdst = -1};
    timegm(&tm); // the day of the week and of the year
    char *text = jpool_take(r->pool, format.n + 1), *out = jpool_take(r->pool, 8 * format.n + 256);
    memcpy(text, format.text, format.n);
    if (!format.n) return jinja_string(r->pool, "");
    size_t n = strftime(out, 8 * format.n + 256, text, &tm);
    if (!n) jinja_fail(r, "strftime_now('%.60s') makes no date", text);
    return jinja_text(r->pool, (struct jtext){out, NULL, n});
}

static const struct jfunction functions[] = {
    {"range", "start,stop,step", range},
    {"namespace", "*", make_namespace},
    {"dict", "*", make_dict},
    {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
};

void jinja_globals(struct jrun *r) {
    for (size_t i = 0; i < r->symbols.n; i++) {
        struct jtext name = r->symbols.name[i];
        const struct jfunction *f =
            jinja_entry(functions, sizeof functions / sizeof *functions, name.text, name.n);
        if (f)
            jscope_set(r, r->scope, (uint32_t)i,
                       (struct jvalue){.type = J_FUNCTION, .u.function = f});
    }
}

#include "common/jinja/jinja.h"
#include "common/base/unicode.h"
#include "common/jinja/jinja_run.h"
#include <stdlib.h>
#include <string.h>

enum { SOURCE_BYTES = 1 << 20, PARSE_MEMORY = 256 << 20 };

struct jinja {
    struct jpool pool;
    struct jnode *body;
    struct jsymbols symbols;
    bool generation;
    char *name;
};

static void parse(struct jinja *t, const char *source, size_t n) {
    struct jparser x = {.pool = &t->pool, .symbols = &t->symbols};
    x.token = jinja_lex(&t->pool, source, n).token;
    t->body = jinja_parse(&x);
    t->generation = x.generation;
}

struct jinja *jinja_open(const char *source, size_t n, const char *name, struct fail *f) {
    if (n > SOURCE_BYTES)
        fail_set(f, EXIT_BADDATA, "%s: a template of %zu bytes; %d at most", name, n, SOURCE_BYTES);
    else if (!unicode_valid(source, n))
        fail_set(f, EXIT_BADDATA, "%s: the template is not UTF-8", name);
    if (f->code) return NULL;
    struct jinja *t = xcalloc(1, sizeof *t);
    t->name = xstrdup(name);
    struct jfault fault = {.fail = f, .name = t->name};
    t->pool = (struct jpool){.limit = PARSE_MEMORY, .fault = &fault};
    if (setjmp(fault.jump)) {
        jinja_free(t);
        return NULL;
    }
    parse(t, source, n);
    t->pool.fault = NULL;
    return t;
}

void jinja_free(struct jinja *t) {
    if (!t) return;
    jpool_release(&t->pool);
    free(t->name);
    free(t);
}

bool jinja_has_generation(const struct jinja *t) {
    return t->generation;
}

void jinja_begin(struct jinja_rendering *r, const struct jinja *t) {
    *r = (struct jinja_rendering){.template = t, .limits = JINJA_LIMITS, .date = JINJA_DATE};
    r->fault = (struct jfault){.name = t->name};
    r->pool = (struct jpool){.limit = SIZE_MAX / 2}; // what the caller makes is bounded by its rows
}

void jinja_let(struct jinja_rendering *r, const char *name, struct jvalue value) {
    size_t i = 0;
    while (i < r->n && strcmp(r->variable[i].name, name)) i++;
    if (i == r->n) {
        grow(&r->variable, &r->capacity, r->n + 1, sizeof *r->variable);
        r->n++;
    }
    r->variable[i] = (struct jinja_variable){name, value};
}

static void run(struct jinja_rendering *r, struct jtext *out) {
    struct jbuild b = {.pool = &r->pool};
    struct jscope outermost = {0};
    struct jrun x = {.pool = &r->pool,
                     .rendering = r,
                     .symbols = r->template->symbols,
                     .scope = &outermost,
                     .out = &b};
    jinja_globals(&x);
    for (size_t i = 0; i < x.symbols.n; i++)
        for (size_t k = 0; k < r->n; k++)
            if (!strcmp(x.symbols.name[i].text, r->variable[k].name))
                jscope_set(&x, &outermost, (uint32_t)i, r->variable[k].value);
    jinja_exec_template(&x, r->template->body);
    *out = jbuild_take(&b);
}

bool jinja_render(struct jinja_rendering *r, struct jtext *out, struct fail *f) {
    r->fault.fail = f;
    r->pool.fault = &r->fault;
    r->pool.limit = r->pool.used + r->limits.memory;
    if (setjmp(r->fault.jump)) return false;
    run(r, out);
    return true;
}

void jinja_end(struct jinja_rendering *r) {
    jpool_release(&r->pool);
    free(r->variable);
    r->variable = NULL;
    r->n = r->capacity = 0;
}

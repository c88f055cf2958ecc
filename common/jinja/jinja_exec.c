// Statements: what a template prints.
#include "common/jinja/jinja_run.h"
#include <stdlib.h>
#include <string.h>

enum flow { NEXT, BREAK, CONTINUE };

static enum flow exec(struct jrun *r, const struct jnode *n);

// ---- output -------------------------------------------------------------------------------------

static void put(struct jrun *r, struct jtext t) {
    struct jbuild *out = r->out;
    size_t start = out->n;
    jinja_step(r, t.n / 64);
    jbuild_text(out, t);
    if (out->n > r->rendering->limits.output)
        jinja_fail(r, "the template writes more than %zu MiB", r->rendering->limits.output >> 20);
    if (!r->generation || !t.n) return;
    if (!out->mark) out->mark = jpool_take(r->pool, out->capacity * sizeof *out->mark);
    for (size_t i = start; i < out->n; i++) out->mark[i] |= JMARK_GENERATION;
}

// What a body prints, apart.
static struct jtext capture(struct jrun *r, const struct jnode *body) {
    struct jbuild apart = {.pool = r->pool}, *out = r->out;
    r->out = &apart;
    exec(r, body);
    r->out = out;
    return jbuild_take(&apart);
}

// ---- assignments --------------------------------------------------------------------------------

static void assign(struct jrun *r, struct jscope *scope, const struct jnode *target,
                   struct jvalue v) {
    if (target->kind == JN_NAME) {
        jscope_set(r, scope, target->symbol, v);
        return;
    }
    r->at = target;
    if (target->kind == JN_ATTR) {
        struct jvalue space = jinja_eval(r, target->a);
        r->at = target;
        if (space.type != J_NAMESPACE)
            jinja_fail(r, "only a namespace's attributes can be set, not those of %s",
                       jinja_type_name(space));
        jinja_set(r->pool, space,
                  jinja_text(r->pool, (struct jtext){target->text, NULL, target->text_n}), v);
        return;
    }
    struct jlist parts = jinja_items(r, v);
    if (parts.n != target->n) jinja_fail(r, "%zu values for %zu names", parts.n, target->n);
    for (size_t i = 0; i < parts.n; i++) assign(r, scope, target->items[i], parts.items[i]);
}

// A filter chain without its innermost value, on that value.
static struct jvalue through(struct jrun *r, const struct jnode *filter, struct jvalue v) {
    if (!filter) return v;
    v = through(r, filter->a, v);
    struct jargs a = {.n = filter->n, .names = filter->keywords};
    a.v = a.n ? jpool_take(r->pool, a.n * sizeof *a.v) : NULL;
    for (size_t i = 0; i < a.n; i++) a.v[i] = jinja_eval(r, filter->items[i]);
    r->at = filter;
    return jinja_apply(r, filter->known, v, &a);
}

// ---- loops --------------------------------------------------------------------------------------

static uint32_t symbol_of(const struct jrun *r, const char *name) { // UINT32_MAX: not in use
    for (size_t i = 0; i < r->symbols.n; i++)
        if (r->symbols.name[i].n == strlen(name) && !strcmp(r->symbols.name[i].text, name))
            return (uint32_t)i;
    return UINT32_MAX;
}

// The items for which the loop's condition holds.
static struct jlist chosen(struct jrun *r, const struct jnode *n, struct jlist all) {
    struct jvalue list = jinja_list(r->pool, J_LIST);
    struct jscope *outer = r->scope;
    for (size_t i = 0; i < all.n; i++) {
        r->scope = jscope_push(r, outer);
        assign(r, r->scope, n->target, all.items[i]);
        if (jinja_truth(jinja_eval(r, n->filter))) jinja_append(r->pool, list, all.items[i]);
    }
    r->scope = outer;
    return *list.u.list;
}

static void run_loop(struct jrun *r, const struct jnode *n, struct jvalue over, int depth) {
    struct jscope *outer = r->scope;
    r->at = n->a;
    struct jlist all = jinja_items(r, over);
    if (n->filter) all = chosen(r, n, all);
    uint32_t symbol = symbol_of(r, "loop");
    struct jloop *loop = jpool_take(r->pool, sizeof *loop);
    *loop = (struct jloop){.items = all.items, .n = all.n, .depth = depth, .scope = outer};
    loop->changed = jinja_undefined(r->pool, "", 0);
    if (n->op == 'r') loop->node = n;
    for (size_t i = 0; i < all.n; i++) {
        loop->i = i;
        jinja_step(r, 1);
        r->scope = jscope_push(r, outer);
        if (symbol != UINT32_MAX)
            jscope_set(r, r->scope, symbol, (struct jvalue){.type = J_LOOP, .u.loop = loop});
        assign(r, r->scope, n->target, all.items[i]);
        if (exec(r, n->b) == BREAK) break;
    }
    r->scope = outer;
    if (all.n || !n->c) return;
    r->scope = jscope_push(r, outer);
    exec(r, n->c);
    r->scope = outer;
}

struct jvalue jinja_call_loop(struct jrun *r, const struct jloop *l, const struct jargs *a) {
    if (!l->node) jinja_fail(r, "this loop is not recursive");
    if (a->n != 1) jinja_fail(r, "a recursive loop takes one list");
    struct jbuild apart = {.pool = r->pool}, *out = r->out;
    struct jscope *scope = r->scope;
    r->out = &apart;
    r->scope = l->scope;
    run_loop(r, l->node, a->v[0], l->depth + 1);
    r->scope = scope;
    r->out = out;
    return jinja_text(r->pool, jbuild_take(&apart));
}

// ---- macros -------------------------------------------------------------------------------------

static size_t parameter(const struct jnode *macro, const struct jtext *name) { // SIZE_MAX: none
    for (size_t i = 0; i < macro->n; i++)
        if (macro->items[i]->text_n == name->n &&
            !memcmp(macro->items[i]->text, name->text, name->n))
            return i;
    return SIZE_MAX;
}

struct binding { // of a macro's arguments
    const struct jnode *macro;
    struct jvalue caller, varargs, kwargs;
    bool *given; // by parameter
};

static void bind_argument(struct jrun *r, struct binding *b, const struct jtext *name, size_t i,
                          struct jvalue v) {
    const struct jnode *macro = b->macro;
    bool takes_more = symbol_of(r, name ? "kwargs" : "varargs") != UINT32_MAX;
    size_t at = name ? parameter(macro, name) : i;
    if (name && name->n == 6 && !memcmp(name->text, "caller", 6)) {
        b->caller = v;
    } else if (at < macro->n) {
        jscope_set(r, r->scope, macro->items[at]->symbol, v);
        b->given[at] = true;
    } else if (takes_more && name) {
        jinja_set(r->pool, b->kwargs, jinja_text(r->pool, *name), v);
    } else if (takes_more) {
        jinja_append(r->pool, b->varargs, v);
    } else if (name) {
        jinja_fail(r, "macro '%.60s' has no argument '%.40s'", macro->text, name->text);
    } else {
        jinja_fail(r, "macro '%.60s' takes at most %zu arguments", macro->text, macro->n);
    }
}

static void set_named(struct jrun *r, const char *name, struct jvalue v) {
    uint32_t symbol = symbol_of(r, name);
    if (symbol != UINT32_MAX) jscope_set(r, r->scope, symbol, v);
}

static void bind(struct jrun *r, const struct jnode *macro, const struct jargs *a,
                 struct jvalue caller) {
    struct binding b = {macro, caller, jinja_list(r->pool, J_TUPLE), jinja_dict(r->pool),
                        jpool_take(r->pool, macro->n + 1)};
    for (size_t i = 0; i < a->n; i++)
        bind_argument(r, &b, a->names ? a->names[i] : NULL, i, a->v[i]);
    if (b.caller.type == J_MACRO) set_named(r, "caller", b.caller);
    set_named(r, "varargs", b.varargs);
    set_named(r, "kwargs", b.kwargs);
    for (size_t i = 0; i < macro->n; i++) {
        const struct jnode *p = macro->items[i];
        if (b.given[i]) continue;
        struct jvalue v = p->a ? jinja_eval(r, p->a) : jinja_undefined(r->pool, p->text, p->text_n);
        jscope_set(r, r->scope, p->symbol, v);
    }
}

static struct jvalue run_macro(struct jrun *r, const struct jmacro *m, const struct jargs *a,
                               struct jvalue caller) {
    struct jscope *scope = r->scope;
    int generation = r->generation;
    r->scope = jscope_push(r, m->scope);
    bind(r, m->node, a, caller);
    r->generation = 0; // what is printed of it counts, where it is printed
    struct jtext text = capture(r, m->node->b);
    r->generation = generation;
    r->scope = scope;
    return jinja_text(r->pool, text);
}

struct jvalue jinja_call_macro(struct jrun *r, const struct jmacro *m, const struct jargs *a) {
    return run_macro(r, m, a, jinja_none());
}

static struct jvalue make_macro(struct jrun *r, const struct jnode *n) {
    struct jmacro *m = jpool_take(r->pool, sizeof *m);
    *m = (struct jmacro){n, r->scope};
    return (struct jvalue){.type = J_MACRO, .u.macro = m};
}

static void call_block(struct jrun *r, const struct jnode *n) {
    struct jvalue f = jinja_eval(r, n->a->a);
    struct jargs a = {.n = n->a->n, .names = n->a->keywords};
    a.v = jpool_take(r->pool, (a.n + 1) * sizeof *a.v);
    for (size_t i = 0; i < a.n; i++) a.v[i] = jinja_eval(r, n->a->items[i]);
    r->at = n;
    if (f.type != J_MACRO) jinja_fail(r, "'call' needs a macro, not %s", jinja_type_name(f));
    put(r, *run_macro(r, f.u.macro, &a, make_macro(r, n->b)).u.string);
}

// ---- statements ---------------------------------------------------------------------------------

static enum flow inside(struct jrun *r, const struct jnode *body) { // a scope of its own
    struct jscope *outer = r->scope;
    r->scope = jscope_push(r, outer);
    enum flow flow = exec(r, body);
    r->scope = outer;
    return flow;
}

static enum flow with(struct jrun *r, const struct jnode *n) {
    struct jscope *outer = r->scope, *inner = jscope_push(r, outer);
    for (size_t i = 0; i < n->n; i++) assign(r, inner, n->items[i], jinja_eval(r, n->a->items[i]));
    r->scope = inner;
    enum flow flow = exec(r, n->b);
    r->scope = outer;
    return flow;
}

static enum flow generation(struct jrun *r, const struct jnode *n) {
    r->generation++;
    enum flow flow = inside(r, n->b);
    r->generation--;
    return flow;
}

static enum flow block(struct jrun *r, const struct jnode *n) {
    for (size_t i = 0; i < n->n; i++) {
        enum flow flow = exec(r, n->items[i]);
        if (flow != NEXT) return flow;
    }
    return NEXT;
}

static void filter_block(struct jrun *r, const struct jnode *n) {
    struct jscope *outer = r->scope;
    r->scope = jscope_push(r, outer);
    struct jvalue text = jinja_text(r->pool, capture(r, n->b));
    r->scope = outer;
    put(r, jinja_str(r->pool, through(r, n->a, text)));
}

static enum flow execute(struct jrun *r, const struct jnode *n) {
    switch (n->kind) {
    case JN_TEXT:
        put(r, *n->constant.u.string);
        return NEXT;
    case JN_PRINT:
        put(r, jinja_str(r->pool, jinja_eval(r, n->a)));
        return NEXT;
    case JN_BLOCK:
        return block(r, n);
    case JN_IF:
        if (jinja_truth(jinja_eval(r, n->a))) return exec(r, n->b);
        return n->c ? exec(r, n->c) : NEXT;
    case JN_FOR:
        run_loop(r, n, jinja_eval(r, n->a), 1);
        return NEXT;
    case JN_SET:
        assign(r, r->scope, n->target, jinja_eval(r, n->a));
        return NEXT;
    case JN_SET_BLOCK:
        assign(r, r->scope, n->target, through(r, n->a, jinja_text(r->pool, capture(r, n->b))));
        return NEXT;
    case JN_MACRO:
        jscope_set(r, r->scope, n->symbol, make_macro(r, n));
        return NEXT;
    case JN_CALL_BLOCK:
        call_block(r, n);
        return NEXT;
    case JN_FILTER_BLOCK:
        filter_block(r, n);
        return NEXT;
    case JN_GENERATION:
        return generation(r, n);
    case JN_WITH:
        return with(r, n);
    case JN_BREAK:
        return BREAK;
    case JN_CONTINUE:
        return CONTINUE;
    default:
        abort(); // the parser makes no other statement
    }
}

static enum flow exec(struct jrun *r, const struct jnode *n) {
    r->at = n;
    if (++r->depth > JINJA_DEPTH)
        jinja_fail(r, "more than %d calls inside each other", JINJA_DEPTH);
    jinja_step(r, 1);
    enum flow flow = execute(r, n);
    r->depth--;
    return flow;
}

void jinja_exec_template(struct jrun *r, const struct jnode *body) {
    exec(r, body);
}

// Statements; expressions are in jinja_expression.c.
#include "common/jinja/jinja_parser.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint32_t jinja_symbol(struct jpool *p, struct jsymbols *s, const char *name, size_t n) {
    for (size_t i = 0; i < s->n; i++)
        if (s->name[i].n == n && !memcmp(s->name[i].text, name, n)) return (uint32_t)i;
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 32;
        struct jtext *more = jpool_take(p, capacity * sizeof *more);
        if (s->n) memcpy(more, s->name, s->n * sizeof *more);
        s->name = more;
        s->capacity = capacity;
    }
    s->name[s->n] = (struct jtext){jpool_copy(p, name, n), NULL, n};
    return (uint32_t)s->n++;
}

void jparse_fail(const struct jtoken *at, const struct jparser *x, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    jinja_fail_at(x->pool->fault, at->line, at->column, "%s", text);
}

struct jnode *jparse_node(struct jparser *x, enum jkind kind, const struct jtoken *at) {
    struct jnode *n = jpool_take(x->pool, sizeof *n);
    *n = (struct jnode){.kind = kind, .line = at->line, .column = at->column};
    return n;
}

void jparse_add(struct jparser *x, struct jnode *to, struct jnode *item) {
    if ((to->n & (to->n - 1)) == 0) { // grows at every power of two
        struct jnode **more = jpool_take(x->pool, (to->n ? 2 * to->n : 1) * sizeof *more);
        if (to->n) memcpy(more, to->items, to->n * sizeof *more);
        to->items = more;
    }
    to->items[to->n++] = item;
}

static bool is(const struct jtoken *t, enum jtoken_type type, const char *text) {
    return t->type == type && t->n == strlen(text) && !memcmp(t->text, text, t->n);
}

bool jparse_is_sign(const struct jparser *x, const char *sign) {
    return is(x->token, JT_SIGN, sign);
}

bool jparse_is_name(const struct jparser *x, const char *name) {
    return is(x->token, JT_NAME, name);
}

bool jparse_take_sign(struct jparser *x, const char *sign) {
    bool there = jparse_is_sign(x, sign);
    x->token += there;
    return there;
}

bool jparse_take_name(struct jparser *x, const char *name) {
    bool there = jparse_is_name(x, name);
    x->token += there;
    return there;
}

void jparse_expect_sign(struct jparser *x, const char *sign) {
    if (!jparse_take_sign(x, sign))
        jparse_fail(x->token, x, "'%s' is expected in place of '%.40s'", sign, x->token->text);
}

void jparse_deeper(struct jparser *x) {
    if (++x->depth > JINJA_PARSE_DEPTH)
        jparse_fail(x->token, x, "more than %d levels inside each other", JINJA_PARSE_DEPTH);
}

static void close_block(struct jparser *x) {
    if (x->token->type != JT_CLOSE_BLOCK)
        jparse_fail(x->token, x, "'%%}' is expected in place of '%.40s'", x->token->text);
    x->token++;
}

static struct jnode *body(struct jparser *x, const char *const *ends);

// Whether the next block tag is one of these names.
static bool at_end(const struct jparser *x, const char *const *ends) {
    if (x->token->type != JT_OPEN_BLOCK) return false;
    for (; ends && *ends; ends++)
        if (is(x->token + 1, JT_NAME, *ends)) return true;
    return false;
}

// What stands up to {% END %}, and that tag.
static struct jnode *body_to(struct jparser *x, const char *end) {
    const char *const ends[] = {end, NULL};
    close_block(x);
    struct jnode *b = body(x, ends);
    x->token += 2;
    return b;
}

static struct jnode *parse_if(struct jparser *x, const struct jtoken *at) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    struct jnode *n = jparse_node(x, JN_IF, at);
    jparse_deeper(x); // of a chain of elif
    n->a = jparse_tuple(x);
    close_block(x);
    n->b = body(x, ends);
    const struct jtoken *next = x->token + 1;
    x->token += 2;
    if (is(next, JT_NAME, "elif")) {
        n->c = parse_if(x, next);
    } else if (is(next, JT_NAME, "else")) {
        close_block(x);
        n->c = body(x, last);
        x->token += 2;
        close_block(x);
    } else {
        close_block(x);
    }
    x->depth--;
    return n;
}

// What is assigned: a name, names with commas, or an attribute of a namespace.
static struct jnode *parse_target(struct jparser *x, bool attribute) {
    const struct jtoken *at = x->token;
    bool bracket = jparse_take_sign(x, "(");
    struct jnode *first = bracket ? parse_target(x, false) : jparse_name(x);
    if (attribute && first->kind == JN_NAME && jparse_take_sign(x, ".")) {
        struct jnode *n = jparse_node(x, JN_ATTR, at);
        const struct jtoken *name = x->token;
        if (name->type != JT_NAME) jparse_fail(name, x, "a name is expected after '.'");
        x->token++;
        n->a = first;
        n->text = name->text;
        n->text_n = name->n;
        return n;
    }
    struct jnode *all = first;
    if (jparse_is_sign(x, ",")) {
        all = jparse_node(x, JN_TUPLE, at);
        jparse_add(x, all, first);
        while (jparse_take_sign(x, ",")) {
            if (x->token->type != JT_NAME || jparse_is_name(x, "in")) break;
            jparse_add(x, all, jparse_name(x));
        }
    }
    if (bracket) jparse_expect_sign(x, ")");
    return all;
}

static struct jnode *parse_for(struct jparser *x, const struct jtoken *at) {
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    struct jnode *n = jparse_node(x, JN_FOR, at);
    n->target = parse_target(x, false);
    if (!jparse_take_name(x, "in"))
        jparse_fail(x->token, x, "'in' is expected in place of '%.40s'", x->token->text);
    const struct jtoken *list = x->token;
    n->a = jparse_or(x);
    if (jparse_is_sign(x, ",")) {
        x->token = list;
        n->a = jparse_tuple(x);
    }
    if (jparse_take_name(x, "if")) n->filter = jparse_expression(x);
    if (jparse_take_name(x, "recursive")) n->op = 'r';
    close_block(x);
    x->loops++;
    n->b = body(x, ends);
    x->loops--;
    bool more = is(x->token + 1, JT_NAME, "else");
    x->token += 2;
    if (more) {
        close_block(x);
        n->c = body(x, last);
        x->token += 2;
    }
    close_block(x);
    return n;
}

static struct jnode *parse_set(struct jparser *x, const struct jtoken *at) {
    struct jnode *target = parse_target(x, true), *n;
    if (jparse_take_sign(x, "=")) {
        n = jparse_node(x, JN_SET, at);
        n->target = target;
        n->a = jparse_tuple(x);
        close_block(x);
        return n;
    }
    n = jparse_node(x, JN_SET_BLOCK, at);
    n->target = target;
    n->a = jparse_filters(x, NULL);
    n->b = body_to(x, "endset");
    close_block(x);
    return n;
}

static void parse_parameters(struct jparser *x, struct jnode *macro) {
    jparse_expect_sign(x, "(");
    while (!jparse_is_sign(x, ")")) {
        struct jnode *p = jparse_name(x);
        if (jparse_take_sign(x, "=")) p->a = jparse_expression(x);
        jparse_add(x, macro, p);
        if (!jparse_take_sign(x, ",")) break;
    }
    jparse_expect_sign(x, ")");
}

static struct jnode *parse_macro(struct jparser *x, const struct jtoken *at) {
    struct jnode *n = jparse_node(x, JN_MACRO, at), *name = jparse_name(x);
    int loops = x->loops;
    n->text = name->text;
    n->text_n = name->text_n;
    n->symbol = name->symbol;
    parse_parameters(x, n);
    x->loops = 0;
    n->b = body_to(x, "endmacro");
    x->loops = loops;
    close_block(x);
    return n;
}

static struct jnode *parse_call(struct jparser *x, const struct jtoken *at) {
    struct jnode *n = jparse_node(x, JN_CALL_BLOCK, at), *caller = jparse_node(x, JN_MACRO, at);
    int loops = x->loops;
    caller->text = "caller";
    caller->text_n = 6;
    caller->symbol = jinja_symbol(x->pool, x->symbols, "caller", 6);
    if (jparse_is_sign(x, "(")) parse_parameters(x, caller);
    n->a = jparse_postfix(x, jparse_primary(x));
    if (n->a->kind != JN_CALL) jparse_fail(at, x, "'call' needs a call after it");
    x->loops = 0;
    caller->b = body_to(x, "endcall");
    x->loops = loops;
    n->b = caller;
    close_block(x);
    return n;
}

static struct jnode *parse_with(struct jparser *x, const struct jtoken *at) {
    struct jnode *n = jparse_node(x, JN_WITH, at);
    n->a = jparse_node(x, JN_TUPLE, at);
    while (x->token->type == JT_NAME) {
        jparse_add(x, n, parse_target(x, false));
        jparse_expect_sign(x, "=");
        jparse_add(x, n->a, jparse_expression(x));
        if (!jparse_take_sign(x, ",")) break;
    }
    n->b = body_to(x, "endwith");
    close_block(x);
    return n;
}

static struct jnode *parse_generation(struct jparser *x, const struct jtoken *at) {
    struct jnode *n = jparse_node(x, JN_GENERATION, at);
    x->generation = true;
    n->b = body_to(x, "endgeneration");
    close_block(x);
    return n;
}

static struct jnode *parse_filter_block(struct jparser *x, const struct jtoken *at) {
    struct jnode *n = jparse_node(x, JN_FILTER_BLOCK, at);
    n->a = jparse_filters(x, jparse_filter(x, NULL)); // no '|' before the first
    n->b = body_to(x, "endfilter");
    close_block(x);
    return n;
}

static struct jnode *parse_jump(struct jparser *x, const struct jtoken *at, enum jkind kind) {
    if (!x->loops) jparse_fail(at, x, "'%s' stands outside a loop", at->text);
    close_block(x);
    return jparse_node(x, kind, at);
}

static struct jnode *statement(struct jparser *x) {
    const struct jtoken *at = x->token;
    if (at->type != JT_NAME)
        jparse_fail(at, x, "a statement is expected in place of '%.40s'", at->text);
    x->token++;
    if (is(at, JT_NAME, "if")) return parse_if(x, at);
    if (is(at, JT_NAME, "for")) return parse_for(x, at);
    if (is(at, JT_NAME, "set")) return parse_set(x, at);
    if (is(at, JT_NAME, "macro")) return parse_macro(x, at);
    if (is(at, JT_NAME, "call")) return parse_call(x, at);
    if (is(at, JT_NAME, "filter")) return parse_filter_block(x, at);
    if (is(at, JT_NAME, "with")) return parse_with(x, at);
    if (is(at, JT_NAME, "generation")) return parse_generation(x, at);
    if (is(at, JT_NAME, "break")) return parse_jump(x, at, JN_BREAK);
    if (is(at, JT_NAME, "continue")) return parse_jump(x, at, JN_CONTINUE);
    jparse_fail(at, x, "unknown statement '%.60s'", at->text);
}

static struct jnode *print(struct jparser *x) {
    struct jnode *n = jparse_node(x, JN_PRINT, x->token++);
    n->a = jparse_tuple(x);
    if (x->token->type != JT_CLOSE_PRINT)
        jparse_fail(x->token, x, "'}}' is expected in place of '%.40s'", x->token->text);
    x->token++;
    return n;
}

// Up to a block tag of one of the names in `ends` (left there), or the end of the template (NULL).
static struct jnode *body(struct jparser *x, const char *const *ends) {
    const struct jtoken *open = x->token;
    struct jnode *b = jparse_node(x, JN_BLOCK, open), *n;
    jparse_deeper(x);
    while (!at_end(x, ends)) {
        const struct jtoken *t = x->token;
        if (t->type == JT_END && ends)
            jparse_fail(open, x, "a block has no '%s'", ends[ends[1] ? ends[2] ? 2 : 1 : 0]);
        if (t->type == JT_END) break;
        if (t->type == JT_TEXT) {
            n = jparse_node(x, JN_TEXT, x->token++);
            n->constant = jinja_text(x->pool, (struct jtext){t->text, NULL, t->n});
        } else if (t->type == JT_OPEN_PRINT) {
            n = print(x);
        } else {
            x->token++;
            n = statement(x);
        }
        jparse_add(x, b, n);
    }
    x->depth--;
    return b;
}

struct jnode *jinja_parse(struct jparser *x) {
    return body(x, NULL);
}

// Expressions, from the loosest to the tightest: a if b else c, or, and, not, comparisons and `in`,
// + -, ~, * / // %, **, signs, then what follows a value: .x [x] (x) |filter `is` test.
#include "common/jinja/jinja_parser.h"
#include <string.h>

static struct jnode *unary(struct jparser *x, bool with_filters);

static struct jnode *two(struct jparser *x, enum jkind kind, char op, const struct jtoken *at,
                         struct jnode *a, struct jnode *b) {
    struct jnode *n = jparse_node(x, kind, at);
    n->op = op;
    n->a = a;
    n->b = b;
    return n;
}

struct jnode *jparse_name(struct jparser *x) {
    const struct jtoken *t = x->token;
    if (t->type != JT_NAME) jparse_fail(t, x, "a name is expected in place of '%.40s'", t->text);
    struct jnode *n = jparse_node(x, JN_NAME, t);
    n->text = t->text;
    n->text_n = t->n;
    n->symbol = jinja_symbol(x->pool, x->symbols, t->text, t->n);
    x->token++;
    return n;
}

static struct jnode *constant(struct jparser *x, const struct jtoken *at, struct jvalue v) {
    struct jnode *n = jparse_node(x, JN_CONSTANT, at);
    n->constant = v;
    return n;
}

// ---- what a value is made of --------------------------------------------------------------------

static struct jnode *word(struct jparser *x) {
    static const struct {
        const char *name;
        enum jtype type;
        bool truth;
    } words[] = {{"true", J_BOOL, true},   {"True", J_BOOL, true},  {"false", J_BOOL, false},
                 {"False", J_BOOL, false}, {"none", J_NONE, false}, {"None", J_NONE, false}};
    const struct jtoken *at = x->token;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (jparse_take_name(x, words[i].name))
            return constant(x, at,
                            words[i].type == J_NONE ? jinja_none() : jinja_bool(words[i].truth));
    return jparse_name(x);
}

static struct jnode *strings(struct jparser *x) { // "a" "b" is "ab"
    const struct jtoken *at = x->token;
    struct jbuild b = {.pool = x->pool};
    for (; x->token->type == JT_STRING; x->token++)
        jbuild_add(&b, x->token->text, NULL, x->token->n);
    return constant(x, at, jinja_text(x->pool, jbuild_take(&b)));
}

static struct jnode *list(struct jparser *x) {
    struct jnode *n = jparse_node(x, JN_LIST, x->token++);
    while (!jparse_is_sign(x, "]")) {
        jparse_add(x, n, jparse_expression(x));
        if (!jparse_take_sign(x, ",")) break;
    }
    jparse_expect_sign(x, "]");
    return n;
}

static struct jnode *dict(struct jparser *x) {
    struct jnode *n = jparse_node(x, JN_DICT, x->token++);
    while (!jparse_is_sign(x, "}")) {
        jparse_add(x, n, jparse_expression(x));
        jparse_expect_sign(x, ":");
        jparse_add(x, n, jparse_expression(x));
        if (!jparse_take_sign(x, ",")) break;
    }
    jparse_expect_sign(x, "}");
    return n;
}

static struct jnode *brackets(struct jparser *x) {
    const struct jtoken *at = x->token++;
    struct jnode *n = jparse_is_sign(x, ")") ? jparse_node(x, JN_TUPLE, at) : jparse_tuple(x);
    jparse_expect_sign(x, ")");
    return n;
}

struct jnode *jparse_primary(struct jparser *x) {
    const struct jtoken *t = x->token;
    if (t->type == JT_NAME) return word(x);
    if (t->type == JT_STRING) return strings(x);
    if (t->type == JT_INT) return constant(x, x->token++, jinja_int(t->integer));
    if (t->type == JT_FLOAT) return constant(x, x->token++, jinja_float(t->real));
    if (jparse_is_sign(x, "(")) return brackets(x);
    if (jparse_is_sign(x, "[")) return list(x);
    if (jparse_is_sign(x, "{")) return dict(x);
    jparse_fail(t, x, "a value is expected in place of '%.40s'",
                t->type == JT_END ? "the end" : t->text);
}

// ---- after a value ------------------------------------------------------------------------------

// (a, b, name=c) into the node's items and keywords.
static void arguments(struct jparser *x, struct jnode *n) {
    const struct jtext *names[64] = {0};
    jparse_expect_sign(x, "(");
    while (!jparse_is_sign(x, ")")) {
        const struct jtoken *t = x->token;
        if (jparse_is_sign(x, "*") || jparse_is_sign(x, "**"))
            jparse_fail(t, x, "unknown construct '%s' in a call's arguments", t->text);
        bool named = t->type == JT_NAME && t[1].type == JT_SIGN && t[1].n == 1 && *t[1].text == '=';
        if (n->n == 64) jparse_fail(t, x, "more than 64 arguments");
        if (named) {
            struct jtext *name = jpool_take(x->pool, sizeof *name);
            *name = (struct jtext){t->text, NULL, t->n};
            names[n->n] = name;
            x->token += 2;
        } else if (n->n && names[n->n - 1]) {
            jparse_fail(t, x, "an argument without a name follows one with a name");
        }
        jparse_add(x, n, jparse_expression(x));
        if (!jparse_take_sign(x, ",")) break;
    }
    jparse_expect_sign(x, ")");
    n->keywords = jpool_take(x->pool, n->n * sizeof *n->keywords);
    if (n->n) memcpy(n->keywords, names, n->n * sizeof *names);
}

static struct jnode *subscript(struct jparser *x, struct jnode *a) {
    const struct jtoken *at = x->token++;
    struct jnode *n = jparse_node(x, JN_ITEM, at);
    n->a = a;
    if (!jparse_is_sign(x, ":")) n->b = jparse_tuple(x);
    if (jparse_is_sign(x, ":")) {
        n->kind = JN_SLICE;
        n->n = 3;
        n->items = jpool_take(x->pool, 3 * sizeof *n->items);
        n->items[0] = n->b;
        n->b = NULL;
        for (size_t i = 1; i < 3 && jparse_take_sign(x, ":"); i++)
            if (!jparse_is_sign(x, ":") && !jparse_is_sign(x, "]"))
                n->items[i] = jparse_expression(x);
    }
    jparse_expect_sign(x, "]");
    return n;
}

static struct jnode *attribute(struct jparser *x, struct jnode *a) {
    const struct jtoken *at = x->token++, *t = x->token++;
    if (t->type == JT_INT) return two(x, JN_ITEM, 0, at, a, constant(x, t, jinja_int(t->integer)));
    if (t->type != JT_NAME) jparse_fail(t, x, "a name is expected after '.'");
    struct jnode *n = jparse_node(x, JN_ATTR, at);
    n->a = a;
    n->text = t->text;
    n->text_n = t->n;
    return n;
}

static struct jnode *call(struct jparser *x, struct jnode *a) {
    struct jnode *n = jparse_node(x, JN_CALL, x->token);
    n->a = a;
    arguments(x, n);
    return n;
}

struct jnode *jparse_postfix(struct jparser *x, struct jnode *a) {
    for (int depth = x->depth;; jparse_deeper(x)) {
        if (jparse_is_sign(x, "."))
            a = attribute(x, a);
        else if (jparse_is_sign(x, "["))
            a = subscript(x, a);
        else if (jparse_is_sign(x, "("))
            a = call(x, a);
        else {
            x->depth = depth;
            return a;
        }
    }
}

struct jnode *jparse_filter(struct jparser *x, struct jnode *a) {
    const struct jtoken *t = x->token;
    if (t->type != JT_NAME)
        jparse_fail(t, x, "a filter's name is expected in place of '%.40s'", t->text);
    struct jnode *n = jparse_node(x, JN_FILTER, t);
    n->a = a;
    n->text = t->text;
    n->text_n = t->n;
    n->known = jinja_filter_find(t->text, t->n);
    if (!n->known) jparse_fail(t, x, "unknown filter '%.60s'", t->text);
    x->token++;
    if (jparse_is_sign(x, "(")) arguments(x, n);
    return n;
}

struct jnode *jparse_filters(struct jparser *x, struct jnode *a) {
    int depth = x->depth;
    for (; jparse_take_sign(x, "|"); jparse_deeper(x)) a = jparse_filter(x, a);
    x->depth = depth;
    return a;
}

static struct jnode *test(struct jparser *x, struct jnode *a) {
    const struct jtoken *at = x->token++;
    bool negative = jparse_take_name(x, "not");
    const struct jtoken *t = x->token;
    if (t->type != JT_NAME)
        jparse_fail(t, x, "a test's name is expected in place of '%.40s'", t->text);
    struct jnode *n = jparse_node(x, JN_TEST, at);
    n->a = a;
    n->text = t->text;
    n->text_n = t->n;
    n->known = jinja_test_find(t->text, t->n);
    if (!n->known) jparse_fail(t, x, "unknown test '%.60s'", t->text);
    x->token++;
    const struct jtoken *next = x->token;
    bool follows = next->type == JT_NAME || next->type == JT_STRING || next->type == JT_INT ||
                   next->type == JT_FLOAT || jparse_is_sign(x, "[") || jparse_is_sign(x, "{");
    static const char *const not_values[] = {"else", "or",  "and", "is",
                                             "if",   "not", "in",  "recursive"};
    for (size_t i = 0; i < sizeof not_values / sizeof *not_values; i++)
        if (jparse_is_name(x, not_values[i])) follows = false;
    if (jparse_is_sign(x, "("))
        arguments(x, n);
    else if (follows)
        jparse_add(x, n, jparse_postfix(x, jparse_primary(x)));
    return negative ? two(x, JN_NOT, 0, at, n, NULL) : n;
}

// Filters, tests and calls of their results, as they come.
static struct jnode *postfix(struct jparser *x, struct jnode *a) {
    for (int depth = x->depth;; jparse_deeper(x)) {
        if (jparse_is_sign(x, "|"))
            a = jparse_filters(x, a);
        else if (jparse_is_name(x, "is"))
            a = test(x, a);
        else if (jparse_is_sign(x, "("))
            a = call(x, a);
        else {
            x->depth = depth;
            return a;
        }
    }
}

// ---- operators ----------------------------------------------------------------------------------

static struct jnode *unary(struct jparser *x, bool with_filters) {
    const struct jtoken *at = x->token;
    struct jnode *n;
    jparse_deeper(x);
    if (jparse_take_sign(x, "-"))
        n = two(x, JN_NEGATIVE, 0, at, unary(x, false), NULL);
    else if (jparse_take_sign(x, "+"))
        n = two(x, JN_POSITIVE, 0, at, unary(x, false), NULL);
    else
        n = jparse_primary(x);
    n = jparse_postfix(x, n);
    if (with_filters) n = postfix(x, n);
    x->depth--;
    return n;
}

struct level { // operators of one strength, left to right
    const char *signs[5];
    char ops[5];
};

static const struct level levels[] = {
    {{"+", "-"}, "+-"}, {{"~"}, "~"}, {{"*", "/", "//", "%"}, "*/d%"}, {{"**"}, "p"}};
enum { LEVELS = sizeof levels / sizeof *levels };

static struct jnode *arithmetic(struct jparser *x, size_t level) {
    if (level == LEVELS) return unary(x, true);
    int depth = x->depth;
    struct jnode *a = arithmetic(x, level + 1);
    for (;;) {
        const struct jtoken *at = x->token;
        size_t i = 0;
        while (levels[level].signs[i] && !jparse_take_sign(x, levels[level].signs[i])) i++;
        if (!levels[level].signs[i]) break;
        jparse_deeper(x);
        a = two(x, JN_BINARY, levels[level].ops[i], at, a, arithmetic(x, level + 1));
    }
    x->depth = depth;
    return a;
}

static char comparison(struct jparser *x) { // 0: none
    static const char *const signs[] = {"==", "!=", "<", ">", "<=", ">="};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (jparse_take_sign(x, signs[i])) return "=!<>lg"[i];
    if (jparse_take_name(x, "in")) return 'i';
    const struct jtoken *t = x->token + 1;
    if (jparse_is_name(x, "not") && t->type == JT_NAME && t->n == 2 && !memcmp(t->text, "in", 2)) {
        x->token += 2;
        return 'n';
    }
    return 0;
}

static struct jnode *compare(struct jparser *x) {
    const struct jtoken *at = x->token;
    struct jnode *a = arithmetic(x, 0), *all = NULL;
    for (char op; at = x->token, (op = comparison(x));) {
        if (!all) all = two(x, JN_COMPARE, 0, at, a, NULL);
        jparse_add(x, all, two(x, JN_OPERAND, op, at, arithmetic(x, 0), NULL));
    }
    return all ? all : a;
}

static struct jnode * not(struct jparser * x) {
    const struct jtoken *at = x->token;
    if (!jparse_take_name(x, "not")) return compare(x);
    jparse_deeper(x);
    struct jnode *n = two(x, JN_NOT, 0, at, not(x), NULL);
    x->depth--;
    return n;
}

static struct jnode * and (struct jparser * x) {
    int depth = x->depth;
    struct jnode *a = not(x);
    for (const struct jtoken *at; at = x->token, jparse_take_name(x, "and"); jparse_deeper(x))
        a = two(x, JN_AND, 0, at, a, not(x));
    x->depth = depth;
    return a;
}

struct jnode *jparse_or(struct jparser *x) {
    int depth = x->depth;
    struct jnode *a = and(x);
    for (const struct jtoken *at; at = x->token, jparse_take_name(x, "or"); jparse_deeper(x))
        a = two(x, JN_OR, 0, at, a, and(x));
    x->depth = depth;
    return a;
}

struct jnode *jparse_expression(struct jparser *x) {
    int depth = x->depth;
    jparse_deeper(x);
    struct jnode *a = jparse_or(x);
    for (const struct jtoken *at; at = x->token, jparse_take_name(x, "if"); jparse_deeper(x)) {
        struct jnode *n = two(x, JN_CHOICE, 0, at, a, jparse_or(x));
        if (jparse_take_name(x, "else")) n->c = jparse_expression(x);
        a = n;
    }
    x->depth = depth;
    return a;
}

static bool ends_tuple(const struct jparser *x) {
    return x->token->type == JT_CLOSE_BLOCK || x->token->type == JT_CLOSE_PRINT ||
           x->token->type == JT_END || jparse_is_sign(x, ")") || jparse_is_sign(x, "]");
}

struct jnode *jparse_tuple(struct jparser *x) {
    const struct jtoken *at = x->token;
    struct jnode *first = jparse_expression(x), *all = NULL;
    while (jparse_take_sign(x, ",")) {
        if (!all) jparse_add(x, all = jparse_node(x, JN_TUPLE, at), first);
        if (ends_tuple(x)) break;
        jparse_add(x, all, jparse_expression(x));
    }
    return all ? all : first;
}

// A template's source as a tree. One kind of node for all: which fields a kind uses stands beside
// it. The tree belongs to the pool and is only read afterwards, by any number of renderings at
// once.
#pragma once
#include "common/jinja/jinja_lexer.h"

enum jkind {
    // expressions
    JN_CONSTANT, // constant
    JN_NAME,     // symbol, text
    JN_LIST,     // items
    JN_TUPLE,    // items
    JN_DICT,     // items: key, value, key, value ...
    JN_ATTR,     // a.text
    JN_ITEM,     // a[b]
    JN_SLICE,    // a[items[0]:items[1]:items[2]], NULL where left out
    JN_CALL,     // a(items), keywords
    JN_FILTER,   // a|filter(items), keywords; a NULL in a filter block
    JN_TEST,     // a is text(items), keywords
    JN_NOT,      // not a
    JN_NEGATIVE, // -a
    JN_POSITIVE, // +a
    JN_BINARY,   // a op b: + - * / d (//) % p (**) ~
    JN_COMPARE,  // a op items[0] ...: each item a JN_OPERAND
    JN_OPERAND,  // op a: = ! < > l (<=) g (>=) i (in) n (not in)
    JN_AND,      // a and b
    JN_OR,       // a or b
    JN_CHOICE,   // a if b else c; c NULL: undefined
    // statements
    JN_TEXT,         // constant
    JN_PRINT,        // a
    JN_BLOCK,        // items in order
    JN_IF,           // if a: b, else c (NULL: nothing)
    JN_FOR,          // for target in a if filter (NULL): b, else c; op 'r': recursive
    JN_SET,          // target = a
    JN_SET_BLOCK,    // target = what b prints, through filter a (NULL)
    JN_MACRO,        // text, parameters items (JN_NAME, their a the default or NULL), body b
    JN_CALL_BLOCK,   // call a with caller = macro b
    JN_FILTER_BLOCK, // what b prints through filter a
    JN_GENERATION,   // b, the assistant's
    JN_WITH,         // target items = a's items: b
    JN_BREAK,
    JN_CONTINUE,
};

struct jnode {
    enum jkind kind;
    uint32_t line, column;
    char op;
    uint32_t symbol; // of a name: what scopes know it by
    struct jnode *a, *b, *c, *target, *filter;
    size_t n;
    struct jnode **items;
    const struct jtext **keywords; // (n) of arguments: NULL where one has no name
    const char *text;
    size_t text_n;
    struct jvalue constant;
    const void *known; // a filter's or test's entry in its table
};

struct jsymbols { // names, numbered from 0
    size_t n, capacity;
    struct jtext *name;
};
uint32_t jinja_symbol(struct jpool *p, struct jsymbols *s, const char *name, size_t n);

enum { JINJA_PARSE_DEPTH = 300 };

struct jparser {
    struct jpool *pool;
    const struct jtoken *token; // the next one
    struct jsymbols *symbols;
    int depth, loops; // loops: for break and continue
    bool generation;  // {% generation %} was there
};

// The whole template, a JN_BLOCK. Fails at what it does not know, naming it.
struct jnode *jinja_parse(struct jparser *x);

// ---- between the parser's files

_Noreturn void jparse_fail(const struct jtoken *at, const struct jparser *x, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));
struct jnode *jparse_node(struct jparser *x, enum jkind kind, const struct jtoken *at);
void jparse_add(struct jparser *x, struct jnode *to, struct jnode *item);
bool jparse_is_sign(const struct jparser *x, const char *sign);
bool jparse_is_name(const struct jparser *x, const char *name);
bool jparse_take_sign(struct jparser *x, const char *sign);
bool jparse_take_name(struct jparser *x, const char *name);
void jparse_expect_sign(struct jparser *x, const char *sign);
struct jnode *jparse_expression(struct jparser *x); // with "a if b else c"
struct jnode *jparse_or(struct jparser *x);         // without
struct jnode *jparse_tuple(struct jparser *x);      // a, b without brackets, or an expression
struct jnode *jparse_filters(struct jparser *x, struct jnode *a); // a|f|g, a may be NULL
struct jnode *jparse_filter(struct jparser *x, struct jnode *a);  // one, after its '|'
struct jnode *jparse_postfix(struct jparser *x, struct jnode *a);
struct jnode *jparse_primary(struct jparser *x);
struct jnode *jparse_name(struct jparser *x); // a JN_NAME
void jparse_deeper(struct jparser *x);        // fails over JINJA_PARSE_DEPTH; depth-- undoes it
// The entry of the filter or test, NULL: none (jinja_filters.c, jinja_tests.c).
const void *jinja_filter_find(const char *name, size_t n);
const void *jinja_test_find(const char *name, size_t n);

// A rendering while it runs; what the interpreter's files share. Nothing outside the room needs it.
#pragma once
#include "common/jinja/jinja.h"
#include "common/jinja/jinja_parser.h"

enum { JINJA_DEPTH = 1200, JINJA_ARGUMENTS = 8, JINJA_RANGE = 100000 };

struct jscope {
    struct jscope *parent; // NULL: the outermost
    size_t n, capacity;
    struct jvariable {
        uint32_t symbol;
        struct jvalue value;
    } * variable;
};

struct jrun {
    struct jpool *pool;
    const struct jinja_rendering *rendering;
    struct jsymbols symbols; // of the template, read only
    const struct jnode *at;  // for messages
    uint64_t steps;
    int depth, generation; // how deep; inside how many {% generation %}
    struct jscope *scope;
    struct jbuild *out;
};

struct jargs { // of a call
    size_t n;
    struct jvalue *v;
    const struct jtext **names; // (n); NULL: by position
};

struct jbound { // the same by the callee's signature
    struct jvalue v[JINJA_ARGUMENTS];
    bool given[JINJA_ARGUMENTS];
    const struct jargs *raw;
};

// A filter, a test, a method or a function. The signature lists the parameters' names with commas;
// "*" takes any (they are in raw). in: what is filtered, tested, or whose method it is.
struct jfunction {
    const char *name, *signature;
    struct jvalue (*run)(struct jrun *r, struct jvalue in, const struct jbound *a);
};

struct jmacro {
    const struct jnode *node;
    struct jscope *scope; // where it was defined
};

struct jloop {
    struct jvalue *items;
    size_t n, i;
    int depth;
    const struct jnode *node; // recursive; NULL: not
    struct jscope *scope;
    struct jvalue changed; // loop.changed's last argument; undefined: none yet
};

_Noreturn void jinja_fail(struct jrun *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void jinja_step(struct jrun *r, uint64_t n); // n units of work; fails over the bound

// jinja_scope.c
void jscope_set(struct jrun *r, struct jscope *s, uint32_t symbol, struct jvalue v);
const struct jvalue *jscope_find(const struct jscope *s, uint32_t symbol); // NULL: none
struct jscope *jscope_push(struct jrun *r, struct jscope *parent);
void jinja_globals(struct jrun *r); // range, namespace, raise_exception ...

// jinja_eval.c
struct jvalue jinja_eval(struct jrun *r, const struct jnode *n);
struct jvalue jinja_attribute(struct jrun *r, struct jvalue of, const char *name, size_t n);
struct jvalue jinja_item(struct jrun *r, struct jvalue of, struct jvalue key);
struct jvalue jinja_call(struct jrun *r, struct jvalue f, const struct jargs *a);
struct jvalue jinja_apply(struct jrun *r, const struct jfunction *f, struct jvalue in,
                          const struct jargs *a);

// jinja_exec.c
struct jvalue jinja_call_macro(struct jrun *r, const struct jmacro *m, const struct jargs *a);
struct jvalue jinja_call_loop(struct jrun *r, const struct jloop *l, const struct jargs *a);
void jinja_exec_template(struct jrun *r, const struct jnode *body);

// jinja_operators.c
struct jvalue jinja_binary(struct jrun *r, char op, struct jvalue a, struct jvalue b);
bool jinja_compare(struct jrun *r, char op, struct jvalue a, struct jvalue b); // as JN_OPERAND
int jinja_order(struct jrun *r, struct jvalue a, struct jvalue b);             // <0, 0, >0
bool jinja_contains(struct jrun *r, struct jvalue list, struct jvalue item);
struct jvalue jinja_slice(struct jrun *r, struct jvalue v, struct jvalue start, struct jvalue stop,
                          struct jvalue step); // none: left out
// What a for loop goes over: a list's items, a dict's keys, a string's characters.
struct jlist jinja_items(struct jrun *r, struct jvalue v);
bool jinja_iterable(struct jvalue v);

// tables
const struct jfunction *jinja_method_find(struct jvalue of, const char *name, size_t n);
const struct jfunction *jinja_entry(const struct jfunction *table, size_t count, const char *name,
                                    size_t n); // NULL: none
extern const struct jfunction jinja_text_methods[], jinja_text_filters[], jinja_list_filters[];
extern const size_t jinja_text_methods_n, jinja_text_filters_n, jinja_list_filters_n;

// Arguments as C has them; fail where they are of another type.
struct jtext jinja_arg_text(struct jrun *r, const struct jbound *a, size_t i, const char *without);
int64_t jinja_arg_int(struct jrun *r, const struct jbound *a, size_t i, int64_t without);
bool jinja_arg_bool(const struct jbound *a, size_t i, bool without);

// jinja_text.c: what methods and filters do with text
struct jtext jtext_strip(struct jtext t, const struct jtext *set, bool left, bool right);
size_t jtext_find(struct jtext t, struct jtext what, size_t from); // byte; SIZE_MAX: nowhere
struct jvalue jtext_split(struct jrun *r, struct jtext t, const struct jtext *by, int64_t most,
                          bool from_right);
struct jtext jtext_replace(struct jrun *r, struct jtext t, struct jtext from, struct jtext to,
                           int64_t most);
enum jcase { JCASE_LOWER, JCASE_UPPER, JCASE_CAPITAL, JCASE_TITLE, JCASE_SWAP };
struct jtext jtext_case(struct jrun *r, struct jtext t, enum jcase how);
struct jtext jtext_join(struct jrun *r, struct jtext between, struct jvalue list);
struct jvalue jtext_lines(struct jrun *r, struct jtext t, bool keep_ends);
struct jtext jtext_pad(struct jrun *r, struct jtext t, int64_t width, char with, int left_share);
struct jtext jtext_percent(struct jrun *r, struct jtext format, const struct jvalue *v, size_t n);

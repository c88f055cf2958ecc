// The values of a template, as Python has them: none, booleans, integers, floats, strings, lists,
// tuples, dicts in order of insertion, and what only templates know (undefined, namespace, macro,
// loop, function, bound method). A value is passed by copy; what it points to lives in a pool.
//
// Strings are UTF-8 with a length (a NUL is a character) and know where each byte comes from, so
// that text somebody typed is distinguished from the template's own: a mark per byte, NULL where
// all of it is the template's.
#pragma once
#include "common/jinja/jinja_pool.h"

enum jtype {
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STRING,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_NAMESPACE,
    J_MACRO,
    J_LOOP,
    J_FUNCTION,
    J_METHOD,
};

// A mark: where the byte comes from, by numbers of whoever makes the values (0: the template
// itself), and whether {% generation %} stood around it.
enum {
    JMARK_TEMPLATE = 0,
    JMARK_SOURCE = 0x7fff,
    JMARK_GENERATION = 0x8000,
};

struct jtext {
    const char *text;
    const uint16_t *mark; // (n); NULL: all JMARK_TEMPLATE
    size_t n;             // bytes
};

struct jvalue {
    enum jtype type;
    union {
        bool truth;
        int64_t integer;
        double real;
        const struct jtext *string; // also an undefined's name
        struct jlist *list;         // also a tuple's
        struct jdict *dict;         // also a namespace's
        struct jmacro *macro;
        struct jloop *loop;
        const struct jfunction *function;
        struct jmethod *method;
    } u;
};

struct jlist {
    size_t n, capacity;
    struct jvalue *items;
};

struct jdict {
    size_t n, capacity;
    struct jvalue *keys, *values;
};

struct jmethod { // self.name, to be called
    struct jvalue self;
    const struct jfunction *function;
};

struct jvalue jinja_none(void);
struct jvalue jinja_bool(bool b);
struct jvalue jinja_int(int64_t i);
struct jvalue jinja_float(double d);
struct jvalue jinja_undefined(struct jpool *p, const char *name, size_t n);
// The bytes are the caller's and must outlive the value.
struct jvalue jinja_text(struct jpool *p, struct jtext t);
struct jvalue jinja_string(struct jpool *p, const char *text); // the template's own
// n bytes, all with one mark; copied.
struct jvalue jinja_marked(struct jpool *p, const char *text, size_t n, uint16_t mark);
struct jvalue jinja_list(struct jpool *p, enum jtype type); // J_LIST or J_TUPLE, empty
void jinja_append(struct jpool *p, struct jvalue list, struct jvalue item);
struct jvalue jinja_dict(struct jpool *p); // empty
// Sets a key, in place where it is there.
void jinja_set(struct jpool *p, struct jvalue dict, struct jvalue key, struct jvalue value);
void jinja_put(struct jpool *p, struct jvalue dict, const char *key, struct jvalue value);
const struct jvalue *jinja_get(const struct jdict *d, struct jvalue key); // NULL: none
const struct jvalue *jinja_get_text(const struct jdict *d, const char *key, size_t n);

bool jinja_is_list(struct jvalue v);   // list or tuple
bool jinja_is_number(struct jvalue v); // int, float or bool
double jinja_number(struct jvalue v);
int64_t jinja_integer(struct jvalue v); // of int or bool
bool jinja_truth(struct jvalue v);
bool jinja_equal(struct jvalue a, struct jvalue b);
const char *jinja_type_name(struct jvalue v); // "a string", for messages

// ---- text being built

struct jbuild {
    struct jpool *pool;
    char *text;
    uint16_t *mark; // NULL: none so far
    size_t n, capacity;
};
void jbuild_add(struct jbuild *b, const char *text, const uint16_t *mark, size_t n);
void jbuild_puts(struct jbuild *b, const char *text);
void jbuild_text(struct jbuild *b, struct jtext t);
struct jtext jbuild_take(const struct jbuild *b);
struct jtext jtext_part(struct jtext t, size_t start, size_t end); // bytes
size_t jtext_length(struct jtext t);                               // characters
// The byte where character i begins; i at most the length.
size_t jtext_offset(struct jtext t, size_t i);

// As Python's str() and repr() write it. Nesting over 100 levels ends in "...".
void jinja_write(struct jbuild *b, struct jvalue v);
void jinja_write_repr(struct jbuild *b, struct jvalue v, int depth);
void jinja_write_float(struct jbuild *b, double d);
struct jtext jinja_str(struct jpool *p, struct jvalue v); // a string's own bytes, or jinja_write's

struct jjson {              // of json.dumps(ensure_ascii=False)
    int indent;             // -1: on one line
    const char *item, *key; // separators
    bool sort;
};
// False where a value has no JSON form.
bool jinja_write_json(struct jbuild *b, struct jvalue v, const struct jjson *how, int depth);

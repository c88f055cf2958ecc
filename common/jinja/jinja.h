// Chat templates: the Jinja that they are written in, rendered as transformers does it.
//
// What transformers' environment has: trim_blocks, lstrip_blocks, break and continue, {% generation
// %}, raise_exception, strftime_now, a tojson that keeps every character. Statements: if, for (with
// filter, else, recursive), set, set blocks, macro, call, filter, with, raw, generation, break,
// continue. Filters, tests and methods are the tables in jinja_filters*.c, jinja_tests.c and
// jinja_methods*.c. Anything else is a failure that names it with line and column.
//
// A template is foreign code, so a rendering is bounded in steps, depth, memory and output, reads
// no file and no clock: strftime_now gives the date that was passed in. The rendered text knows of
// each byte where it comes from (jinja_value.h).
#pragma once
#include "common/base/mem.h"
#include "common/jinja/jinja_value.h"

struct jinja; // a parsed template; read-only afterwards, shared by threads

// NULL with f set (EXIT_BADDATA): "NAME line 3 column 7: ...". `name` is kept: "'chat.jinja'".
struct jinja *jinja_open(const char *source, size_t n, const char *name, struct fail *f);
void jinja_free(struct jinja *t);
bool jinja_has_generation(const struct jinja *t); // {% generation %} stands in it

struct jinja_limits {
    uint64_t steps;
    size_t memory, output; // bytes
};
#define JINJA_LIMITS ((struct jinja_limits){20000000, (size_t)256 << 20, (size_t)64 << 20})

struct jinja_date {
    int year, month, day;
};
#define JINJA_DATE ((struct jinja_date){2024, 7, 26})

// One rendering: jinja_begin, then values made in its pool, jinja_let for each variable,
// jinja_render as often as wanted, jinja_end. Not to be shared by threads.
struct jinja_rendering {
    const struct jinja *template;
    struct jpool pool;
    struct jfault fault;
    struct jinja_limits limits;
    struct jinja_date date;
    size_t n, capacity;
    struct jinja_variable {
        const char *name; // the caller's
        struct jvalue value;
    } * variable;
};
void jinja_begin(struct jinja_rendering *r, const struct jinja *t);
void jinja_let(struct jinja_rendering *r, const char *name, struct jvalue value); // or again
// Into *out, which lives until jinja_end. False with f set (EXIT_BADDATA).
bool jinja_render(struct jinja_rendering *r, struct jtext *out, struct fail *f);
void jinja_end(struct jinja_rendering *r);

// Memory of one template or one rendering: taken in pieces, freed all at once; and the way out of
// the interpreter when something is wrong.
//
// The interpreter is recursive, and everything it makes lives in a pool. So a failure jumps
// straight to the entry (jinja_open, jinja_render), which frees the pool and returns the message:
// the one place of this code that uses setjmp. jinja_fail never returns.
#pragma once
#include "common/base/fail.h"
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jfault {
    jmp_buf jump;
    struct fail *fail;
    const char *name; // of the template, for messages
};

struct jpool {
    struct jpool_block *block;
    size_t used, limit; // bytes over all blocks; more is a failure
    struct jfault *fault;
};

void *jpool_take(struct jpool *p, size_t bytes);               // zeroed, aligned to 16 bytes
char *jpool_copy(struct jpool *p, const void *text, size_t n); // with a NUL after it
void jpool_release(struct jpool *p);

// "NAME line 3 column 7: ..."; line 0: no place.
_Noreturn void jinja_fail_at(struct jfault *fault, uint32_t line, uint32_t column,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));

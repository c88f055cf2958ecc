#include "common/jinja/jinja_pool.h"
#include "common/base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 16, ALIGN = 16 };

struct jpool_block {
    struct jpool_block *next;
    size_t size, used;
    _Alignas(ALIGN) char bytes[];
};

static void add_block(struct jpool *p, size_t bytes) {
    size_t size = bytes > BLOCK ? bytes : BLOCK;
    struct jpool_block *b = xmalloc(sizeof *b + size);
    *b = (struct jpool_block){.next = p->block, .size = size};
    p->block = b;
}

void *jpool_take(struct jpool *p, size_t bytes) {
    if (bytes > p->limit || p->used + bytes > p->limit)
        jinja_fail_at(p->fault, 0, 0, "the template takes more than %zu MiB of memory",
                      p->limit >> 20);
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!p->block || p->block->size - p->block->used < bytes) add_block(p, bytes);
    void *at = p->block->bytes + p->block->used;
    p->block->used += bytes;
    p->used += bytes;
    return memset(at, 0, bytes);
}

char *jpool_copy(struct jpool *p, const void *text, size_t n) {
    char *copy = jpool_take(p, n + 1);
    if (n) memcpy(copy, text, n);
    return copy;
}

void jpool_release(struct jpool *p) {
    for (struct jpool_block *b = p->block, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    p->block = NULL;
    p->used = 0;
}

void jinja_fail_at(struct jfault *fault, uint32_t line, uint32_t column, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++) // one line
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
    if (line)
        fail_set(fault->fail, EXIT_BADDATA, "%s line %u column %u: %s", fault->name, line, column,
                 text);
    else
        fail_set(fault->fail, EXIT_BADDATA, "%s: %s", fault->name, text);
    longjmp(fault->jump, 1);
}

#include "common/base/mem.h"
#include "common/base/fail.h"
#include <assert.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void mem_lacks(size_t bytes) {
    die(EXIT_FAILED, "out of memory: cannot allocate %zu bytes; see --dry-run and --micro-tokens",
        bytes);
}

void *xmalloc(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) mem_lacks(bytes);
    return p;
}

void *xcalloc(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p) mem_lacks(count * size);
    return p;
}

void *xrealloc(void *p, size_t bytes) {
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q) mem_lacks(bytes);
    return q;
}

bool text_ends(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

char *xstrdup(const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(xmalloc(n), s, n);
}

char *xasprintf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) mem_lacks(0);
    va_end(args);
    return text;
}

void mem_give_back(void) {
#ifdef M_MMAP_THRESHOLD // which glibc else raises with every large block that is freed
    mallopt(M_MMAP_THRESHOLD, 1 << 18);
#endif
}

void grow(void *p, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity) return;
    size_t n = *capacity ? *capacity : 16;
    while (n < need) n = n + n / 2 + 8;
    void **slot = p;
    *slot = xrealloc(*slot, n * size);
    *capacity = n;
}

void str_add(struct str *s, const void *bytes, size_t n) {
    grow(&s->text, &s->capacity, s->length + n + 1, 1);
    if (n) memcpy(s->text + s->length, bytes, n);
    s->length += n;
    s->text[s->length] = 0;
}

void str_puts(struct str *s, const char *text) {
    str_add(s, text, strlen(text));
}

void str_printf(struct str *s, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(n >= 0);
    grow(&s->text, &s->capacity, s->length + (size_t)n + 1, 1);
    vsnprintf(s->text + s->length, (size_t)n + 1, format, again);
    va_end(again);
    s->length += (size_t)n;
}

void str_release(struct str *s) {
    free(s->text);
    *s = (struct str){0};
}

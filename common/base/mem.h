// Memory with three lifetimes: the run (big_alloc), the step (arena), a handle (xmalloc, str).
// Nothing here returns NULL: out of memory ends the program with a clear line.
#pragma once
#include <stdbool.h>
#include <stddef.h>

void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t size); // zeroed
void *xrealloc(void *p, size_t bytes);
char *xstrdup(const char *s);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

// From now on blocks of some size go back to the system when they are freed: for a program whose
// large blocks come and go in many sizes, and would leave holes between them.
void mem_give_back(void);

// Grows *p (elements of `size` bytes) so that at least `need` fit; doubles *capacity.
void grow(void *p, size_t *capacity, size_t need, size_t size);

// What a program takes in addition to what it plans: code, libraries, stacks, buffers of files. For
// the plan of --dry-run; measured, 17 to 23 MiB.
#define MEM_PROGRAM ((size_t)20 << 20)

// Large zeroed buffer, 2 MiB pages where the kernel gives them, touched in parallel. big_free it.
void *big_alloc(size_t bytes);
void big_free(void *p, size_t bytes);

// One block handed out in 64-byte aligned pieces; nothing is freed singly. An arena with base NULL
// only measures: take() returns NULL and `peak` says what a real one needs, so that the code that
// lays memory out also plans it.
struct arena {
    char *base;
    size_t size, used, peak;
};
void arena_init(struct arena *a, size_t bytes); // big_alloc behind it
void *arena_take(struct arena *a, size_t bytes);
void arena_release(struct arena *a);

// A growing byte string, always NUL-terminated once something was added.
struct str {
    char *text;
    size_t length, capacity;
};
void str_add(struct str *s, const void *bytes, size_t n);
void str_puts(struct str *s, const char *text);
void str_printf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_release(struct str *s);

// Memory of a handle's lifetime, and growing strings; that of the run and of a step is arena.h.
// Nothing here returns NULL: out of memory ends the program with a clear line.
#pragma once
#include <stdbool.h>
#include <stddef.h>

_Noreturn void mem_lacks(size_t bytes); // that line
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
// the plan of --dry-run; measured, 17 to 24 MiB.
#ifdef WITH_MPI
#define MEM_PROGRAM ((size_t)24 << 20)
#else
#define MEM_PROGRAM ((size_t)22 << 20)
#endif

bool text_ends(const char *text, const char *end); // whether text ends in it

// A growing byte string, always NUL-terminated once something was added.
struct str {
    char *text;
    size_t length, capacity;
};
void str_add(struct str *s, const void *bytes, size_t n);
void str_puts(struct str *s, const char *text);
void str_printf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_release(struct str *s);

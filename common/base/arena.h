// Memory of the run (big_alloc) and of a step (arena): large blocks, taken before the loop. Out of
// memory ends the program with a clear line.
#pragma once
#include <stddef.h>

// Large zeroed buffer, 2 MiB pages where the kernel gives them, touched in parallel, so that on
// several sockets each part is near the thread that begins with it (parallel.h). big_free it.
void *big_alloc(size_t bytes);
void big_free(void *p, size_t bytes);

// One block handed out in 64-byte aligned pieces, each touched as above; nothing is freed singly.
// An arena with base NULL only measures: take() returns NULL and `peak` says what a real one needs,
// so that the code that lays memory out also plans it.
struct arena {
    char *base;
    size_t size, used, peak;
};
void arena_init(struct arena *a, size_t bytes); // zeroed, in 2 MiB pages too
void *arena_take(struct arena *a, size_t bytes);
void arena_release(struct arena *a);

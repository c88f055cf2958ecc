#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>

static const size_t huge_page = 2u << 20;

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

static void *map(size_t bytes) {
    size_t size = round_up(bytes ? bytes : 1, huge_page);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) mem_lacks(bytes);
    madvise(p, size, MADV_HUGEPAGE); // a hint: refusal costs speed only
    return p;
}

static void touch_pages(void *p, size_t first, size_t last) {
    for (size_t i = first; i < last; i++) ((volatile char *)p)[i * huge_page] = 0;
}

// The pages that begin in p's bytes, each by the thread that has this part of p in other jobs.
static void touch(void *p, size_t bytes) {
    size_t before = -(uintptr_t)p % huge_page;
    if (bytes <= before) return;
    parallel_range((bytes - before + huge_page - 1) / huge_page, 1, touch_pages,
                   (char *)p + before);
}

void *big_alloc(size_t bytes) {
    void *p = map(bytes);
    touch(p, bytes);
    return p;
}

void big_free(void *p, size_t bytes) {
    if (p) munmap(p, round_up(bytes ? bytes : 1, huge_page));
}

void arena_init(struct arena *a, size_t bytes) {
    *a = (struct arena){.base = map(bytes), .size = bytes};
}

void *arena_take(struct arena *a, size_t bytes) {
    size_t at = a->used;
    a->used += round_up(bytes, 64);
    if (a->used > a->peak) a->peak = a->used;
    if (!a->base) return NULL;
    assert(a->used <= round_up(a->size, 64));
    touch(a->base + at, bytes);
    return a->base + at;
}

void arena_release(struct arena *a) {
    big_free(a->base, a->size);
    *a = (struct arena){0};
}

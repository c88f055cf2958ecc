// Two compact open-addressing tables: strings <-> ids, and pairs of ids -> merges. Filled once,
// then read by any number of threads.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VOCAB_LIMIT = 1 << 24 }; // ids are below this, so that a hostile file stays small

struct vocab {                 // zero-initialise; vocab_release
    struct str text;           // all strings, each with a NUL after it
    struct vocab_entry *entry; // (size) by id
    size_t size;               // largest id + 1
    size_t entry_capacity;
    int32_t *slot; // ids, -1: free
    size_t slots, count;
};

// False: the string or the id is in use already. 0 <= id < VOCAB_LIMIT.
bool vocab_add(struct vocab *v, const char *text, size_t n, int32_t id);
int32_t vocab_find(const struct vocab *v, const char *text, size_t n); // -1: not there
// NUL-terminated; NULL where no string has this id. n may be NULL.
const char *vocab_text(const struct vocab *v, int32_t id, size_t *n);
void vocab_release(struct vocab *v);

struct merges {          // zero-initialise; merges_release
    struct merge *merge; // (count) by rank
    size_t count, capacity;
    uint32_t *slot; // rank + 1, 0: free
    size_t slots;
};
struct merge {
    int32_t left, right, to;
};
enum { MERGE_NONE = -1 };

// The next rank: left, right -> to. A pair named again takes the later rank.
void merges_add(struct merges *m, int32_t left, int32_t right, int32_t to);
int32_t merges_find(const struct merges *m, int32_t left, int32_t right); // rank or MERGE_NONE
void merges_release(struct merges *m);

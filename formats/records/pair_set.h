// Pairs that were there before: the same, or with chosen and rejected the other way round. Eight
// bytes per pair; two different pairs are taken for one with a chance of 2^-63 each.
#pragma once
#include "formats/records/example.h"
#include <stddef.h>
#include <stdint.h>

struct pair_set { // zero-initialise; pair_set_release
    size_t n, capacity;
    uint64_t *slot; // (capacity, a power of two) 0: free
};
enum pair_seen { PAIR_NEW, PAIR_AGAIN, PAIR_CONTRADICTED };

// What a pair is known by; never 0. Prompt, tools and both responses count.
uint64_t pair_key(const struct example *e);
enum pair_seen pair_set_add(struct pair_set *s, uint64_t key);
void pair_set_release(struct pair_set *s);

// Which rows occur twice: a set of 64-bit hashes, some 12 bytes each. Two different rows are
// taken for one once in 2^64 / rows^2.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row_hashes { // zero: empty
    size_t n, room;
    uint64_t *slot;
};
// Whether it was there already.
bool row_hashes_add(struct row_hashes *h, uint64_t hash);
void row_hashes_release(struct row_hashes *h);

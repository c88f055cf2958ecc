// The seeded order of rows: shards in order, mixed in windows of W shards. It follows from the
// shards' row counts and the seed alone, so a stream of shards gives the order of the finished
// list.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct order {
    uint64_t seed;
    size_t rows, parts, window;
    size_t (*part_rows)(void *self, size_t part); // may wait for the shard
    void *self;
    uint64_t epoch;                           // what `at` holds
    size_t part, first, count, *at, capacity; // window: first part, first row, rows, permutation
};
void order_init(struct order *o, uint64_t seed, size_t rows, size_t parts, size_t window,
                size_t (*part_rows)(void *self, size_t part), void *self);
size_t order_row(struct order *o, uint64_t epoch, size_t k); // k-th row of an epoch
void order_release(struct order *o);

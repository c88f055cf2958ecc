// Reads a teacher set ahead of the training. One thread waits for shards, reads and decodes them
// while earlier steps compute; until cache_prefetch_stop it alone uses the set. In memory are the
// shards of the current step's window and of the next one: two windows at most, or what a step
// spans if that is more. The rows do not depend on how far ahead it is.
#pragma once
#include "formats/teachers/teacher_set.h"

struct cache_prefetch;
// window: shards whose rows are mixed with each other (--shuffle-window). Only rows first ..
// first+rows-1 of the set will be read.
struct cache_prefetch *cache_prefetch_start(struct teacher_set *s, size_t window, size_t first,
                                            size_t rows);
// Rows of a shard, and the first of them; waits for it. 0: failure.
size_t cache_prefetch_part_rows(struct cache_prefetch *r, size_t part, size_t *first);
// Waits until the shards of rows least .. most are decoded; others may be freed. `more`: after the
// last shard the first one is needed again (another epoch). False: f has the reason.
bool cache_prefetch_prepare(struct cache_prefetch *r, size_t least, size_t most, bool more,
                            struct fail *f);
// One of the rows prepared last; valid until the next cache_prefetch_prepare. n is 0: it is lost.
struct teacher_row cache_prefetch_row(struct cache_prefetch *r, size_t row);
struct teacher_set_numbers cache_prefetch_numbers(struct cache_prefetch *r); // of the set, so far
double cache_prefetch_waited(struct cache_prefetch *r); // seconds in cache_prefetch_prepare so far
void cache_prefetch_stop(struct cache_prefetch *r);     // the set is the caller's again

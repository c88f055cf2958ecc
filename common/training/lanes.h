// The gradient of a step as a sum of lanes: its rows are cut into L consecutive groups of about the
// same number of tokens, each is summed in order into a buffer of its own, and the sums are added
// along a fixed binary tree of neighbours: ((0 + 1) + (2 + 3)) + .... Nothing of this depends on
// ranks, threads or micro-batches. A rank computes a block of consecutive lanes that is a part of
// that tree, so 1, 2, 4 .. L ranks make the same bits; with L = 1 they are those of a plain sum.
#pragma once
#include "common/engine/exchange.h"
#include "common/engine/net.h"

// Lanes of each rank's block (the last one may have fewer), a power of 2; 0: so many ranks cannot
// share out these lanes.
size_t lanes_block(size_t lanes, int ranks);
// "1, 2 or 4", the numbers of ranks that can; free() it.
char *lanes_ranks(size_t lanes);
// Buffers of the gradients' size in addition to the optimiser's own: the partial sums of a block.
size_t lanes_buffers(size_t lanes, int ranks);

struct lanes;
// block: lanes_block(lanes, ranks_count()).
struct lanes *lanes_new(struct optim *o, struct exchange *x, size_t lanes);
void lanes_free(struct lanes *l);

// Before a step of n rows with so many tokens. Rows first .. end-1 of a lane: lanes_range.
void lanes_cut(struct lanes *l, const size_t *tokens, size_t n);
size_t lanes_own(const struct lanes *l); // how many are this rank's
// Of this rank's i-th lane; *before: tokens of the step's rows before it.
void lanes_range(const struct lanes *l, size_t i, size_t *first, size_t *end, size_t *before);
// Zeros to sum the gradients of the next own lane in.
float *lanes_begin(struct lanes *l);
// In the last micro-batch of the last own lane: what of the gradients is final leaves already.
void lanes_watch(struct lanes *l, struct net *net, bool on);
void lanes_end(struct lanes *l); // of that lane
// All own lanes are over, or were given up, which makes the sums anything: o->grads is the sum over
// all lanes; of own buckets where the optimiser is sharded.
void lanes_sum(struct lanes *l);

// Gradients summed over ranks, and what each rank then owns passed to all. The flat buffer is cut
// into the optimiser's buckets (optim.h), each rank's gradients are the sum of a block of leaves of
// one binary tree, and the owner of a bucket adds what the ranks send it along the upper part of
// that tree: ((0 + 1) + (2 + 3)) + ..., a last one without a partner waiting for the next level. So
// the sum has the same bits however many ranks the leaves are on. A rank sends n (R - 1) / R
// numbers, which no way of summing can do with less.
//
// Buckets leave as soon as they are final, from the end of the buffer, where the backward pass
// begins, while it goes on: a thread of the exchange's own moves and adds them, where the MPI
// allows calls of several threads (else they move at each exchange_ready). Several rows of R
// buckets are in flight. With one rank nothing happens. No other call to ranks.h may come between
// the first exchange_ready of a step and its exchange_sum.
#pragma once
#include "common/engine/optim.h"

struct exchange;
struct exchange *exchange_new(struct optim *o);
void exchange_free(struct exchange *x);
size_t exchange_plan(const struct model *m, int ranks); // bytes

// to (n) += from: a step up the tree, on the ranks and between them.
void exchange_add(float *to, const float *from, size_t n);
// o->grads from number `from` on are this rank's own sums: what can be sent of them is.
void exchange_ready(struct exchange *x, size_t from);
// All are. Returns when every bucket's sum over all ranks is in o->grads of its owner.
void exchange_sum(struct exchange *x);
// Every rank's own buckets of the flat buffer `values` to all others.
void exchange_spread(struct exchange *x, float *values);
// The same to rank 0 alone: from `own`, laid out like a sharded optimiser's moments, to `all`
// (trained.n) there. Back: on every rank from its `all` to its `own`, without any message.
void exchange_collect(struct exchange *x, const float *own, float *all);
void exchange_keep(struct exchange *x, float *own, const float *all);

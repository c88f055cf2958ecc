// Forward and backward of the decoder over a micro-batch. One arena, planned before the loop.
//
// net_forward leaves the final hidden states; logits exist only for positions, a chunk at a time:
// net_logits makes them, the objective turns them into dlogits in place, net_head_backward takes
// them back, and net_backward adds the gradients of all parameters. Chunks never cross a unit.
#pragma once
#include "common/engine/batch.h"
#include "common/engine/model.h"

struct net;

struct net_limits {
    size_t rows;         // most rows in a micro-batch
    size_t positions;    // most positions in it
    size_t trees_tokens; // longest attention span (prefix + own rows) of a segment
    bool backward;       // false: inference only, one layer's activations
    bool recompute;      // keep only the layers' inputs and make the rest again: the same bits
};

size_t net_plan(const struct model *m, const struct net_limits *l); // arena bytes
struct net *net_new(const struct model *m, const struct net_limits *l);
void net_free(struct net *net);

void net_forward(struct net *net, const struct batch *b);

size_t net_vocab(const struct net *net); // V (a reward model: 1)
// logits (count,V) of the chunk, V: vocab_used.
void net_logits(struct net *net, struct chunk c, float *logits);
float *net_logits_buffer(struct net *net); // (CHUNK_POSITIONS, V), in the arena

// Dropout of the adapter, if it has one, from here on; rows are counted from the step's first one.
// Without this call (a net that only looks) there is none.
void net_begin_step(struct net *net, uint64_t seed, uint64_t step);
// The next batch begins so many rows into the step; else it follows the batch before.
void net_begin_rows(struct net *net, size_t before);

// grads, laid out as model_trained() says, is added to. dlogits (count,V): with respect to the
// chunk's logits.
void net_head_backward(struct net *net, struct chunk c, const float *dlogits, float *grads);
void net_backward(struct net *net, const struct batch *b, float *grads);
// From now on net_backward calls watch(self, from) whenever it has added the last of its own to all
// gradients from number `from` on; `from` falls. NULL: no more.
void net_watch(struct net *net, void (*watch)(void *self, size_t from), void *self);
// Adds the embedding's gradients of all micro-batches since the last call; once per step, at its
// end.
void net_end_step(struct net *net, float *grads);

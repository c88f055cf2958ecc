// Causal grouped-query attention over the segments of a batch, in blocks of queries and keys with a
// running maximum and sum (Dao et al. 2022): memory grows with the length, not with its square. The
// backward makes the probabilities again from the saved log-sum-exp. A segment attends to its
// prefix's rows and to its own rows up to itself; with a window, to the last so many of them alone.
//
// Blocks lie at fixed places of a segment and are added in order, products are kernels.h's: so the
// bits depend neither on the threads nor on what else is in the batch.
#pragma once
#include "common/engine/batch.h"

enum { ATTENTION_ROWS = 32, ATTENTION_KEYS = 192 }; // of a block; fixed, for the bits

struct attention {
    const struct batch *batch;
    size_t heads, kv_heads, dim; // H G D; D at most KERNEL_DEPTH
    size_t span;                 // most keys before a query, and itself
    float *scratch;              // attention_scratch() floats
    size_t window;               // most keys a query sees; 0: all
    float scale;                 // of the scores; 0: 1 / sqrt(D)
    bool rounded;                // numbers of out are rounded to bf16
};
size_t attention_scratch(size_t span, size_t dim); // floats, for all threads

// qkv (N, (H+2G)D), after RoPE -> out (N, HD), lse (N, H)
void attention_forward(const struct attention *a, const float *qkv, float *out, float *lse);
// dqkv (N, (H+2G)D) is overwritten; out, lse as the forward left them, dout (N, HD)
void attention_backward(const struct attention *a, const float *qkv, const float *out,
                        const float *lse, const float *dout, float *dqkv);

// Inside of struct net, shared by net*.c alone.
#pragma once
#include "common/engine/attention.h"
#include "common/base/mem.h"
#include "common/engine/net.h"

struct layer_state { // what a layer's forward leaves for its backward
    float *in;       // (N,C) the residual stream before attention
    float *qkv;      // (N,(H+2G)D) after bias, norm, RoPE
    float *raw;      // (N,(H+G)D) q and k before q/k norm; NULL without
    float *lse;      // (N,H)
    float *att;      // (N,HD)
    float *mid;      // (N,C) the residual stream before the feed-forward part
    float *gate_up;  // (N,2F)
};

struct net {
    const struct model *model;
    struct net_limits limits;
    struct arena arena;
    struct attention attention;
    struct layer_state *layer; // (L), which share what need not be kept
    float *cosine, *sine;      // (span, D/2)
    uint32_t *place;           // (N) position of a row in its sequence
    float *out;                // (N,C) the residual stream after the last layer
    float *hidden, *dhidden;   // (P,C) normed rows of the positions, and their gradients
    float *logits;             // (CHUNK_POSITIONS,V)
    float *norm;               // (N,C) scratch: normed rows
    float *act;                // (N,F) scratch
    float *dx, *dnorm;         // (N,C) scratch of the backward
    float *datt, *dqkv, *dact; // (N,HD) (N,(H+2G)D) (N,F)
    float *dembed;             // (V,C) where tied: the input side's gradients of the step
    struct rowplan rows;
};

static inline size_t net_qkv_width(const struct model_config *c) {
    return (c->heads + 2 * c->kv_heads) * c->head_dim;
}

// Layer l from its input to gate_up.
void net_layer_inside(struct net *net, const struct batch *b, size_t l);
// net->act (n,F) = silu(gate) up; y (n,C), if not NULL, = the residual stream `mid`
void net_swiglu(struct net *net, const struct layer_state *s, float *y, size_t n);
// y (rows) = RMSNorm of x with the weights at `offset`, all rows in parallel
void net_norm_rows(const struct net *net, float *y, const float *x, size_t offset, size_t n);

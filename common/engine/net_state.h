// Inside of struct net, shared by net*.c alone.
#pragma once
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/engine/attention.h"
#include "common/engine/layer.h"
#include "common/engine/net.h"

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
    float *dx, *dnorm;         // (N,C) scratch of the backward
    float *datt, *dqkv, *dact; // (N,HD) (N,(H+2G)D) (N,F)
    float *dembed;             // (V,C) where tied: the input side's gradients of the step
    struct layer_rows rows;    // of the batch
    struct linear_dropout dropout;
    bool drops;        // since net_begin_step
    size_t batch_rows; // of the batch before
};

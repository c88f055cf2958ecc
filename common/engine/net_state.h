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
    uint16_t *kept;            // (L,N,net_kept_width) of them in bf16, or NULL; net_kept.c
    struct rope rope[2];       // (span, R/2) by kind of layer
    uint32_t *place;           // (N) position of a row in its sequence
    float *out;                // (N,C) the residual stream after the last layer
    float *hidden, *dhidden;   // (P,C) normed rows of the positions, and their gradients
    float *logits;             // (CHUNK_POSITIONS,V)
    float *dx, *dnorm;         // (N,C) scratch of the backward
    float *dadded; // (N,C) of what is added to the stream, before its norm, if it has one
    float *datt, *dqkv, *dact; // (N,HD) (N,(H+2G)D) (N,F)
    float *dembed;             // (V,C) where tied: the input side's gradients of the step
    struct layer_rows rows;    // of the batch
    struct linear_dropout dropout;
    void (*watch)(void *self, size_t from); // see net_watch; or NULL
    void *watcher;
    bool drops;        // since net_begin_step
    size_t batch_rows; // of the batch before
};

struct attention net_attention(const struct net *net, size_t l); // of layer l

size_t net_kept_width(const struct model_config *c); // numbers of a row and layer
// Of the first `rows` rows, after layer l's forward: its state is kept, where net->kept is.
void net_keep(const struct net *net, size_t l, size_t rows);
// Before its backward: its state as it was kept, or rounded so where it is still there. Nothing
// happens in float32.
void net_recall(const struct net *net, size_t l, size_t rows);

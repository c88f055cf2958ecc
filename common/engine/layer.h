// The forward pass of a layer: norms, projections, RoPE, attention and the feed-forward part over
// rows. Training (net.h) and decoding (decoder.h) run this one code; they differ in where keys and
// values are kept, which `attend` says, and in how long a layer's activations live.
//
// Where the model's products are in bf16, so are the activations between them: q, k, v, attention's
// output and the gate are rounded as they are made. The residual stream stays float32.
#pragma once
#include "common/engine/linear.h"
#include "common/engine/rope.h"

struct layer_state {          // a layer's activations
    float *in;                // (n,C) the residual stream before attention
    float *qkv;               // (n,(H+2G)D) after bias, norm, RoPE
    float *raw;               // (n,(H+G)D) q and k before q/k norm; NULL: not kept
    float *lse;               // (n,H) of `attend`
    float *att;               // (n,HD)
    float *mid;               // (n,C) the residual stream before the feed-forward part; may be `in`
    float *gate_up;           // (n,2F)
    float *att_out, *mlp_out; // (n,C) what is added to the stream, before its norm; NULL: has none
};

struct layer_rows { // the rows on their way through the layers
    const struct model *model;
    size_t n;
    struct linear_rows linear;
    const struct rope *rope; // (2) of rope_fill
    const uint32_t *place;   // (n) position of a row in its sequence
    float *norm, *act;       // (n,C) (n,F) scratch
    void *self;
    // att from qkv, of layer l; rounded where the model is
    void (*attend)(void *self, size_t l, const struct layer_state *s);
};

struct normed_heads {         // columns of qkv that one norm's weights are for
    size_t first, end, width; // `width` columns are normed together
    size_t weights;
};
// Those of q and of k.
void layer_qk_norms(const struct model_config *c, const struct layer_offsets *o,
                    struct normed_heads part[2]);

void layer_embed(const struct layer_rows *r, const int32_t *ids, float *x); // (n) -> (n,C)
// Layer l: s->in -> out (n,C), the next residual stream; out may be s->mid.
void layer_forward(const struct layer_rows *r, size_t l, const struct layer_state *s, float *out);
// Its first part alone: s->in -> gate_up.
void layer_inside(const struct layer_rows *r, size_t l, const struct layer_state *s);
// Its middle: act = silu(gate) up, or gelu; out (n,C), if not NULL, = the residual stream `mid`.
void layer_gated(const struct layer_rows *r, const struct layer_state *s, float *out);
// What goes into a projection: r->norm = RMSNorm of x (n,C) by the weights at `offset`, or x itself
// where that is SIZE_MAX.
const float *layer_input(const struct layer_rows *r, const float *x, size_t offset);
// y (count,C) = RMSNorm of x by the weights at `offset`; row i of y is row row[i] of x, or row i
// where `row` is NULL.
void layer_norm(const struct model *m, float *y, const float *x, const size_t *row, size_t count,
                size_t offset);
// logits (rows of r,V) of normed rows x; V is vocab_used.
void layer_logits(const struct model *m, const struct linear_rows *r, const float *x,
                  float *logits);

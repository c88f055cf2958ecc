// The projections of the decoder, y = x W^T, forward and backward in one place: what a projection
// may have besides its weights, an adapter (adapter.h) or another precision, is here alone.
#pragma once
#include "common/engine/gemm.h"
#include "common/engine/model.h"

enum projection {    // of a layer, but for the last
    PROJECT_QKV,     // C -> (H+2G)D: queries, keys, values
    PROJECT_OUT,     // HD -> C: after attention
    PROJECT_GATE_UP, // C -> 2F
    PROJECT_DOWN,    // F -> C
    PROJECT_HEAD,    // C -> V; its `layer` is ignored
};

struct linear { // W (out,in) at an offset of the model's numbers
    size_t weight, out, in;
};
struct linear linear_of(const struct model *m, size_t layer, enum projection which);

struct linear_dropout {             // of the adapter's input in training
    uint64_t seed, step, first_row; // first_row: of the batch's row 0 within the step
};

struct linear_rows {     // how the rows of x are multiplied
    struct rowplan plan; // units, in order; by tiles
    float *low, *dlow;   // (n, linear_low_width) scratch, with an adapter; dlow for the backward
    size_t kept;         // rows that low has room for, each with what the backward needs of every
                 // layer, (layers, linear_low_kept): it is not computed there again; 0: none
    float *wide;                          // (n, linear_wide) scratch, with dropout
    const struct linear_dropout *dropout; // NULL: none
};
// Packs the projections' weights where they lie (gemm_pack), for a model that is only run from now
// on, as all are that share them; `rounded` stays what it is.
void linear_pack(struct model *m);
size_t linear_low_width(const struct model *m); // 0 without an adapter
size_t linear_low_kept(const struct model *m);  // of all projections of a layer
size_t linear_wide(const struct model *m);      // 0 without dropout

// y (n,out) = x (n,in) W^T, + y if add.
void linear_forward(const struct model *m, const struct linear_rows *r, size_t layer,
                    enum projection which, float *y, const float *x, bool add);
// dx (n,in) = dy (n,out) W; NULL: not wanted. The gradients of W, or of the adapter where there is
// one, are added to grads, laid out as model_trained() says.
void linear_backward(const struct model *m, const struct linear_rows *r, size_t layer,
                     enum projection which, float *dx, const float *dy, const float *x,
                     float *grads);

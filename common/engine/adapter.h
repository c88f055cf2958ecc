// A low-rank adapter (LoRA, Hu et al. 2021) on top of a model's weights, which stay as they are:
//   y = x W^T + s (x A^T) B^T,   A (R,in), B (out,R),   s = alpha / R, or alpha / sqrt(R)
// (rank-stabilised, Kalajdzievski 2023). Where a model has one, A and B are all that is trained;
// linear.c computes with them. B is zero at the start, so an untrained adapter changes nothing.
//
// Tensors have the names of PEFT (base_model.model. + the module + .lora_A.weight).
//
// Dropout is of the adapter's input x alone, seeded by the step, the row within the step and the
// column: the same whatever the micro-batch. Projections that share an input (q k v, gate up)
// share its mask.
#pragma once
#include "common/engine/model.h"

enum adapter_target {
    ADAPT_Q,
    ADAPT_K,
    ADAPT_V,
    ADAPT_QKV, // of models that have these three as one (model_config.fused), likewise gate, up
    ADAPT_O,
    ADAPT_GATE,
    ADAPT_UP,
    ADAPT_GATE_UP,
    ADAPT_DOWN,
    ADAPTER_TARGETS
};

struct adapter_config {
    size_t rank; // R
    double alpha, dropout;
    bool rank_stabilised;
    bool target[ADAPTER_TARGETS];
};

struct adapter_pair { // offsets into params; SIZE_MAX: not a target
    size_t a, b;
};

struct adapter {
    struct adapter_config config;
    float scale; // s
    struct parameters trained;
    struct adapter_pair (*layer)[ADAPTER_TARGETS]; // (L)
};

// "q" ... "down"; "self_attn.q_proj" ...
const char *adapter_target_name(enum adapter_target t);
const char *adapter_module_name(enum adapter_target t);
// "q,v" -> the targets; false: an unknown one, or none.
bool adapter_targets_parse(const char *text, bool target[ADAPTER_TARGETS]);
void adapter_targets_text(const bool target[ADAPTER_TARGETS], char *text, size_t size);
// All projections that the model has.
void adapter_targets_all(const struct model_config *c, bool target[ADAPTER_TARGETS]);
// out is 0 where the model has no such projection.
void adapter_shape(const struct model_config *c, enum adapter_target t, size_t *out, size_t *in);

// Puts an adapter of zeros onto m, whose tensors are no longer trainable. Where m has q, k, v as
// one, the three targets together are that one, likewise gate, up. False, with a message: the
// configuration makes no sense, or not with m.
bool adapter_attach(struct model *m, const struct adapter_config *c, char *why, size_t size);
// A is drawn from normal(0, 1/R), or uniformly within 1/sqrt(in) as PEFT does; B is zero.
void adapter_randomise(struct model *m, uint64_t seed, bool gaussian);
// W += s B A in m, which must be float32 and the only one to hold its weights; then m has no
// adapter.
void adapter_merge(struct model *m);
void adapter_free(struct adapter *a);

// The decoder of the Llama family and its relatives, which differ in data of the configuration
// alone: configuration and the one tensor table. The table drives layout, files,
// import, export, decay and gradient checks; parameters, gradients and both Adam moments are flat
// buffers of this one layout. Forward and backward are in common/engine/net.h.
//
// A model that is only run may be held in bf16: its matrices are rounded to 2 bytes per number, its
// vectors stay float32. It computes what a float32 model of the rounded numbers computes, bit for
// bit.
#pragma once
#include "common/engine/gemm.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Most tokens of a vocabulary, here and in every file; most layers.
enum { MODEL_VOCAB = 1 << 24, MODEL_LAYERS = 1000 };
enum { MODEL_HEAD = 256, MODEL_FREQUENCIES = MODEL_HEAD / 2 }; // most of a head: numbers, rotations

enum model_norms { // where the residual stream is normed
    NORMS_BEFORE,  // what goes into attention and the feed-forward part: Llama
    NORMS_AFTER,   // what they add to the stream: OLMo 2
    NORMS_AROUND,  // both: Gemma 3
    NORMS_KINDS
};

struct model_config {
    size_t layers, width, heads, kv_heads, head_dim, hidden, vocab; // L C H G D F V
    size_t vocab_used; // V of logits: rows from here on are padding, no tokens (0: all are used)
    size_t max_positions;
    double norm_eps, rope_theta;
    double rope_factor; // 1: none; `linear` if rope_original == 0, else llama3
    double rope_low, rope_high, rope_original; // llama3: low/high_freq_factor, original positions
    bool tied, qkv_bias, qk_norm;
    bool reward_head; // one number per row in place of logits: a reward model; never tied
    // Sliding windows: a query sees `window` keys at most, its own included (0: all). Layers before
    // window_first have none, nor has the last of every window_period layers (0: all have).
    size_t window, window_first, window_period;
    size_t norms;       // enum model_norms
    bool qk_norm_whole; // the q/k norm is over all heads together, with weights for each
    bool fused;         // q, k, v are one tensor, gate, up too; they lie in memory as always
    bool norm_plus_one; // the norms multiply by 1 + their weights
    bool gelu;          // of the gate (its tanh form) in place of silu
    double embed_scale; // of what the embedding gives (0: 1)
    double score_size;  // attention's scores are divided by its root (0: head_dim)
    double rope_local;  // theta in layers with a window, unscaled (0: as in the others)
    size_t rope_dim;    // numbers of a head that turn, the first ones (0: all)
    double rope_gain;   // what turns is multiplied by it, unless by rope_local (0: 1)
    double rope_divisor[MODEL_FREQUENCIES]; // of each frequency, in place of scaling (0: none)
};

struct tensor {
    char name[96];     // its Hugging Face name
    size_t rows, cols; // a vector has rows 1
    size_t offset;     // into the flat buffer
    bool vector;       // 1-dimensional in files
    bool decay;        // weight decay: matrices only
    bool trainable;    // else the optimiser leaves it as it is
};

struct parameters { // what training changes: a flat buffer and its table
    struct tensor *tensors;
    size_t n_tensors, n; // n: places, padding included (zeros)
    float *values;       // (n)
};

struct layer_offsets { // into the flat buffers; SIZE_MAX: the model has none
    size_t norm1, q, k, v, o, norm2, gate, up, down; // q,k,v contiguous; gate,up contiguous
    size_t post1, post2;                             // norms of what is added to the stream
    size_t q_bias, k_bias, v_bias, q_norm, k_norm;   // biases contiguous
};

struct packed { // projections that are, for gemm_forward alone: see linear_pack
    bool layers, head;
};

struct sharing {
    size_t models;
    struct packed packed;
};

struct model {
    struct model_config config;
    bool bf16;                  // to be run only
    bool rounded;               // its projections' products are in bf16 (--precision bf16)
    struct packed packed;       // see model_packed
    size_t n_tensors, n_params; // n_params: places of a flat buffer, padding included (zeros)
    struct tensor *tensors;
    struct layer_offsets *layer; // (L)
    size_t embed, norm, head;    // head == embed where tied
    float *params;               // (n_params), or NULL before model_alloc and in bf16
    uint16_t *half;              // (n_params) in bf16; a number of a vector takes two places
    struct sharing *sharing;     // with the models that hold these weights; NULL: this one alone
    struct adapter *adapter;     // common/engine/adapter.h; NULL: none
};

size_t model_qkv_width(const struct model_config *c); // (H+2G)D
// Most keys that a query of the layer sees; 0: all.
size_t model_window(const struct model_config *c, size_t layer);
float model_score_scale(const struct model_config *c); // 1 / sqrt(score_size)
size_t model_rope_width(const struct model_config *c); // numbers of a head that turn
size_t
model_outputs(const struct model_config *c); // of the head: vocab_used, or 1 with reward_head

// Lays out the table. Embedding first, then layers, final norm, head. False with a message in `why`
// (of `size` bytes) where the config makes no sense (heads not a multiple of kv_heads, ...).
bool model_init(struct model *m, const struct model_config *c, char *why, size_t size);
bool model_init_bf16(struct model *m, const struct model_config *c, char *why, size_t size);
void model_alloc(struct model *m); // params or half, zeroed
// `to` holds the same weights in memory, which are freed with the last of those that do; its own
// adapter is none.
void model_share(struct model *to, struct model *from);
// The weights themselves, or the adapter where there is one.
struct parameters model_trained(const struct model *m);
void model_copy(struct model *to, const struct model *from);
void model_copy_bf16(struct model *to, const struct model *from); // `from` in float32
uint16_t model_bf16(float x); // rounded to nearest, ties to even
// Puts n numbers of a tensor at its number `first`, rounded to nearest even where that is bf16.
void model_store(struct model *m, const struct tensor *t, size_t first, size_t n, const float *x);
size_t model_bytes(const struct model *m); // of the weights in memory, without an adapter
// Of n models in memory, NULLs left out: weights that are shared count once, adapters are added.
size_t models_bytes(size_t n, const struct model *const *m);
// What is at an offset: a vector, a matrix, a row (width) of the embedding.
const float *model_vector(const struct model *m, size_t offset);
struct weights model_matrix(const struct model *m, size_t offset);
struct packed model_packed(const struct model *m);
void model_set_packed(struct model *m, struct packed p); // for all that share the weights
void model_embedding(const struct model *m, int32_t id, float *to);
// to, a reward model: the language model's weights, and a head of zeros.
bool model_reward_from(struct model *to, const struct model *from, char *why, size_t size);
// Random weights: normal(0, 0.02), residual projections (o, down) scaled by 1/sqrt(2L), norms 1.
void model_randomise(struct model *m, uint64_t seed);
// The same for numbers first .. first+n-1 of a tensor of m's table; m needs no weights in memory.
void model_random(const struct model *m, const struct tensor *t, uint64_t seed, size_t first,
                  size_t n, float *to);
// Numbers, without padding; of a model its own, without an adapter's.
size_t parameters_count(const struct parameters *p);
size_t model_count(const struct model *m);
const struct tensor *model_tensor(const struct model *m, const char *name); // NULL: none
void model_release(struct model *m);

// The model families that import takes, by the model_type of config.json: what all models of a
// family have in common, what a missing key means, and the class of transformers that loads them.
#pragma once
#include "common/engine/model.h"

struct hf_family {
    const char *name, *class_name; // model_type; CLASSForCausalLM
    struct model_config config;    // what all of them have
    size_t positions, head_dim;    // of a missing key; 0: required, and width / heads
    bool all_heads;                // num_key_value_heads is that of the heads where missing
    bool windows;                  // sliding_window is a key of theirs
    size_t window;                 // where it is missing; 0: none
    double norm_eps;               // rms_norm_eps where it is missing; 0: 1e-6
    double rope_theta;             // where it is missing; 0: 1e4
    bool tied;                     // tie_word_embeddings where it is missing
    bool gemma;                    // has the keys of Gemma 3
    bool partial;                  // partial_rotary_factor means something
    const char *keys[9];           // theirs alone: understood, or without effect
};

const struct hf_family *hf_family_find(const char *model_type); // NULL: none
// "llama, mistral, ...", of static storage
const char *hf_family_names(void);

// A model of one or two narrow layers with random numbers, for tests of what is built on a model.
// Include after cmocka.h.
#pragma once
#include "common/base/rng.h"
#include "common/engine/model.h"

// The dimensions that most tests share; change what the test is about.
static inline struct model_config small_config(size_t vocab, size_t used, size_t max_positions) {
    return (struct model_config){.layers = 1,
                                 .width = 16,
                                 .heads = 2,
                                 .kv_heads = 1,
                                 .head_dim = 8,
                                 .hidden = 24,
                                 .vocab = vocab,
                                 .vocab_used = used,
                                 .max_positions = max_positions,
                                 .norm_eps = 1e-5,
                                 .rope_theta = 10000};
}

// Every number, norms' too, is normal times scale; release it with model_release().
static inline struct model small_model(struct model_config c, uint64_t seed, double scale) {
    struct model m;
    char why[200];
    assert_true(model_init(&m, &c, why, sizeof why));
    model_alloc(&m);
    for (size_t i = 0; i < m.n_params; i++)
        m.params[i] = (float)(scale * rng_normal(seed, RNG_TEST, 3, i));
    return m;
}

// As above, but vectors (norms, biases) are around `vector`, so that every part of the net matters.
static inline struct model small_model_around(struct model_config c, uint64_t seed, double scale,
                                              double vector) {
    struct model m = small_model(c, seed, 0);
    for (size_t i = 0; i < m.n_tensors; i++)
        for (size_t j = 0; j < m.tensors[i].rows * m.tensors[i].cols; j++)
            m.params[m.tensors[i].offset + j] = (float)(scale * rng_normal(seed, RNG_TEST, i, j) +
                                                        (m.tensors[i].vector ? vector : 0));
    return m;
}

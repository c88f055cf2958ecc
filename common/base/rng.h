// Counter-based random numbers (Philox4x32-10, Salmon et al. 2011): a value depends on seed,
// stream, row and position only, never on what was drawn before, so any order of work gives the
// same draws.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum rng_stream { // what a number is for; the values are part of every result, never renumber
    RNG_INIT = 1,
    RNG_ORDER = 2,
    RNG_SAMPLE = 3,
    RNG_SPLIT = 4,
    RNG_WORLD = 5,
    RNG_LABEL = 6,
    RNG_TEST = 7,
    RNG_BOOTSTRAP = 8,
    RNG_ADAPTER = 9,
    RNG_DROPOUT = 10,
};

uint64_t rng_bits(uint64_t seed, enum rng_stream stream, uint64_t row, uint64_t position);
double rng_uniform(uint64_t seed, enum rng_stream stream, uint64_t row, uint64_t position); // [0,1)
double rng_normal(uint64_t seed, enum rng_stream stream, uint64_t row, uint64_t position);
// order (n): a uniform permutation of 0..n-1, a function of seed, stream and salt.
void rng_permute(uint64_t seed, enum rng_stream stream, uint64_t salt, size_t n, size_t *order);

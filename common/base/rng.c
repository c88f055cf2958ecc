#include "common/base/rng.h"
#include <math.h>

static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)p0;
}

uint64_t rng_bits(uint64_t seed, enum rng_stream stream, uint64_t row, uint64_t position) {
    uint32_t c[4] = {(uint32_t)row, (uint32_t)(row >> 32), (uint32_t)position,
                     (uint32_t)(position >> 32) ^ ((uint32_t)stream << 24)};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < 10; i++) {
        philox_round(c, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (uint64_t)c[0] << 32 | c[1];
}

double rng_uniform(uint64_t seed, enum rng_stream stream, uint64_t row, uint64_t position) {
    return (double)(rng_bits(seed, stream, row, position) >> 11) * 0x1p-53;
}

double rng_normal(uint64_t seed, enum rng_stream stream, uint64_t row, uint64_t position) {
    uint64_t bits = rng_bits(seed, stream, row, position);
    double u = ((double)(bits >> 32) + 0.5) * 0x1p-32, v = (double)(uint32_t)bits * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

void rng_permute(uint64_t seed, enum rng_stream stream, uint64_t salt, size_t n, size_t *order) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) { // Fisher-Yates; the bias of the product is below 2^-32
        size_t j = (size_t)(((unsigned __int128)rng_bits(seed, stream, salt, i) * i) >> 64);
        size_t t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}

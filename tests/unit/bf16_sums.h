// What an output of a product in bf16 must be, to the last bit: the numbers rounded, added in the
// order of the level.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline float rounded_to_bf16(float x) { // what is below 2^-55 counts as 0
    if (fabsf(x) < 0x1p-55f) return 0;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float widened(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// One chain of fused multiply-adds from 0, the second of each pair first, added to `to`
// (VDPBF16PS); tiles: of each 32 numbers the even and the odd ones are chains of their own, whose
// sum is added to it (TDPBF16PS).
static inline float bf16_sum(float to, const float *a, const float *b, size_t n, bool tiles) {
    enum { PER_TILE = 32 };
    float sum = tiles ? to : 0;
    for (size_t first = 0; first < n; first += PER_TILE) {
        float chain[2] = {0};
        for (size_t p = first; p < first + PER_TILE; p++) {
            size_t k = p ^ 1;
            float *term = tiles ? &chain[k % 2] : &sum;
            if (k < n) *term = fmaf(rounded_to_bf16(a[k]), rounded_to_bf16(b[k]), *term);
        }
        if (tiles) sum += chain[0] + chain[1];
    }
    return tiles ? sum : to + sum;
}

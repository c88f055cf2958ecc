// What kernels.c and kernels_products.c share: vectors of 16 floats whatever the level, weights in
// float32 or bf16, and the names of a level's functions. Only those two include it, compiled once a
// level with KERNELS set.
#pragma once
#include "common/kernels.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wpsabi" // all is inlined: no vector is passed

#define AT_LEVEL_OF(name, level) name##_##level
#define AT_LEVEL_IN(name, level) AT_LEVEL_OF(name, level)
#define AT_LEVEL(name) AT_LEVEL_IN(name, KERNELS) // as in rows_kernels_avx2

#if defined(__AVX512F__)
enum { LANES = 16, PANEL = 8, VECTORS = 3 }; // accumulators: PANEL x VECTORS registers
#elif defined(__AVX__)
enum { LANES = 8, PANEL = 4, VECTORS = 3 };
#else
enum { LANES = 4, PANEL = 4, VECTORS = 3 };
#endif
enum { STRIP = VECTORS * LANES };

// See struct kernels.
void AT_LEVEL(rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                    size_t M, size_t K, bool add);
void AT_LEVEL(rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                         const uint16_t *w, size_t M, size_t K, bool add);
void AT_LEVEL(pack)(float *to, const float *from, size_t ld, size_t n, size_t k, bool across);
void AT_LEVEL(pack_half)(float *to, const uint16_t *from, size_t ld, size_t n, size_t k);
void AT_LEVEL(block)(float *c, size_t ldc, const float *a, size_t lda, bool across, const float *b,
                     size_t deep, size_t rows, size_t cols, size_t k, bool add);

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
#define INLINE static inline __attribute__((always_inline))

INLINE v16 splat(float a) {
    return (v16){0} + a;
}

INLINE v16 load(const float *p) {
    v16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, v16 v) {
    memcpy(p, &v, sizeof v);
}

// The last n < 16 floats; the other lanes hold `fill`.
INLINE v16 load_tail(const float *p, size_t n, float fill) {
    v16 v = splat(fill);
    for (size_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}

INLINE void store_tail(float *p, v16 v, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = v[i];
}

INLINE v16 choose(i16 mask, v16 a, v16 b) {
    return (v16)(((i16)a & mask) | ((i16)b & ~mask));
}

INLINE v16 vmax(v16 a, v16 b) {
    return choose(a > b, a, b);
}

INLINE float lanes_sum(v16 v) { // a fixed tree
    float s[16];
    memcpy(s, &v, sizeof s);
    for (int w = 8; w; w /= 2)
        for (int i = 0; i < w; i++) s[i] += s[i + w];
    return s[0];
}

// ---- weights in float32 or, `half`, in bf16: the upper half of a float32 ----

typedef uint16_t h16 __attribute__((vector_size(32)));
typedef uint32_t u16 __attribute__((vector_size(64)));

INLINE v16 load_weights(const void *w, size_t at, bool half) {
    if (!half) return load((const float *)w + at);
    h16 h;
    memcpy(&h, (const uint16_t *)w + at, sizeof h);
    return (v16)(__builtin_convertvector(h, u16) << 16);
}

INLINE float one_weight(const void *w, size_t at, bool half) {
    if (!half) return ((const float *)w)[at];
    uint32_t bits = (uint32_t)((const uint16_t *)w)[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE v16 load_weights_tail(const void *w, size_t at, size_t n, bool half) {
    v16 v = splat(0);
    for (size_t i = 0; i < n; i++) v[i] = one_weight(w, at + i, half);
    return v;
}

INLINE float dot(const float *x, const void *w, size_t at, size_t n, bool half) {
    v16 s = splat(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) s += load(x + i) * load_weights(w, at + i, half);
    if (i < n) s += load_tail(x + i, n - i, 0) * load_weights_tail(w, at + i, n - i, half);
    return lanes_sum(s);
}

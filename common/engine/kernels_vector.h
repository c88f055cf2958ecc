// What kernels*.c share: the vectors of a level, weights in float32 or bf16,
// and the names of a level's functions. Only they include it, compiled once per level with KERNELS
// set. A vector wider than the level's registers would be taken apart number by number: hence
// PARTS.
#pragma once
#include "common/engine/kernels.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi" // all is inlined: no vector is passed

#define AT_LEVEL_OF(name, level) name##_##level
#define AT_LEVEL_IN(name, level) AT_LEVEL_OF(name, level)
#define AT_LEVEL(name) AT_LEVEL_IN(name, KERNELS) // as in rows_kernels_avx2

// What a level's registers hold: LANES numbers each; PANEL x VECTORS of them are the sums of a
// block's tile, 4 x FEW those of a tile of dot products. UNROLL: steps of a tile in its loop: with
// half the lanes, what goes round with it would be a seventh of all instructions, which a core that
// runs another thread beside this one can not spare.
#if defined(__AVX512F__)
enum { LANES = 16, PANEL = 8, VECTORS = 3, FEW = 4, UNROLL = 1 };
#elif defined(__AVX__)
enum { LANES = 8, PANEL = 6, VECTORS = 2, FEW = 3, UNROLL = 4 };
#else
enum { LANES = 4, PANEL = 4, VECTORS = 3, FEW = 3, UNROLL = 1 };
#endif
enum { STRIP = VECTORS * LANES, PARTS = 16 / LANES }; // PARTS registers are 16 lanes

// Words of 4 bytes that two numbers in bf16 take.
#if defined(__AVX512BF16__)
enum { PAIRS = 1, BF16_WORDS = 1 };
#else
enum { PAIRS = 0, BF16_WORDS = 2 };
#endif

// AMX: bf16 in tiles of TILE rows of TILE pairs, two by two of them at once.
#if defined(__AMX_BF16__) || defined(__AMXBF16__) || defined(TILES_EMULATED) // gcc, clang
#define TILES 1
#else
#define TILES 0
#endif
enum { TILE = 16 };
// See struct kernels.
void AT_LEVEL(rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                    size_t M, size_t K, const void *next);
void AT_LEVEL(rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                         const uint16_t *w, size_t M, size_t K, const void *next);
void AT_LEVEL(pack)(float *to, const float *from, size_t ld, size_t n, size_t k, bool across);
void AT_LEVEL(block)(const struct block *b);
void AT_LEVEL(bf16_block)(const struct block *b);
void AT_LEVEL(bf16_pack)(uint32_t *to, size_t apart, size_t first, const struct operand *o,
                         size_t n, size_t k, bool right);
void AT_LEVEL(bf16_multiply)(const struct bf16_product *t);

#define INLINE static inline __attribute__((always_inline))

// What packs fetches what it comes to next: pieces of rows that lie far apart are no stream that
// the hardware foresees. The cache line of a number of an operand, as it lies in memory; beyond its
// end it does no harm.
INLINE void fetch_at(const struct operand *o, size_t row, size_t column) {
    size_t at = row * o->ld + column;
    __builtin_prefetch(o->f32 ? (const void *)(o->f32 + at) : (const void *)(o->bf16 + at), 0, 3);
}
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t pick __attribute__((vector_size(4 * LANES)));

INLINE vec splat(float a) {
    return a - (vec){0}; // a + 0 would not be a where that is -0, and cost an addition
}

INLINE vec load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

// Past the caches, where the level can, to a whole vector of memory. Other threads see it after the
// next locked instruction of this one, as parallel_for has them at its end.
INLINE void store_past(float *p, vec v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps(p, (__m256)v);
#else
    store(p, v);
#endif
}

#if defined(__AVX512F__)
INLINE __mmask16 first_lanes(size_t n) {
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}
#endif

// The first n floats, at most LANES; the other lanes hold `fill`.
INLINE vec load_some(const float *p, size_t n, float fill) {
#if defined(__AVX512F__)
    return (vec)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(n), p);
#else
    vec v = splat(fill);
    for (size_t i = 0; i < LANES && i < n; i++) v[i] = p[i];
    return v;
#endif
}

INLINE void store_some(float *p, vec v, size_t n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
#else
    for (size_t i = 0; i < LANES && i < n; i++) p[i] = v[i];
#endif
}

INLINE vec choose(pick mask, vec a, vec b) {
    return (vec)(((pick)a & mask) | ((pick)b & ~mask));
}

// The larger and the smaller number; b where one is NaN.
INLINE vec vmax(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return choose(a > b, a, b);
#endif
}

INLINE vec vmin(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return choose(a < b, a, b);
#endif
}

INLINE vec zero_where(pick mask, vec a) {
    return (vec)((pick)a & ~mask);
}

// Bit l: whether lane l of x is `least` at least.
INLINE uint32_t lanes_at_least(vec x, float least) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(least), _CMP_GE_OQ);
#elif defined(__AVX__)
    __m256 in = _mm256_cmp_ps((__m256)x, _mm256_set1_ps(least), _CMP_GE_OQ);
    return (uint32_t)_mm256_movemask_ps(in);
#else
    uint32_t bits = 0;
    for (int l = 0; l < LANES; l++) bits |= (uint32_t)(x[l] >= least) << l;
    return bits;
#endif
}

INLINE float lanes_sum(const vec v[PARTS]) { // a fixed tree
    float s[16];
    memcpy(s, v, sizeof s);
    for (int w = 8; w; w /= 2)
        for (int i = 0; i < w; i++) s[i] += s[i + w];
    return s[0];
}

// ---- weights in float32, in bf16 (the upper half of a float32), or float32 rounded to it ----

enum kind { FLOATS, HALVES, ROUNDED };
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

INLINE vec to_bf16(vec x) { // to nearest, ties to even
    words b = (words)x, up = (b + 0x7fff + (b >> 16 & 1)) & 0xffff0000u;
    return choose(x == x, (vec)up, (vec)((b | 0x400000u) & 0xffff0000u));
}

#if !defined(__AVX512BF16__) // there: kernels_pairs.h
INLINE vec narrowed(vec x) {
    vec size = (vec)((words)x & 0x7fffffffu);
    return to_bf16(choose(size < splat(BF16_LEAST), splat(0), x));
}
#endif

#if defined(__AVX512BW__)
typedef int16_t shorts __attribute__((vector_size(64)));

// LANES numbers in float32: each becomes the upper half of a word in one instruction.
INLINE vec widened(const uint16_t *x) {
    const shorts place = {0, 0, 1, 1, 2,  2,  3,  3,  4,  4,  5,  5,  6,  6,  7,  7,
                          8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15};
    __m512i half = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)x));
    return (vec)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, (__m512i)place, half);
}
#else
INLINE vec widened(const uint16_t *x) {
    halves h;
    memcpy(&h, x, sizeof h);
    return (vec)(__builtin_convertvector(h, words) << 16);
}
#endif

INLINE vec load_weights(const void *w, size_t at, enum kind kind) {
    if (kind == FLOATS) return load((const float *)w + at);
    if (kind == ROUNDED) return to_bf16(load((const float *)w + at));
    return widened((const uint16_t *)w + at);
}

INLINE float one_weight(const void *w, size_t at, enum kind kind) {
    if (kind == FLOATS) return ((const float *)w)[at];
    if (kind == ROUNDED) return to_bf16(splat(((const float *)w)[at]))[0];
    uint32_t b = (uint32_t)((const uint16_t *)w)[at] << 16;
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

INLINE vec some_weights(const void *w, size_t at, size_t n, enum kind kind) {
    if (kind == FLOATS) return load_some((const float *)w + at, n, 0);
    vec v = splat(0);
    for (size_t i = 0; i < LANES && i < n; i++) v[i] = one_weight(w, at + i, kind);
    return v;
}

// The cache lines of n numbers from number `at` on.
INLINE void fetch_weights(const void *w, size_t at, size_t n, enum kind kind) {
    size_t size = kind == HALVES ? sizeof(uint16_t) : sizeof(float);
    for (size_t i = 0; i < n * size; i += 64)
        __builtin_prefetch((const char *)w + at * size + i, 0, 3);
}

// s: the 16 lanes of x w, whose sum lanes_sum has.
INLINE void dot_lanes(vec s[PARTS], const float *x, const void *w, size_t at, size_t n,
                      enum kind kind) {
    size_t i = 0;
    for (size_t p = 0; p < PARTS; p++) s[p] = splat(0);
    for (; i + 16 <= n; i += 16)
        for (size_t p = 0; p < PARTS; p++)
            s[p] += load(x + i + p * LANES) * load_weights(w, at + i + p * LANES, kind);
    for (size_t p = 0; i < n; p++, i += LANES)
        s[p] += load_some(x + i, n - i, 0) * some_weights(w, at + i, n - i, kind);
}

INLINE float dot(const float *x, const void *w, size_t at, size_t n, enum kind kind) {
    vec s[PARTS];
    dot_lanes(s, x, w, at, n, kind);
    return lanes_sum(s);
}

// ---- transposing ----

typedef float vec4 __attribute__((vector_size(16)));
typedef uint16_t half4 __attribute__((vector_size(8)));
typedef uint32_t bits4 __attribute__((vector_size(16)));

// Lanes of a (0..3) and b (4..7). gcc has its own name for this before version 12, clang the other.
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE4(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t pick4 __attribute__((vector_size(16)));
#define SHUFFLE4(a, b, ...) __builtin_shuffle(a, b, (pick4){__VA_ARGS__})
#endif

#if defined(__AVX512F__)
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE16(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE16(a, b, ...) __builtin_shuffle(a, b, (pick){__VA_ARGS__})
#endif
#endif

INLINE vec4 load4(const void *w, size_t at, enum kind kind) {
    vec4 v;
    half4 h;
    if (kind == FLOATS) return memcpy(&v, (const float *)w + at, sizeof v), v;
    memcpy(&h, (const uint16_t *)w + at, sizeof h);
    return (vec4)(__builtin_convertvector(h, bits4) << 16);
}

// to (4 rows of stride `width`) = from (4,4), from element `at` on, row stride ld, transposed
INLINE void transpose4(float *to, size_t width, const void *from, size_t at, size_t ld,
                       enum kind kind) {
    vec4 a = load4(from, at, kind), b = load4(from, at + ld, kind);
    vec4 c = load4(from, at + 2 * ld, kind), d = load4(from, at + 3 * ld, kind);
    vec4 ab = SHUFFLE4(a, b, 0, 4, 1, 5), cd = SHUFFLE4(c, d, 0, 4, 1, 5);
    vec4 t[4] = {SHUFFLE4(ab, cd, 0, 1, 4, 5), SHUFFLE4(ab, cd, 2, 3, 6, 7)};
    ab = SHUFFLE4(a, b, 2, 6, 3, 7);
    cd = SHUFFLE4(c, d, 2, 6, 3, 7);
    t[2] = SHUFFLE4(ab, cd, 0, 1, 4, 5);
    t[3] = SHUFFLE4(ab, cd, 2, 3, 6, 7);
    for (size_t i = 0; i < 4; i++) memcpy(to + i * width, &t[i], sizeof t[i]);
}

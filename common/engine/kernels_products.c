// Dot products of a few rows with many, as attention's scores are; compiled once a vector level
// with KERNELS set, see kernels.h.
#include "common/engine/kernels_vector.h"

// y[0..n-1]: the sums of t's first n vectors (whole fours), each by the tree of lanes_sum.
INLINE void sums_of_some(float *y, float t[16][16], size_t n) {
    float quarter[16][4], turned[4][16];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 8; l++) t[i][l] += t[i][l + 8];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 4; l++) quarter[i][l] = t[i][l] + t[i][l + 4];
    for (size_t i = 0; i < n; i += 4) transpose4(&turned[0][i], 16, quarter[i], 0, 4, FLOATS);
    for (size_t i = 0; i < n; i++)
        y[i] = (turned[0][i] + turned[2][i]) + (turned[1][i] + turned[3][i]);
}

#if defined(__AVX512F__)
// Halves, quarters, eighths and sixteenths of two vectors at a time are added together.
INLINE vec add_halves(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           SHUFFLE16(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

INLINE vec add_quarters(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           SHUFFLE16(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

INLINE vec add_eighths(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           SHUFFLE16(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

INLINE vec add_sixteenths(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
           SHUFFLE16(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}

// Number 4 k + i of a quarter is what remains of vector k + 4 i: hence the order they are taken in.
INLINE vec sum_vectors(const vec s[16]) {
    vec four[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        four[i] = add_quarters(add_halves(s[i], s[4 + i]), add_halves(s[8 + i], s[12 + i]));
    return add_sixteenths(add_eighths(four[0], four[1]), add_eighths(four[2], four[3]));
}
#endif

INLINE void sums(float *y, float t[16][16], size_t n) {
#if defined(__AVX512F__)
    if (n == 16) {
        vec s[16];
        memcpy(s, t, sizeof s);
        store(y, sum_vectors(s));
        return;
    }
#endif
    sums_of_some(y, t, n);
}

// To s: part p of the 16 lanes of R x J sums over K numbers, in the order of k_dot whatever R and J
// are.
INLINE void rows_part(vec *s, size_t p, const float *x, size_t ldx, size_t R, const void *w,
                      size_t at, size_t ldw, size_t J, size_t K, enum kind kind, const void *next) {
    const size_t line = kind == HALVES ? 32 : 16; // numbers of a cache line
    size_t k = p * LANES;
    for (; k + 16 - p * LANES <= K; k += 16) {
        vec b[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < J; j++) {
            if (k % line == 0) fetch_weights(next, at + j * ldw + k, line, kind);
            b[j] = load_weights(w, at + j * ldw + k, kind);
        }
#pragma GCC unroll 16
        for (size_t r = 0; r < R; r++) {
            vec a = load(x + r * ldx + k);
#pragma GCC unroll 16
            for (size_t j = 0; j < J; j++) s[r * J + j] += a * b[j];
        }
    }
    if (k >= K) return;
#pragma GCC unroll 16
    for (size_t i = 0; i < R * J; i++)
        s[i] += load_some(x + i / J * ldx + k, K - k, 0) *
                some_weights(w, at + i % J * ldw + k, K - k, kind);
}

INLINE void clear(vec *s, size_t n) {
#pragma GCC unroll 16
    for (size_t i = 0; i < n; i++) s[i] = splat(0);
}

#if defined(__AVX512F__)
// y (4,4) from the lanes of its sums.
INLINE void put_sixteen(float *y, size_t ldy, const vec *s) {
    float sum[16];
    store(sum, sum_vectors(s));
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++) {
        vec4 to = load4(sum, r * 4, FLOATS);
        memcpy(y + r * ldy, &to, sizeof to);
    }
}
#endif

// R rows of x times J rows of w, R J <= 4 FEW.
INLINE void rows_tile(float *y, size_t ldy, const float *x, size_t ldx, size_t R, const void *w,
                      size_t at, size_t J, size_t K, enum kind kind, const void *next) {
    vec s[16];
#if defined(__AVX512F__)
    if (R == 4 && J == 4) { // all in registers
        clear(s, 16);
        rows_part(s, 0, x, ldx, 4, w, at, K, 4, K, kind, next);
        put_sixteen(y, ldy, s);
        return;
    }
#endif
    float t[16][16], sum[16];
    size_t n = (R * J + 3) / 4 * 4;
    for (size_t i = R * J; i < n; i++) memset(t[i], 0, sizeof t[i]);
    for (size_t p = 0; p < PARTS; p++) {
        clear(s, R * J);
        rows_part(s, p, x, ldx, R, w, at, K, J, K, kind, next);
#pragma GCC unroll 16
        for (size_t i = 0; i < R * J; i++) store(t[i] + p * LANES, s[i]);
    }
    sums(sum, t, n);
    for (size_t i = 0; i < R * J; i++) y[i / J * ldy + i % J] = sum[i];
}

#if defined(__AVX512F__)
enum { SHORT = 128 }; // numbers of rows that are no stream, as the keys of a head

// y (16) = x times sixteen short rows
INLINE void short_rows(float *y, const float *x, const void *w, size_t at, size_t K, enum kind kind,
                       const void *next) {
    vec s[16];
    clear(s, 16);
    rows_part(s, 0, x, 0, 1, w, at, K, 16, K, kind, next);
    store(y, sum_vectors(s));
}
#endif

// y (16) = x times sixteen rows, one after the other: a single stream
INLINE void sixteen_rows(float *y, const float *x, const void *w, size_t at, size_t K,
                         enum kind kind, const void *next) {
#if defined(__AVX512F__)
    if (K <= SHORT) {
        short_rows(y, x, w, at, K, kind, next);
        return;
    }
#endif
    float t[16][16];
    for (size_t j = 0; j < 16; j++) {
        vec s[PARTS];
        fetch_weights(next, at + j * K, K, kind);
        dot_lanes(s, x, w, at + j * K, K, kind);
        memcpy(t[j], s, sizeof t[j]);
    }
    sums(y, t, 16);
}

// The last sixteen, where they are no multiple, some of them again.
INLINE void one_row(float *y, const float *x, const void *w, size_t M, size_t K, enum kind kind,
                    const void *next) {
    size_t m = 0;
    for (; m + 16 <= M; m += 16) sixteen_rows(y + m, x, w, m * K, K, kind, next);
    if (m && m < M) {
        sixteen_rows(y + M - 16, x, w, (M - 16) * K, K, kind, next);
        return;
    }
    for (; m < M; m++) rows_tile(y + m, 0, x, 0, 1, w, m * K, 1, K, kind, next);
}

// n rows of x times all of w.
INLINE void any_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                     size_t M, size_t K, enum kind kind, const void *next) {
    size_t fours = n / 4 * 4;
    if (n == 1) {
        one_row(y, x, w, M, K, kind, next);
        return;
    }
    for (size_t i = 0; i < n; i += i < fours ? 4 : 1, next = w) {
        const float *from = x + i * ldx;
        float *to = y + i * ldy;
        size_t m = 0;
        for (; m + FEW <= M; m += FEW)
            if (i < fours)
                rows_tile(to + m, ldy, from, ldx, 4, w, m * K, FEW, K, kind, next);
            else
                rows_tile(to + m, ldy, from, ldx, 1, w, m * K, FEW, K, kind, next);
        for (; m < M; m++)
            for (size_t r = 0; r < (i < fours ? 4 : 1); r++)
                rows_tile(to + r * ldy + m, ldy, from + r * ldx, ldx, 1, w, m * K, 1, K, kind, w);
    }
}

void AT_LEVEL(rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                    size_t M, size_t K, const void *next) {
    any_rows(y, ldy, x, ldx, n, w, M, K, FLOATS, next);
}

void AT_LEVEL(rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                         const uint16_t *w, size_t M, size_t K, const void *next) {
    any_rows(y, ldy, x, ldx, n, w, M, K, HALVES, next);
}

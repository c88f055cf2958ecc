// Products of few rows, compiled once a vector level with KERNELS set; see kernels.h.
#include "common/engine/kernels_vector.h"

// ---- few rows ----

// y[0..n-1]: the sums of t's first n vectors (whole fours), each by the tree of lanes_sum.
INLINE void sums(float *y, float t[16][16], size_t n) {
    float quarter[16][4], turned[4][16];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 8; l++) t[i][l] += t[i][l + 8];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 4; l++) quarter[i][l] = t[i][l] + t[i][l + 4];
    for (size_t i = 0; i < n; i += 4) transpose4(&turned[0][i], 16, quarter[i], 0, 4, FLOATS);
    for (size_t i = 0; i < n; i++)
        y[i] = (turned[0][i] + turned[2][i]) + (turned[1][i] + turned[3][i]);
}

// Part p of the 16 lanes of R x J sums, in the order of k_dot whatever R and J are.
INLINE void rows_part(float t[16][16], size_t p, const float *x, size_t ldx, size_t R,
                      const void *w, size_t at, size_t J, size_t K, enum kind kind) {
    vec s[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < R * J; i++) s[i] = splat(0);
    size_t k = p * LANES;
    for (; k + 16 - p * LANES <= K; k += 16) {
        vec b[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < J; j++) b[j] = load_weights(w, at + j * K + k, kind);
#pragma GCC unroll 16
        for (size_t r = 0; r < R; r++) {
            vec a = load(x + r * ldx + k);
#pragma GCC unroll 16
            for (size_t j = 0; j < J; j++) s[r * J + j] += a * b[j];
        }
    }
    for (size_t i = 0; i < R * J && k < K; i++)
        s[i] += load_some(x + i / J * ldx + k, K - k, 0) *
                some_weights(w, at + i % J * K + k, K - k, kind);
#pragma GCC unroll 16
    for (size_t i = 0; i < R * J; i++) store(t[i] + p * LANES, s[i]);
}

// R rows of x times J rows of w, R J <= 4 FEW.
INLINE void rows_tile(float *y, size_t ldy, const float *x, size_t ldx, size_t R, const void *w,
                      size_t at, size_t J, size_t K, enum kind kind, bool add) {
    float t[16][16], sum[16];
    size_t n = (R * J + 3) / 4 * 4;
    for (size_t i = R * J; i < n; i++) memset(t[i], 0, sizeof t[i]);
    for (size_t p = 0; p < PARTS; p++) rows_part(t, p, x, ldx, R, w, at, J, K, kind);
    sums(sum, t, n);
    for (size_t i = 0; i < R * J; i++) {
        float *to = y + i / J * ldy + i % J;
        *to = add ? *to + sum[i] : sum[i];
    }
}

// One row waits for memory, which comes fastest as a single stream; short rows share their sums.
INLINE void one_row(float *y, const float *x, const void *w, size_t M, size_t K, enum kind kind,
                    bool add) {
    size_t m = 0;
    for (; K <= 256 && m + 4 * FEW <= M; m += 4 * FEW)
        rows_tile(y + m, 0, x, 0, 1, w, m * K, 4 * FEW, K, kind, add);
    for (; m < M; m++) {
        float sum = dot(x, w, m * K, K, kind);
        y[m] = add ? y[m] + sum : sum;
    }
}

enum { ROWS_BLOCK = 4096 }; // numbers of w that stay in the L1 cache

// n rows of x times `count` (FEW at a time) of w. Meanwhile the weights that follow are fetched, a
// few lines before each tile: four rows read side by side are no stream that the hardware foresees.
INLINE void rows_block(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                       size_t at, size_t count, size_t K, enum kind kind, bool add) {
    size_t whole = n / 4 * 4, tiles = (n / 4 + n % 4) * (count / FEW),
           line = kind == HALVES ? 32 : 16;
    size_t ahead = (count * K / tiles + line - 1) / line * line, size = 64 / line;
    const char *next = (const char *)w + (at + count * K) * size;
    for (size_t i = 0; i < n; i += i < whole ? 4 : 1)
        for (size_t m = 0; m < count; m += FEW) {
            for (size_t p = 0; p < ahead * size; p += 64) __builtin_prefetch(next + p, 0, 2);
            next += ahead * size;
            float *to = y + i * ldy + m;
            if (i < whole)
                rows_tile(to, ldy, x + i * ldx, ldx, 4, w, at + m * K, FEW, K, kind, add);
            else
                rows_tile(to, ldy, x + i * ldx, ldx, 1, w, at + m * K, FEW, K, kind, add);
        }
}

INLINE void any_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                     size_t M, size_t K, enum kind kind, bool add) {
    size_t m = 0, most = ROWS_BLOCK / K / FEW * FEW;
    if (n == 1) {
        one_row(y, x, w, M, K, kind, add);
        return;
    }
    if (most < FEW) most = FEW;
    while (m + FEW <= M) {
        size_t left = (M - m) / FEW * FEW, count = left < most ? left : most;
        rows_block(y + m, ldy, x, ldx, n, w, m * K, count, K, kind, add);
        m += count;
    }
    for (; m < M; m++)
        for (size_t i = 0; i < n; i++)
            rows_tile(y + i * ldy + m, ldy, x + i * ldx, ldx, 1, w, m * K, 1, K, kind, add);
}

void AT_LEVEL(rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                    size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, FLOATS, add);
}

void AT_LEVEL(rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                         const uint16_t *w, size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, HALVES, add);
}

void AT_LEVEL(rows_rounded)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                            const float *w, size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, ROUNDED, add);
}

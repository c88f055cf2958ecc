// The products of struct kernels, compiled once a vector level with KERNELS set; see kernels.h.
#include "common/engine/kernels_vector.h"

typedef float vec4 __attribute__((vector_size(16)));
typedef uint16_t half4 __attribute__((vector_size(8)));
typedef uint32_t bits4 __attribute__((vector_size(16)));
typedef int32_t pick4 __attribute__((vector_size(16)));

INLINE vec4 load4(const void *w, size_t at, bool half) {
    vec4 v;
    half4 h;
    if (!half) return memcpy(&v, (const float *)w + at, sizeof v), v;
    memcpy(&h, (const uint16_t *)w + at, sizeof h);
    return (vec4)(__builtin_convertvector(h, bits4) << 16);
}

// to (4 rows of stride `width`) = from (4,4), from element `at` on, row stride ld, transposed
INLINE void transpose4(float *to, size_t width, const void *from, size_t at, size_t ld, bool half) {
    vec4 a = load4(from, at, half), b = load4(from, at + ld, half);
    vec4 c = load4(from, at + 2 * ld, half), d = load4(from, at + 3 * ld, half);
    const pick4 low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, last = {2, 3, 6, 7};
    vec4 ab = __builtin_shuffle(a, b, low), cd = __builtin_shuffle(c, d, low);
    vec4 t[4] = {__builtin_shuffle(ab, cd, first), __builtin_shuffle(ab, cd, last)};
    ab = __builtin_shuffle(a, b, high);
    cd = __builtin_shuffle(c, d, high);
    t[2] = __builtin_shuffle(ab, cd, first);
    t[3] = __builtin_shuffle(ab, cd, last);
    for (size_t i = 0; i < 4; i++) memcpy(to + i * width, &t[i], sizeof t[i]);
}

// ---- few rows ----

// y[0..n-1]: the sums of t's first n vectors (whole fours), each by the tree of lanes_sum.
INLINE void sums(float *y, float t[16][16], size_t n) {
    float quarter[16][4], turned[4][16];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 8; l++) t[i][l] += t[i][l + 8];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 4; l++) quarter[i][l] = t[i][l] + t[i][l + 4];
    for (size_t i = 0; i < n; i += 4) transpose4(&turned[0][i], 16, quarter[i], 0, 4, false);
    for (size_t i = 0; i < n; i++)
        y[i] = (turned[0][i] + turned[2][i]) + (turned[1][i] + turned[3][i]);
}

// Part p of the 16 lanes of R x J sums, in the order of k_dot whatever R and J are.
INLINE void rows_part(float t[16][16], size_t p, const float *x, size_t ldx, size_t R,
                      const void *w, size_t at, size_t J, size_t K, bool half) {
    vec s[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < R * J; i++) s[i] = splat(0);
    size_t k = p * LANES;
    for (; k + 16 - p * LANES <= K; k += 16) {
        vec b[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < J; j++) b[j] = load_weights(w, at + j * K + k, half);
#pragma GCC unroll 16
        for (size_t r = 0; r < R; r++) {
            vec a = load(x + r * ldx + k);
#pragma GCC unroll 16
            for (size_t j = 0; j < J; j++) s[r * J + j] += a * b[j];
        }
    }
    for (size_t i = 0; i < R * J && k < K; i++)
        s[i] += load_some(x + i / J * ldx + k, K - k, 0) *
                some_weights(w, at + i % J * K + k, K - k, half);
#pragma GCC unroll 16
    for (size_t i = 0; i < R * J; i++) store(t[i] + p * LANES, s[i]);
}

// R rows of x times J rows of w, R J <= 4 FEW.
INLINE void rows_tile(float *y, size_t ldy, const float *x, size_t ldx, size_t R, const void *w,
                      size_t at, size_t J, size_t K, bool half, bool add) {
    float t[16][16], sum[16];
    size_t n = (R * J + 3) / 4 * 4;
    for (size_t i = R * J; i < n; i++) memset(t[i], 0, sizeof t[i]);
    for (size_t p = 0; p < PARTS; p++) rows_part(t, p, x, ldx, R, w, at, J, K, half);
    sums(sum, t, n);
    for (size_t i = 0; i < R * J; i++) {
        float *to = y + i / J * ldy + i % J;
        *to = add ? *to + sum[i] : sum[i];
    }
}

// One row waits for memory, which comes fastest as a single stream; short rows share their sums.
INLINE void one_row(float *y, const float *x, const void *w, size_t M, size_t K, bool half,
                    bool add) {
    size_t m = 0;
    for (; K <= 256 && m + 4 * FEW <= M; m += 4 * FEW)
        rows_tile(y + m, 0, x, 0, 1, w, m * K, 4 * FEW, K, half, add);
    for (; m < M; m++) {
        float sum = dot(x, w, m * K, K, half);
        y[m] = add ? y[m] + sum : sum;
    }
}

enum { ROWS_BLOCK = 4096 }; // numbers of w that stay in the first cache

// n rows of x times `count` (FEW at a time) of w. Meanwhile the weights that follow are fetched, a
// few lines before each tile: four rows read side by side are no stream that the hardware foresees.
INLINE void rows_block(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                       size_t at, size_t count, size_t K, bool half, bool add) {
    size_t whole = n / 4 * 4, tiles = (n / 4 + n % 4) * (count / FEW), line = half ? 32 : 16;
    size_t ahead = (count * K / tiles + line - 1) / line * line, size = 64 / line;
    const char *next = (const char *)w + (at + count * K) * size;
    for (size_t i = 0; i < n; i += i < whole ? 4 : 1)
        for (size_t m = 0; m < count; m += FEW) {
            for (size_t p = 0; p < ahead * size; p += 64) __builtin_prefetch(next + p, 0, 2);
            next += ahead * size;
            float *to = y + i * ldy + m;
            if (i < whole)
                rows_tile(to, ldy, x + i * ldx, ldx, 4, w, at + m * K, FEW, K, half, add);
            else
                rows_tile(to, ldy, x + i * ldx, ldx, 1, w, at + m * K, FEW, K, half, add);
        }
}

INLINE void any_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                     size_t M, size_t K, bool half, bool add) {
    size_t m = 0, most = ROWS_BLOCK / K / FEW * FEW;
    if (n == 1) {
        one_row(y, x, w, M, K, half, add);
        return;
    }
    if (most < FEW) most = FEW;
    while (m + FEW <= M) {
        size_t left = (M - m) / FEW * FEW, count = left < most ? left : most;
        rows_block(y + m, ldy, x, ldx, n, w, m * K, count, K, half, add);
        m += count;
    }
    for (; m < M; m++)
        for (size_t i = 0; i < n; i++)
            rows_tile(y + i * ldy + m, ldy, x + i * ldx, ldx, 1, w, m * K, 1, K, half, add);
}

void AT_LEVEL(rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                    size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, false, add);
}

void AT_LEVEL(rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                         const uint16_t *w, size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, true, add);
}

// ---- blocks ----

// to (k,width) = from (n,k), from element `at` on, row stride ld, transposed; columns n .. width-1
// are zeros
INLINE void pack_across(float *to, const void *from, size_t at, size_t ld, size_t n, size_t k,
                        size_t width, bool half) {
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        size_t p = 0;
        for (; p + 4 <= k; p += 4)
            transpose4(to + p * width + j, width, from, at + j * ld + p, ld, half);
        for (; p < k; p++)
            for (size_t i = j; i < j + 4; i++)
                to[p * width + i] = one_weight(from, at + i * ld + p, half);
    }
    for (; j < width; j++)
        for (size_t p = 0; p < k; p++)
            to[p * width + j] = j < n ? one_weight(from, at + j * ld + p, half) : 0;
}

// to (k,width) = from (k,n), row stride ld; columns n .. width-1 are zeros
INLINE void pack_along(float *to, const float *from, size_t ld, size_t n, size_t k, size_t width) {
    if (n == width) {
        for (size_t p = 0; p < k; p++) memcpy(to + p * width, from + p * ld, width * sizeof *to);
        return;
    }
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < width; j++) to[p * width + j] = j < n ? from[p * ld + j] : 0;
}

void AT_LEVEL(pack)(float *to, const float *from, size_t ld, size_t n, size_t k, bool across) {
    for (size_t j = 0; j < n; j += STRIP, to += k * STRIP) {
        size_t count = n - j < STRIP ? n - j : STRIP;
        if (across)
            pack_across(to, from, j * ld, ld, count, k, STRIP, false);
        else
            pack_along(to, from + j, ld, count, k, STRIP);
    }
}

void AT_LEVEL(pack_half)(float *to, const uint16_t *from, size_t ld, size_t n, size_t k) {
    for (size_t j = 0; j < n; j += STRIP, to += k * STRIP)
        pack_across(to, from, j * ld, ld, n - j < STRIP ? n - j : STRIP, k, STRIP, true);
}

// c (PANEL, vectors of columns) [+]= a (k,PANEL)^T b (k,STRIP), both packed
INLINE void whole_tile(float *c, size_t ldc, const float *a, const float *b, size_t k,
                       size_t vectors, bool add) {
    vec s[PANEL][VECTORS] = {0};
    for (size_t p = 0; p < k; p++, a += PANEL, b += STRIP) {
        vec w[VECTORS];
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) w[v] = load(b + v * LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < PANEL; r++) {
            vec x = splat(a[r]);
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++) s[r][v] += x * w[v];
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < PANEL; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            float *to = c + r * ldc + v * LANES;
            if (add) s[r][v] += load(to);
            memcpy(to, &s[r][v], sizeof s[r][v]);
        }
}

static void vectors_tile(float *c, size_t ldc, const float *a, const float *b, size_t k,
                         size_t vectors, bool add) {
    if (vectors == VECTORS && add)
        whole_tile(c, ldc, a, b, k, VECTORS, true);
    else if (vectors == VECTORS)
        whole_tile(c, ldc, a, b, k, VECTORS, false);
    else if (vectors == 2)
        whole_tile(c, ldc, a, b, k, 2, add);
    else
        whole_tile(c, ldc, a, b, k, 1, add);
}

static void tile(float *c, size_t ldc, const float *a, const float *b, size_t rows, size_t cols,
                 size_t k, bool add) {
    size_t vectors = (cols + LANES - 1) / LANES;
    if (rows == PANEL && cols == vectors * LANES) {
        vectors_tile(c, ldc, a, b, k, vectors, add);
        return;
    }
    float t[PANEL * STRIP];
    vectors_tile(t, STRIP, a, b, k, vectors, false);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            c[r * ldc + j] = add ? c[r * ldc + j] + t[r * STRIP + j] : t[r * STRIP + j];
}

// The panels of up to GROUP rows of a, one behind the other.
static void pack_panels(float *to, const float *a, size_t lda, bool across, size_t rows, size_t k) {
    for (size_t i = 0; i < rows; i += PANEL, to += PANEL * k) {
        size_t n = rows - i < PANEL ? rows - i : PANEL;
        if (across)
            pack_along(to, a + i, lda, n, k, PANEL);
        else
            pack_across(to, a, i * lda, lda, n, k, PANEL, false);
    }
}

void AT_LEVEL(block)(float *c, size_t ldc, const float *a, size_t lda, bool across, const float *b,
                     size_t deep, size_t rows, size_t cols, size_t k, bool add) {
    float panels[GROUP * KERNEL_DEPTH] __attribute__((aligned(64)));
    for (size_t g = 0; g < rows; g += GROUP) {
        size_t end = rows - g < GROUP ? rows : g + GROUP;
        pack_panels(panels, across ? a + g : a + g * lda, lda, across, end - g, k);
        for (size_t j = 0; j < cols; j += STRIP)
            for (size_t i = g; i < end; i += PANEL)
                tile(c + i * ldc + j, ldc, panels + (i - g) * k, b + j * deep,
                     end - i < PANEL ? end - i : PANEL, cols - j < STRIP ? cols - j : STRIP, k,
                     add);
    }
}

// Compiled once a vector level with KERNELS and KERNELS_NAME set; see kernels.h.
#include "common/kernels.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

// exp by 2^k p(r), r = x - k ln 2 in [-ln2/2, ln2/2], p of degree 6 (Taylor; 1.2e-7 at the ends).
// The bounds are chosen so that NaN, which no comparison holds for, stays itself.
INLINE v16 vexp(v16 x) {
    v16 low = splat(-87.0f), high = splat(88.0f), y = choose(x < low, low, x);
    y = choose(y > high, high, y);
    v16 magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to an integer
    v16 k = y * 1.44269504f + magic;
    i16 bits = (i16)k;
    k -= magic;
    v16 r = y - k * 0.693145752f - k * 1.42860677e-6f;
    v16 p = splat(1.0f / 720);
    p = p * r + splat(1.0f / 120);
    p = p * r + splat(1.0f / 24);
    p = p * r + splat(1.0f / 6);
    p = p * r + splat(0.5f);
    p = p * r + splat(1);
    p = p * r + splat(1);
    v16 scale = (v16)((bits - (i16)splat(12582912.0f) + 127) << 23);
    return choose(x < low, splat(0), p * scale);
}

static float k_max(const float *x, size_t n) {
    v16 m = splat(-INFINITY);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) m = vmax(load(x + i), m);
    if (i < n) m = vmax(load_tail(x + i, n - i, -INFINITY), m);
    float best = m[0];
    for (int l = 1; l < 16; l++) best = m[l] > best ? m[l] : best;
    return best;
}

static float k_sum_exp(const float *x, size_t n, float shift) {
    v16 s = splat(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) s += vexp(load(x + i) - shift);
    if (i < n) s += vexp(load_tail(x + i, n - i, -INFINITY) - shift);
    return lanes_sum(s);
}

static void k_exp_scale(float *y, const float *x, size_t n, float shift, float scale) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) store(y + i, vexp(load(x + i) - shift) * scale);
    if (i < n) store_tail(y + i, vexp(load_tail(x + i, n - i, 0) - shift) * scale, n - i);
}

static float k_exp_sum(float *y, const float *x, size_t n, float shift) {
    v16 s = splat(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 e = vexp(load(x + i) - shift);
        store(y + i, e);
        s += e;
    }
    if (i < n) {
        v16 e = vexp(load_tail(x + i, n - i, -INFINITY) - shift);
        store_tail(y + i, e, n - i);
        s += e;
    }
    return lanes_sum(s);
}

static float k_dot(const float *x, const float *y, size_t n) {
    v16 s = splat(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) s += load(x + i) * load(y + i);
    if (i < n) s += load_tail(x + i, n - i, 0) * load_tail(y + i, n - i, 0);
    return lanes_sum(s);
}

typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t pick4 __attribute__((vector_size(16)));

INLINE vec4 load4(const float *p) {
    vec4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

// to (4 rows of stride `width`) = from (4,4), row stride ld, transposed
INLINE void transpose4(float *to, size_t width, const float *from, size_t ld) {
    vec4 a = load4(from), b = load4(from + ld), c = load4(from + 2 * ld), d = load4(from + 3 * ld);
    const pick4 low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, last = {2, 3, 6, 7};
    vec4 ab = __builtin_shuffle(a, b, low), cd = __builtin_shuffle(c, d, low);
    vec4 t[4] = {__builtin_shuffle(ab, cd, first), __builtin_shuffle(ab, cd, last)};
    ab = __builtin_shuffle(a, b, high);
    cd = __builtin_shuffle(c, d, high);
    t[2] = __builtin_shuffle(ab, cd, first);
    t[3] = __builtin_shuffle(ab, cd, last);
    for (size_t i = 0; i < 4; i++) memcpy(to + i * width, &t[i], sizeof t[i]);
}

// y[0..15]: the sums of t's 16 vectors, each by the tree of lanes_sum.
INLINE void sums16(float *y, float t[16][16]) {
    float quarter[16][4], turned[4][16];
    for (size_t i = 0; i < 16; i++)
        for (size_t l = 0; l < 8; l++) t[i][l] += t[i][l + 8];
    for (size_t i = 0; i < 16; i++)
        for (size_t l = 0; l < 4; l++) quarter[i][l] = t[i][l] + t[i][l + 4];
    for (size_t i = 0; i < 16; i += 4) transpose4(&turned[0][i], 16, quarter[i], 4);
    for (size_t i = 0; i < 16; i++)
        y[i] = (turned[0][i] + turned[2][i]) + (turned[1][i] + turned[3][i]);
}

// R rows of x times J rows of w, R J <= 16; sums in the order of k_dot whatever R and J are.
INLINE void rows_tile(float *y, size_t ldy, const float *x, size_t ldx, size_t R, const float *w,
                      size_t J, size_t K, bool add) {
    v16 s[16];
    float t[16][16], sum[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) s[i] = splat(0);
    size_t k = 0;
    for (; k + 16 <= K; k += 16)
#pragma GCC unroll 16
        for (size_t r = 0; r < R; r++) {
            v16 a = load(x + r * ldx + k);
#pragma GCC unroll 16
            for (size_t j = 0; j < J; j++) s[r * J + j] += a * load(w + j * K + k);
        }
    for (size_t i = 0; i < R * J && k < K; i++)
        s[i] += load_tail(x + i / J * ldx + k, K - k, 0) * load_tail(w + i % J * K + k, K - k, 0);
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) store(t[i], s[i]);
    sums16(sum, t);
    for (size_t i = 0; i < R * J; i++) {
        float *to = y + i / J * ldy + i % J;
        *to = add ? *to + sum[i] : sum[i];
    }
}

// One row waits for memory, which comes fastest as a single stream; 16 short rows share their sums.
static void one_row(float *y, const float *x, const float *w, size_t M, size_t K, bool add) {
    size_t m = 0;
    for (; K <= 256 && m + 16 <= M; m += 16) rows_tile(y + m, 0, x, 0, 1, w + m * K, 16, K, add);
    for (; m < M; m++) {
        float sum = k_dot(x, w + m * K, K);
        y[m] = add ? y[m] + sum : sum;
    }
}

enum { ROWS_BLOCK = 4096 }; // floats of w that stay in the first cache

// n rows of x times `count` (whole fours) of w. Meanwhile the weights that follow are fetched, a
// few lines before each tile: four rows read side by side are no stream that the hardware foresees.
static void rows_block(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                       size_t count, size_t K, bool add) {
    size_t whole = n / 4 * 4, tiles = (n / 4 + n % 4) * (count / 4);
    size_t ahead = (count * K / tiles + 15) / 16 * 16;
    const float *next = w + count * K;
    for (size_t i = 0; i < n; i += i < whole ? 4 : 1)
        for (size_t m = 0; m < count; m += 4) {
            for (size_t p = 0; p < ahead; p += 16) __builtin_prefetch(next + p, 0, 2);
            next += ahead;
            float *to = y + i * ldy + m;
            if (i < whole)
                rows_tile(to, ldy, x + i * ldx, ldx, 4, w + m * K, 4, K, add);
            else
                rows_tile(to, ldy, x + i * ldx, ldx, 1, w + m * K, 4, K, add);
        }
}

static void k_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                   size_t M, size_t K, bool add) {
    size_t m = 0, most = ROWS_BLOCK / K / 4 * 4;
    if (n == 1) {
        one_row(y, x, w, M, K, add);
        return;
    }
    if (most < 4) most = 4;
    while (m + 4 <= M) {
        size_t left = (M - m) / 4 * 4, count = left < most ? left : most;
        rows_block(y + m, ldy, x, ldx, n, w + m * K, count, K, add);
        m += count;
    }
    for (; m < M; m++)
        for (size_t i = 0; i < n; i++)
            rows_tile(y + i * ldy + m, ldy, x + i * ldx, ldx, 1, w + m * K, 1, K, add);
}

// Up to 8 vectors of columns at once; rows in order.
INLINE void mix_columns(float *y, const float *a, const float *x, size_t ld, size_t n, size_t J) {
    v16 s[8];
    for (size_t j = 0; j < J; j++) s[j] = splat(0);
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < J; j++) s[j] += a[i] * load(x + i * ld + 16 * j);
    for (size_t j = 0; j < J; j++) store(y + 16 * j, s[j]);
}

static void k_mix(float *y, const float *a, const float *x, size_t ld, size_t n, size_t cols) {
    size_t c = 0;
    for (; c + 64 <= cols; c += 64) mix_columns(y + c, a, x + c, ld, n, 4);
    for (; c + 16 <= cols; c += 16) mix_columns(y + c, a, x + c, ld, n, 1);
    for (; c < cols; c++) {
        y[c] = 0;
        for (size_t i = 0; i < n; i++) y[c] += a[i] * x[i * ld + c];
    }
}

static void k_axpy(float *y, float a, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static void k_scale(float *y, const float *x, float a, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a * x[i];
}

static float k_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps) {
    float r = 1 / sqrtf(k_dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * r * w[i];
    return r;
}

static void k_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *w, float r,
                               size_t n) {
    v16 s = splat(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) s += load(x + i) * load(w + i) * load(dy + i);
    if (i < n)
        s += load_tail(x + i, n - i, 0) * load_tail(w + i, n - i, 0) * load_tail(dy + i, n - i, 0);
    float c = lanes_sum(s) * r * r * r / (float)n;
    for (i = 0; i < n; i++) dx[i] += r * w[i] * dy[i] - c * x[i];
}

INLINE v16 vsigmoid(v16 x) {
    return splat(1) / (splat(1) + vexp(-x));
}

static void k_swiglu(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 g = load(gate + i);
        store(y + i, g * vsigmoid(g) * load(up + i));
    }
    if (i < n) {
        v16 g = load_tail(gate + i, n - i, 0);
        store_tail(y + i, g * vsigmoid(g) * load_tail(up + i, n - i, 0), n - i);
    }
}

static void k_swiglu_backward(float *gate, float *up, const float *dy, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        size_t k = n - i < 16 ? n - i : 16;
        bool whole = k == 16;
        v16 g = whole ? load(gate + i) : load_tail(gate + i, k, 0);
        v16 u = whole ? load(up + i) : load_tail(up + i, k, 0);
        v16 d = whole ? load(dy + i) : load_tail(dy + i, k, 0);
        v16 s = vsigmoid(g);
        v16 dg = d * u * s * (splat(1) + g * (splat(1) - s)), du = d * g * s;
        if (whole) {
            store(gate + i, dg);
            store(up + i, du);
        } else {
            store_tail(gate + i, dg, k);
            store_tail(up + i, du, k);
        }
    }
}

static void k_softmax_backward(float *dp, const float *p, float delta, float scale, size_t n) {
    for (size_t i = 0; i < n; i++) dp[i] = p[i] * (dp[i] - delta) * scale;
}

static void k_rope(float *x, const float *cosine, const float *sine, float sign, size_t n) {
    size_t half = n / 2;
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], s = sign * sine[i];
        x[i] = a * cosine[i] - b * s;
        x[i + half] = b * cosine[i] + a * s;
    }
}

static void k_adamw(float *p, float *m, float *v, const float *g, size_t n,
                    const struct adamw_step *s) {
    const float clip = s->clip, b1 = s->beta1, b2 = s->beta2, rate = s->rate, root = s->root;
    const float eps = s->epsilon, decay = s->decay;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * clip;
        m[i] = b1 * m[i] + (1 - b1) * d;
        v[i] = b2 * v[i] + (1 - b2) * d * d;
        p[i] -= decay * p[i] + rate * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static double k_sum_squares(const float *x, size_t n) {
    double s[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t l = 0; l < 8; l++) s[l] += (double)x[i + l] * x[i + l];
    for (; i < n; i++) s[0] += (double)x[i] * x[i];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// ---- blocks of matrix products ----

#if defined(__AVX512F__)
enum { LANES = 16, PANEL = 8, VECTORS = 3 }; // accumulators: PANEL x VECTORS registers
#elif defined(__AVX__)
enum { LANES = 8, PANEL = 4, VECTORS = 3 };
#else
enum { LANES = 4, PANEL = 4, VECTORS = 3 };
#endif
enum { STRIP = VECTORS * LANES };
typedef float vec __attribute__((vector_size(4 * LANES)));
INLINE vec load_vec(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

// to (k,width) = from (n,k), row stride ld, transposed; columns n .. width-1 are zeros
INLINE void pack_across(float *to, const float *from, size_t ld, size_t n, size_t k, size_t width) {
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        size_t p = 0;
        for (; p + 4 <= k; p += 4) transpose4(to + p * width + j, width, from + j * ld + p, ld);
        for (; p < k; p++)
            for (size_t i = j; i < j + 4; i++) to[p * width + i] = from[i * ld + p];
    }
    for (; j < width; j++)
        for (size_t p = 0; p < k; p++) to[p * width + j] = j < n ? from[j * ld + p] : 0;
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

static void k_pack(float *to, const float *from, size_t ld, size_t n, size_t k, bool across) {
    for (size_t j = 0; j < n; j += STRIP, to += k * STRIP) {
        size_t count = n - j < STRIP ? n - j : STRIP;
        if (across)
            pack_across(to, from + j * ld, ld, count, k, STRIP);
        else
            pack_along(to, from + j, ld, count, k, STRIP);
    }
}

// c (PANEL, vectors of columns) [+]= a (k,PANEL)^T b (k,STRIP), both packed
INLINE void whole_tile(float *c, size_t ldc, const float *a, const float *b, size_t k,
                       size_t vectors, bool add) {
    vec s[PANEL][VECTORS] = {0};
    for (size_t p = 0; p < k; p++, a += PANEL, b += STRIP) {
        vec w[VECTORS];
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) w[v] = load_vec(b + v * LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < PANEL; r++) {
            vec x = (vec){0} + a[r];
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++) s[r][v] += x * w[v];
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < PANEL; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            float *to = c + r * ldc + v * LANES;
            if (add) s[r][v] += load_vec(to);
            memcpy(to, &s[r][v], sizeof s[r][v]);
        }
}

static void vectors_tile(float *c, size_t ldc, const float *a, const float *b, size_t k,
                         size_t vectors, bool add) {
    if (vectors == 3 && add)
        whole_tile(c, ldc, a, b, k, 3, true);
    else if (vectors == 3)
        whole_tile(c, ldc, a, b, k, 3, false);
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

static void k_block(float *c, size_t ldc, const float *a, size_t lda, bool across, const float *b,
                    size_t deep, size_t rows, size_t cols, size_t k, bool add) {
    float panel[PANEL * KERNEL_DEPTH] __attribute__((aligned(64)));
    for (size_t i = 0; i < rows; i += PANEL) {
        size_t n = rows - i < PANEL ? rows - i : PANEL;
        if (across)
            pack_along(panel, a + i, lda, n, k, PANEL);
        else
            pack_across(panel, a + i * lda, lda, n, k, PANEL);
        for (size_t j = 0; j < cols; j += STRIP)
            tile(c + i * ldc + j, ldc, panel, b + j * deep, n, cols - j < STRIP ? cols - j : STRIP,
                 k, add);
    }
}

extern const struct kernels KERNELS;
const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .max = k_max,
    .sum_exp = k_sum_exp,
    .exp_scale = k_exp_scale,
    .exp_sum = k_exp_sum,
    .dot = k_dot,
    .rows = k_rows,
    .mix = k_mix,
    .axpy = k_axpy,
    .scale = k_scale,
    .rmsnorm = k_rmsnorm,
    .rmsnorm_backward = k_rmsnorm_backward,
    .swiglu = k_swiglu,
    .swiglu_backward = k_swiglu_backward,
    .softmax_backward = k_softmax_backward,
    .rope = k_rope,
    .adamw = k_adamw,
    .sum_squares = k_sum_squares,
    .strip = STRIP,
    .pack = k_pack,
    .block = k_block,
};

// Blocks of matrix products, compiled once a vector level with KERNELS set; see struct block in
// kernels.h.
//
// A block goes strip by strip of b (STRIP columns, which stay in L1 or L2) over all panels of a
// (PANEL rows), whose tile of sums stays in registers. Operands are words of 4 bytes, a step of the
// inner length each: a float32, or two bf16 where the level multiplies pairs. The other levels keep
// rounded float32 numbers, the second of each pair first: their two multiply-adds in this order are
// what one instruction on a pair does. (A product of two bf16 numbers is exact in float32, so it
// does not matter whether a level rounds between product and sum.)
#include "common/engine/kernels_vector.h"
#include <math.h>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#if defined(__AVX512BF16__)
enum { PAIRS = 1 };
#else
enum { PAIRS = 0 };
#endif
enum { STEPS = PAIRS ? KERNEL_DEPTH : 2 * KERNEL_DEPTH }; // most of a block

static size_t steps_of(size_t k, bool bf16) {
    return !bf16 ? k : PAIRS ? (k + 1) / 2 : (k + 1) / 2 * 2;
}

// ---- float32 to bf16 ----

// Numbers below this count as 0: then no product and no sum is denormal, and it does not matter
// what a level does with those.
#define BF16_LEAST 0x1p-55f

#if defined(__AVX512BF16__)
INLINE __m256i narrowed(__m512 x) {
    __mmask16 keep = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(BF16_LEAST), _CMP_NLT_UQ);
    return (__m256i)_mm512_maskz_cvtneps_pbh(keep, x);
}

static void round_line(float *to, const float *x, size_t k) {
    char *at = (char *)to;
    for (size_t i = 0; i < k; i += 16, at += 32) {
        __mmask16 some = k - i >= 16 ? 0xffff : (__mmask16)((1u << (k - i)) - 1);
        __m256i h = narrowed(_mm512_maskz_loadu_ps(some, x + i));
        if (k - i >= 16)
            _mm256_storeu_si256((__m256i *)at, h);
        else
            _mm256_mask_storeu_epi32(at, (__mmask8)((1u << (k - i + 1) / 2) - 1), h);
    }
}

static void round_two(float *to, const float *x, const float *y, size_t n, size_t width) {
    (void)width;
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 some = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        __m512i low = _mm512_cvtepu16_epi32(narrowed(_mm512_maskz_loadu_ps(some, x + i)));
        __m512i high = _mm512_cvtepu16_epi32(narrowed(_mm512_maskz_loadu_ps(some, y + i)));
        _mm512_mask_storeu_epi32(to + i, some, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
}
#else
static float rounded_one(float x) {
    return to_bf16(splat(fabsf(x) < BF16_LEAST ? 0 : x))[0];
}

// to (steps): the words of a line of k numbers along the inner length
static void round_line(float *to, const float *x, size_t k) {
    for (size_t i = 0; i + 1 < k; i += 2) {
        to[i] = rounded_one(x[i + 1]);
        to[i + 1] = rounded_one(x[i]);
    }
    if (k % 2) {
        to[k - 1] = 0;
        to[k] = rounded_one(x[k - 1]);
    }
}

// to (2,width): the words of n lines in two neighbouring inner steps, x and then y
static void round_two(float *to, const float *x, const float *y, size_t n, size_t width) {
    for (size_t i = 0; i < n; i++) {
        to[i] = rounded_one(y[i]);
        to[width + i] = rounded_one(x[i]);
    }
}
#endif

// ---- packing: to (steps,width) = n lines of an operand, the others zeros ----

static void pack_float_inner(float *to, const struct operand *o, size_t n, size_t k, size_t width) {
    const void *from = o->bf16 ? (const void *)o->bf16 : (const void *)o->f32;
    bool half = o->bf16;
    size_t j = 0, ld = o->ld;
    for (; j + 4 <= n; j += 4) {
        size_t p = 0;
        for (; p + 4 <= k; p += 4) {
            if (half)
                transpose4(to + p * width + j, width, from, j * ld + p, ld, HALVES);
            else
                transpose4(to + p * width + j, width, from, j * ld + p, ld, FLOATS);
        }
        for (; p < k; p++)
            for (size_t i = j; i < j + 4; i++)
                to[p * width + i] = one_weight(from, i * ld + p, half ? HALVES : FLOATS);
    }
    for (; j < width; j++)
        for (size_t p = 0; p < k; p++)
            to[p * width + j] = j < n ? one_weight(from, j * ld + p, half ? HALVES : FLOATS) : 0;
}

// n numbers of inner step p, where they are in bf16 by way of `wide`.
static const float *floats_of(const struct operand *o, size_t p, size_t n, float *wide) {
    if (o->f32) return o->f32 + p * o->ld;
    for (size_t i = 0; i < n; i++) wide[i] = one_weight(o->bf16, p * o->ld + i, HALVES);
    return wide;
}

static void pack_float_outer(float *to, const struct operand *o, size_t n, size_t k, size_t width) {
    float wide[STRIP];
    for (size_t p = 0; p < k; p++, to += width) {
        const float *from = floats_of(o, p, n, wide);
        if (n == width)
            memcpy(to, from, width * sizeof *to);
        else
            for (size_t j = 0; j < width; j++) to[j] = j < n ? from[j] : 0;
    }
}

static void pack_bf16_inner(float *to, const struct operand *o, size_t n, size_t k, size_t width) {
    float line[4][STEPS], wide[2 * KERNEL_DEPTH];
    size_t steps = steps_of(k, true);
    for (size_t j = 0; j < width; j += 4) {
        size_t count = j >= n ? 0 : n - j < 4 ? n - j : 4, some = width - j < 4 ? width - j : 4;
        for (size_t i = 0; i < 4; i++) {
            if (i >= count) {
                memset(line[i], 0, steps * sizeof(float));
                continue;
            }
            const float *x = o->f32 + (j + i) * o->ld;
            for (size_t p = 0; o->bf16 && p < k; p++)
                wide[p] = one_weight(o->bf16, (j + i) * o->ld + p, HALVES);
            round_line(line[i], o->bf16 ? wide : x, k);
        }
        size_t p = 0;
        for (; some == 4 && p + 4 <= steps; p += 4)
            transpose4(to + p * width + j, width, line, p, STEPS, FLOATS);
        for (; p < steps; p++)
            for (size_t i = 0; i < some; i++) to[p * width + j + i] = line[i][p];
    }
}

static void pack_bf16_outer(float *to, const struct operand *o, size_t n, size_t k, size_t width) {
    const float zeros[STRIP] = {0};
    float wide[2][STRIP];
    size_t rows = PAIRS ? 1 : 2;
    for (size_t p = 0; p < k; p += 2, to += rows * width) {
        const float *x = floats_of(o, p, n, wide[0]);
        const float *y = p + 1 < k ? floats_of(o, p + 1, n, wide[1]) : zeros;
        round_two(to, x, y, n, width);
        for (size_t r = 0; n < width && r < rows; r++)
            memset(to + r * width + n, 0, (width - n) * sizeof *to);
    }
}

static void pack_lines(float *to, const struct operand *o, size_t n, size_t k, size_t width,
                       bool bf16) {
    if (bf16 && o->inner)
        pack_bf16_inner(to, o, n, k, width);
    else if (bf16)
        pack_bf16_outer(to, o, n, k, width);
    else if (o->inner)
        pack_float_inner(to, o, n, k, width);
    else
        pack_float_outer(to, o, n, k, width);
}

// The lines from `first` on.
static struct operand from_line(const struct operand *o, size_t first) {
    struct operand r = *o;
    size_t at = o->inner ? first * o->ld : first;
    if (o->bf16) r.bf16 += at;
    if (o->f32) r.f32 += at;
    return r;
}

void AT_LEVEL(pack)(float *to, const float *from, size_t ld, size_t n, size_t k, bool across) {
    const struct operand o = {.f32 = from, .ld = ld, .inner = across};
    for (size_t j = 0; j < n; j += STRIP, to += k * STRIP) {
        struct operand strip = from_line(&o, j);
        pack_lines(to, &strip, n - j < STRIP ? n - j : STRIP, k, STRIP, false);
    }
}

// ---- tiles ----

struct tile {
    float *c;
    size_t ldc;
    const float *a; // a panel (steps,PANEL), or rows of stride lda
    size_t lda;
    const float *b; // (steps,STRIP), or more apart
    size_t ldb, steps;
    bool add;
};

INLINE vec splat_word(const float *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return (vec)(word - (words){0});
}

INLINE vec multiply_add(vec s, vec a, vec b, bool bf16) {
#if defined(__AVX512BF16__)
    if (bf16) return (vec)_mm512_dpbf16_ps((__m512)s, (__m512bh)a, (__m512bh)b);
#endif
    (void)bf16;
    return s + a * b;
}

// All PANEL rows and `vectors` of columns.
INLINE void tile_sums(const struct tile *t, size_t vectors, bool panel, bool bf16) {
    const float *a = t->a, *b = t->b;
    const size_t lda = t->lda, ldb = t->ldb;
    vec s[PANEL][VECTORS] = {0};
#pragma GCC unroll 8
    for (size_t r = 0; r < PANEL; r++)
        for (size_t v = 0; v < vectors * LANES; v += 16)
            __builtin_prefetch(t->c + r * t->ldc + v, 1, 3);
    for (size_t p = 0; p < t->steps; p++, a += panel ? PANEL : 1, b += ldb) {
        vec w[VECTORS];
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) w[v] = load(b + v * LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < PANEL; r++) {
            vec x = splat_word(panel ? a + r : a + r * lda);
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++) s[r][v] = multiply_add(s[r][v], x, w[v], bf16);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < PANEL; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            float *to = t->c + r * t->ldc + v * LANES;
            if (t->add) s[r][v] += load(to);
            store(to, s[r][v]);
        }
}

static void tile_f32_panel(const struct tile *t) {
    tile_sums(t, VECTORS, true, false);
}

static void tile_f32_rows(const struct tile *t) {
    tile_sums(t, VECTORS, false, false);
}

static void tile_bf16_panel(const struct tile *t) {
    tile_sums(t, VECTORS, true, true);
}

static void tile_bf16_rows(const struct tile *t) {
    tile_sums(t, VECTORS, false, true);
}

INLINE void narrow(const struct tile *t, size_t vectors, bool bf16) {
    bool panel = !t->lda;
    if (vectors == 2 && panel)
        tile_sums(t, 2, true, bf16);
    else if (vectors == 2)
        tile_sums(t, 2, false, bf16);
    else if (panel)
        tile_sums(t, 1, true, bf16);
    else
        tile_sums(t, 1, false, bf16);
}

static void narrow_f32(const struct tile *t, size_t vectors) {
    narrow(t, vectors, false);
}

static void narrow_bf16(const struct tile *t, size_t vectors) {
    narrow(t, vectors, true);
}

static void vectors_tile(const struct tile *t, size_t vectors, bool bf16) {
    bf16 = bf16 && PAIRS;
    if (vectors < VECTORS && bf16)
        narrow_bf16(t, vectors);
    else if (vectors < VECTORS)
        narrow_f32(t, vectors);
    else if (bf16)
        (t->lda ? tile_bf16_rows : tile_bf16_panel)(t);
    else
        (t->lda ? tile_f32_rows : tile_f32_panel)(t);
}

static void any_tile(const struct tile *t, size_t rows, size_t cols, bool bf16) {
    size_t vectors = (cols + LANES - 1) / LANES;
    if (rows == PANEL && cols == vectors * LANES) {
        vectors_tile(t, vectors, bf16);
        return;
    }
    float part[PANEL * STRIP];
    struct tile whole = *t;
    whole.c = part;
    whole.ldc = STRIP;
    whole.add = false;
    vectors_tile(&whole, vectors, bf16);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++) {
            float *to = t->c + r * t->ldc + j;
            *to = t->add ? *to + part[r * STRIP + j] : part[r * STRIP + j];
        }
}

// ---- a block ----

struct left { // a as the tiles read it
    const float *at;
    size_t lda;        // 0: panels, one behind the other
    const float *last; // the panel of the rows that fill none; lda 0
};

static void one_strip(const struct block *d, const struct left *a, size_t j, const float *b,
                      size_t ldb) {
    size_t steps = steps_of(d->k, d->bf16), cols = d->cols - j < STRIP ? d->cols - j : STRIP;
    struct tile t = {
        .ldc = d->ldc, .lda = a->lda, .b = b, .ldb = ldb, .steps = steps, .add = d->add};
    for (size_t i = 0; i < d->rows; i += PANEL) {
        size_t rows = d->rows - i < PANEL ? d->rows - i : PANEL;
        t.c = d->c + i * d->ldc + j;
        t.a = a->lda ? a->at + i * a->lda : a->at + i * steps;
        if (rows < PANEL && a->lda) {
            t.a = a->last;
            t.lda = 0;
        }
        any_tile(&t, rows, cols, d->bf16);
    }
}

// b is read from its rows where that is a stream that L1 and the tables of pages can follow.
static bool in_place(const struct block *d, size_t cols) {
    const struct operand *b = &d->b;
    return LANES == 16 && !d->bf16 && b->f32 && !b->inner && cols % LANES == 0 && b->ld % 1024 != 0;
}

static void all_strips(const struct block *d, const struct left *a) {
    float strip[STEPS * STRIP] __attribute__((aligned(64)));
    for (size_t j = 0; j < d->cols; j += STRIP) {
        size_t cols = d->cols - j < STRIP ? d->cols - j : STRIP;
        if (d->b.packed) {
            one_strip(d, a, j, d->b.packed + j * d->b.ld, STRIP);
            continue;
        }
        struct operand b = from_line(&d->b, j);
        if (in_place(d, cols)) {
            one_strip(d, a, j, b.f32, b.ld);
            continue;
        }
        pack_lines(strip, &b, cols, d->k, STRIP, d->bf16);
        one_strip(d, a, j, strip, STRIP);
    }
}

// Inner step `step` of all panels: n words.
static void spread(float *panels, size_t steps, size_t step, const float *line, size_t n) {
    size_t i = 0;
    for (; i + PANEL <= n; i += PANEL)
        memcpy(panels + i * steps + step * PANEL, line + i, PANEL * sizeof *line);
    if (i == n) return;
    float *to = panels + i * steps + step * PANEL;
    memset(to, 0, PANEL * sizeof *to);
    memcpy(to, line + i, (n - i) * sizeof *to);
}

// Panels of a (k,rows), read row by row as they lie.
static void pack_panels(float *to, const struct block *d, size_t steps) {
    const float zeros[KERNEL_ROWS] = {0};
    float line[2 * KERNEL_ROWS];
    size_t n = d->rows, each = PAIRS ? 1 : 2;
    if (!d->bf16) {
        for (size_t p = 0; p < d->k; p++) spread(to, steps, p, d->a.f32 + p * d->a.ld, n);
        return;
    }
    for (size_t p = 0; p < d->k; p += 2) {
        const float *x = d->a.f32 + p * d->a.ld;
        round_two(line, x, p + 1 < d->k ? x + d->a.ld : zeros, n, KERNEL_ROWS);
        for (size_t i = 0; i < each; i++)
            spread(to, steps, p / 2 * each + i, line + i * KERNEL_ROWS, n);
    }
}

// a as panels, or bf16 as rows of words
static __attribute__((noinline)) void with_packed_a(const struct block *d, struct left *a) {
    float packed[KERNEL_ROWS * KERNEL_DEPTH] __attribute__((aligned(64)));
    size_t steps = steps_of(d->k, d->bf16);
    if (d->a.inner)
        for (size_t i = 0; i < d->rows; i++)
            round_line(packed + i * steps, d->a.f32 + i * d->a.ld, d->k);
    else
        pack_panels(packed, d, steps);
    a->at = packed;
    a->lda = d->a.inner ? steps : 0;
    all_strips(d, a);
}

void AT_LEVEL(block)(const struct block *d) {
    float last[STEPS * PANEL];
    struct left a = {.at = d->a.f32, .lda = d->a.ld, .last = last};
    size_t rest = d->rows % PANEL;
    if (rest && d->a.inner) {
        struct operand o = from_line(&d->a, d->rows - rest);
        pack_lines(last, &o, rest, d->k, PANEL, d->bf16);
    }
    if (d->bf16 || !d->a.inner)
        with_packed_a(d, &a);
    else
        all_strips(d, &a);
}

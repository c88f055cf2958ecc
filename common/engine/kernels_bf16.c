// Operands of products in bf16: rounded and packed, compiled once a vector level with KERNELS set;
// for AMX: kernels_tiles.c. See struct bf16_panels in kernels.h.
//
// A word is two numbers where the level multiplies pairs. The other levels keep rounded float32
// numbers, the second of each pair first: their two multiply-adds in this order are what one
// instruction on a pair does. (A product of two bf16 numbers is exact in float32, so it does not
// matter whether a level rounds between product and sum.)
//
// A panel has the words of a step side by side; but a's lines where they lie along the inner length
// stay lines of words, which the tiles read as well.
#include "common/engine/kernels_vector.h"
#if defined(__AVX512BF16__)
#include "common/engine/kernels_pairs.h"
#endif

#if defined(__AVX512BF16__) && !TILES
// The first of 16 numbers from `at` on, of which there are n (may be negative); the others 0.
INLINE vec first_of(const void *from, size_t at, ptrdiff_t n, enum kind kind) {
    __mmask16 some = n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
    if (kind == FLOATS) return (vec)_mm512_maskz_loadu_ps(some, (const float *)from + at);
    __m256i half = _mm256_maskz_loadu_epi16(some, (const uint16_t *)from + at);
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
}

// The words of a line: 32 numbers from `at` on, of which there are n (may be negative).
INLINE __m512i words_of(const void *from, size_t at, ptrdiff_t n, enum kind kind) {
    if (kind == FLOATS)
        return line_words(first_of(from, at, n, FLOATS),
                          first_of(from, n > 16 ? at + 16 : 0, n - 16, FLOATS));
    __mmask32 some = n >= 32 ? 0xffffffff : n <= 0 ? 0 : (__mmask32)((1u << n) - 1);
    __m512i half = _mm512_maskz_loadu_epi16(some, (const uint16_t *)from + at);
    return without_small(half);
}

INLINE void store_words(uint32_t *to, __m512i w) {
    memcpy(to, &w, sizeof w);
}

// n lines of k numbers along the inner length, each to its words
static void pack_lines(uint32_t *to, size_t apart, const float *x, size_t ld, size_t n, size_t k) {
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < k; p += 32) {
            ptrdiff_t left = (ptrdiff_t)(k - p);
            for (size_t next = 0; next < 32; next += 16)
                __builtin_prefetch(x + (i + 1) * ld + p + next, 0, 3);
            __m512i w = words_of(x, i * ld + p, left, FLOATS);
            __mmask16 some = left >= 32 ? 0xffff : (__mmask16)((1u << (left + 1) / 2) - 1);
            _mm512_mask_storeu_epi32(to + i * apart + p / 2, some, w);
        }
}

// 16 lines of 32 numbers, of which there are n and k, to words side by side, `width` words from a
// step to the next
INLINE void turn_words(uint32_t *to, size_t width, const void *from, size_t ld, ptrdiff_t n,
                       ptrdiff_t k, enum kind kind) {
    __m512i w[16];
#pragma GCC unroll 16
    for (ptrdiff_t i = 0; i < 16; i++)
        w[i] = words_of(from, i < n ? (size_t)i * ld : 0, i < n ? k : 0, kind);
    transpose(w);
#pragma GCC unroll 16
    for (ptrdiff_t i = 0; i < 16; i++)
        if (2 * i < k) store_words(to + (size_t)i * width, w[i]);
}

INLINE void turn_lines(uint32_t *to, const void *from, size_t ld, ptrdiff_t n, size_t k,
                       enum kind kind) {
    const char *at = from;
    size_t size = kind == HALVES ? sizeof(uint16_t) : sizeof(float);
    for (size_t p = 0; p < k; p += 32, at += 32 * size, to += 16 * STRIP)
        if (n >= 16 && k - p >= 32)
            turn_words(to, STRIP, at, ld, 16, 32, kind);
        else
            turn_words(to, STRIP, at, ld, n, (ptrdiff_t)(k - p), kind);
}

static void turn_floats(uint32_t *to, const float *from, size_t ld, ptrdiff_t n, size_t k) {
    turn_lines(to, from, ld, n, k, FLOATS);
}

static void turn_halves(uint32_t *to, const uint16_t *from, size_t ld, ptrdiff_t n, size_t k) {
    turn_lines(to, from, ld, n, k, HALVES);
}

// Two inner steps of 16 lines, of which there are n.
INLINE __m512i two_steps(const struct operand *o, size_t p, size_t line, ptrdiff_t n, bool second) {
    size_t at = p * o->ld + line, next = second ? at + o->ld : at;
    if (o->bf16)
        return pair_words(first_of(o->bf16, at, n, HALVES),
                          first_of(o->bf16, next, second ? n : 0, HALVES));
    return pair_words(first_of(o->f32, at, n, FLOATS),
                      first_of(o->f32, next, second ? n : 0, FLOATS));
}

static void pack_left(uint32_t *to, size_t apart, size_t first, const struct operand *o, size_t n,
                      size_t k) {
    if (o->inner) {
        size_t whole = (n + PANEL - 1) / PANEL * PANEL;
        pack_lines(to + first, apart, o->f32, o->ld, n, k);
        for (size_t i = n; i < whole; i++)
            memset(to + i * apart + first, 0, (k + 1) / 2 * sizeof *to);
        return;
    }
    for (size_t p = 0; p < k; p += 2)
        for (size_t i = 0; i < n; i += 2 * PANEL) {
            for (size_t next = 0; next < 2; next++) fetch_at(o, p + 16 + next, i);
            __m512i w = two_steps(o, p, i, (ptrdiff_t)(n - i), p + 1 < k);
            uint32_t *at = to + i * apart + (first + p / 2) * PANEL;
            memcpy(at, &w, sizeof w / 2);
            if (i + PANEL < n)
                memcpy(at + PANEL * apart, (const char *)&w + sizeof w / 2, sizeof w / 2);
        }
}

static void pack_right(uint32_t *to, size_t apart, size_t first, const struct operand *o, size_t n,
                       size_t k) {
    for (size_t j = 0; j < n; j += STRIP) {
        for (size_t p = 0; !o->inner && p < k; p += 2)
            for (size_t i = 0; i < STRIP; i += 16) {
                ptrdiff_t lines = (ptrdiff_t)n - (ptrdiff_t)(j + i);
                for (size_t next = 0; next < 2; next++) fetch_at(o, p + 24 + next, j + i);
                store_words(to + j * apart + (first + p / 2) * STRIP + i,
                            two_steps(o, p, lines > 0 ? j + i : 0, lines, p + 1 < k));
            }
        for (size_t i = 0; o->inner && i < STRIP; i += 16) {
            ptrdiff_t lines = (ptrdiff_t)n - (ptrdiff_t)(j + i);
            uint32_t *at = to + j * apart + first * STRIP + i;
            size_t line = lines > 0 ? j + i : 0;
            if (o->bf16)
                turn_halves(at, o->bf16 + line * o->ld, o->ld, lines, k);
            else
                turn_floats(at, o->f32 + line * o->ld, o->ld, lines, k);
        }
    }
}
#elif !TILES
typedef uint64_t words2 __attribute__((vector_size(4 * LANES)));

INLINE vec swapped(vec x) { // the numbers of each pair
    words2 pair = (words2)x;
    return (vec)(pair >> 32 | pair << 32);
}

// to: the words of a line of k numbers along the inner length
static void round_line(float *to, const float *x, size_t k) {
    size_t i = 0, steps = (k + 1) / 2 * 2;
    for (; i + LANES <= k; i += LANES) store(to + i, swapped(narrowed(load(x + i))));
    if (i < k) store_some(to + i, swapped(narrowed(load_some(x + i, k - i, 0))), steps - i);
}

// to (2,width): the words of n lines in two neighbouring inner steps, x and then y
static void round_two(float *to, const float *x, const float *y, size_t n, size_t width) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        store(to + i, narrowed(load(y + i)));
        store(to + width + i, narrowed(load(x + i)));
    }
    if (i == n) return;
    store_some(to + i, narrowed(load_some(y + i, n - i, 0)), n - i);
    store_some(to + width + i, narrowed(load_some(x + i, n - i, 0)), n - i);
}

// to (k,STRIP) = n lines, each read along the inner length
static void turn_strip(float *to, const struct operand *o, size_t n, size_t k) {
    enum { MOST = 2 * KERNEL_DEPTH };
    float line[4][MOST], wide[MOST];
    size_t steps = (k + 1) / 2 * 2;
    for (size_t j = 0; j < STRIP; j += 4) {
        size_t count = j >= n ? 0 : n - j < 4 ? n - j : 4, p = 0;
        for (size_t i = 0; i < 4; i++) {
            const float *x = o->f32 + (j + i) * o->ld;
            if (i < count && o->bf16)
                for (p = 0; p < k; p++) wide[p] = one_weight(o->bf16, (j + i) * o->ld + p, HALVES);
            if (i < count)
                round_line(line[i], o->bf16 ? wide : x, k);
            else
                memset(line[i], 0, steps * sizeof(float));
        }
        for (p = 0; p + 4 <= steps; p += 4)
            transpose4(to + p * STRIP + j, STRIP, line, p, MOST, FLOATS);
        for (; p < steps; p++)
            for (size_t i = 0; i < 4; i++) to[p * STRIP + j + i] = line[i][p];
    }
}

enum { WIDE = 96 }; // lines at a time, whole panels and strips

// to (2,WIDE): inner steps p and p + 1 of n lines, of k
static void two_steps(float *to, const struct operand *o, size_t p, size_t line, size_t n,
                      size_t k) {
    float wide[2][WIDE] = {0};
    const float *x[2] = {wide[0], wide[1]};
    for (size_t i = 0; i < 2 && p + i < k; i++) {
        size_t at = (p + i) * o->ld + line;
        for (size_t j = 0; o->bf16 && j < n; j++) wide[i][j] = one_weight(o->bf16, at + j, HALVES);
        if (o->f32) x[i] = o->f32 + at;
    }
    round_two(to, x[0], x[1], n, WIDE);
    for (size_t i = 0; i < 2; i++) memset(to + i * WIDE + n, 0, (WIDE - n) * sizeof *to);
}

// Panels of `width` lines, of lines that do not lie along the inner length.
static void pack_across(float *to, size_t apart, size_t first, const struct operand *o, size_t n,
                        size_t k, size_t width) {
    float line[2 * WIDE];
    for (size_t j = 0; j < n; j += WIDE)
        for (size_t p = 0; p < k; p += 2) {
            size_t count = n - j < WIDE ? n - j : WIDE;
            two_steps(line, o, p, j, count, k);
            for (size_t i = 0; i < count; i += width)
                for (size_t s = 0; s < 2; s++)
                    memcpy(to + 2 * (j + i) * apart + (2 * first + p + s) * width,
                           line + s * WIDE + i, width * sizeof *to);
        }
}

static void pack_left(uint32_t *panels, size_t apart, size_t first, const struct operand *o,
                      size_t n, size_t k) {
    float *to = (float *)panels;
    if (!o->inner) {
        pack_across(to, apart, first, o, n, k, PANEL);
        return;
    }
    size_t whole = (n + PANEL - 1) / PANEL * PANEL;
    for (size_t i = 0; i < whole; i++) {
        float *line = to + 2 * (i * apart + first);
        if (i < n)
            round_line(line, o->f32 + i * o->ld, k);
        else
            memset(line, 0, (k + 1) / 2 * 2 * sizeof *line);
    }
}

static void pack_right(uint32_t *panels, size_t apart, size_t first, const struct operand *o,
                       size_t n, size_t k) {
    float *to = (float *)panels;
    if (!o->inner) {
        pack_across(to, apart, first, o, n, k, STRIP);
        return;
    }
    for (size_t j = 0; j < n; j += STRIP) {
        struct operand strip = *o;
        if (o->f32) strip.f32 += j * o->ld;
        if (o->bf16) strip.bf16 += j * o->ld;
        turn_strip(to + 2 * (j * apart + first * STRIP), &strip, n - j < STRIP ? n - j : STRIP, k);
    }
}
#endif

#if !TILES
void AT_LEVEL(bf16_pack)(uint32_t *to, size_t apart, size_t first, const struct operand *o,
                         size_t n, size_t k, bool right) {
    (right ? pack_right : pack_left)(to, apart, first, o, n, k);
}
#endif

// ---- a block ----

void AT_LEVEL(bf16_block)(const struct block *d) {
#if TILES
    enum {
        LEFT = TILE_LINES,
        RIGHT = TILE_LINES,
        INNER = TILE_INNER,
        WORDS = TILE_WORDS / TILE_LINES
    };
#else
    enum { LEFT = PANEL, RIGHT = STRIP, INNER = 2, WORDS = BF16_WORDS };
#endif
    enum { STEPS = 2 * KERNEL_DEPTH / INNER, ROWS = PAIRS ? KERNEL_ROWS : KERNEL_ROWS / 2 };
    uint32_t a[(ROWS + LEFT) * STEPS * WORDS] __attribute__((aligned(64)));
    uint32_t b[STEPS * RIGHT * WORDS] __attribute__((aligned(64)));
    const size_t steps = (d->k + INNER - 1) / INNER;
    struct bf16_product t = {.ldc = d->ldc,
                             .rows = d->rows,
                             .steps = steps,
                             .a = {.at = a, .apart = steps},
                             .b = {.at = b, .apart = steps},
                             .a_lines = d->a.inner,
                             .add = d->add};
    AT_LEVEL(bf16_pack)(a, steps, 0, &d->a, d->rows, d->k, false);
    for (size_t j = 0; j < d->cols; j += RIGHT) {
        struct operand strip = d->b;
        size_t at = d->b.inner ? j * d->b.ld : j;
        if (strip.f32) strip.f32 += at;
        if (strip.bf16) strip.bf16 += at;
        t.c = d->c + j;
        t.cols = d->cols - j < RIGHT ? d->cols - j : RIGHT;
        AT_LEVEL(bf16_pack)(b, steps, 0, &strip, t.cols, d->k, true);
        AT_LEVEL(bf16_multiply)(&t);
    }
}

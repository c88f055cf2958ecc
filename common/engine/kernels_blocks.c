// Blocks of matrix products, compiled once a vector level with KERNELS set; see struct block in
// kernels.h.
//
// A block goes strip by strip of b (STRIP columns, which stay in L1 or L2) over all panels of a
// (PANEL rows), whose tile of sums stays in registers. Operands are words of 4 bytes, a step of the
// inner length each: a float32, or two bf16 where the level multiplies pairs (kernels_bf16.c).
#include "common/engine/kernels_vector.h"

// ---- packing: to (steps,width) = n lines of an operand, the others zeros ----

static void pack_float_inner(float *to, const struct operand *o, size_t n, size_t k, size_t width) {
    const void *from = o->bf16 ? (const void *)o->bf16 : (const void *)o->f32;
    bool half = o->bf16;
    size_t j = 0, ld = o->ld;
    for (; j + 4 <= n; j += 4) {
        size_t p = 0;
        for (; p + 4 <= k; p += 4) {
            if (p % 16 == 0) // the next four lines
                for (size_t i = 4; i < 8; i++) fetch_at(o, j + i, p);
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
        for (size_t j = 0; j < n; j += 16) fetch_at(o, p + 16, j);
        if (n == width)
            memcpy(to, from, width * sizeof *to);
        else
            for (size_t j = 0; j < width; j++) to[j] = j < n ? from[j] : 0;
    }
}

static void pack_lines(float *to, const struct operand *o, size_t n, size_t k, size_t width) {
    if (o->inner)
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
        pack_lines(to, &strip, n - j < STRIP ? n - j : STRIP, k, STRIP);
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
    const char *ahead; // memory fetched meanwhile, bf16 only: `advance` bytes a step
    size_t advance;
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
    const char *ahead = t->ahead;
    vec s[PANEL][VECTORS] = {0};
#pragma GCC unroll 8
    for (size_t r = 0; r < PANEL; r++)
        for (size_t v = 0; v < vectors * LANES; v += 16)
            __builtin_prefetch(t->c + r * t->ldc + v, 1, 3);
    for (size_t p = 0; p < t->steps; p++, a += panel ? PANEL : 1, b += ldb) {
        vec w[VECTORS];
        if (bf16) __builtin_prefetch(ahead, 0, 2);
        if (bf16) ahead += t->advance;
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
    size_t cols = d->cols - j < STRIP ? d->cols - j : STRIP;
    struct tile t = {
        .ldc = d->ldc, .lda = a->lda, .b = b, .ldb = ldb, .steps = d->k, .add = d->add};
    for (size_t i = 0; i < d->rows; i += PANEL) {
        size_t rows = d->rows - i < PANEL ? d->rows - i : PANEL;
        t.c = d->c + i * d->ldc + j;
        t.a = a->lda ? a->at + i * a->lda : a->at + i * d->k;
        if (rows < PANEL && a->lda) {
            t.a = a->last;
            t.lda = 0;
        }
        any_tile(&t, rows, cols, false);
    }
}

// b is read from its rows where they lie near enough for L1's prefetching to follow.
static bool in_place(const struct block *d, size_t cols) {
    enum { NEAR = 2048 / sizeof(float) };
    const struct operand *b = &d->b;
    return LANES == 16 && b->f32 && !b->inner && cols % LANES == 0 && b->ld < NEAR;
}

static void all_strips(const struct block *d, const struct left *a) {
    float strip[KERNEL_DEPTH * STRIP] __attribute__((aligned(64)));
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
        pack_lines(strip, &b, cols, d->k, STRIP);
        one_strip(d, a, j, strip, STRIP);
    }
}

// Inner step `step` of all panels: n numbers.
static void spread(float *panels, size_t steps, size_t step, const float *line, size_t n) {
    size_t i = 0;
    for (; i + PANEL <= n; i += PANEL)
        memcpy(panels + i * steps + step * PANEL, line + i, PANEL * sizeof *line);
    if (i == n) return;
    float *to = panels + i * steps + step * PANEL;
    memset(to, 0, PANEL * sizeof *to);
    memcpy(to, line + i, (n - i) * sizeof *to);
}

// a (k,rows) as panels, read row by row as they lie
static __attribute__((noinline)) void with_packed_a(const struct block *d, struct left *a) {
    float packed[KERNEL_ROWS * KERNEL_DEPTH] __attribute__((aligned(64)));
    for (size_t p = 0; p < d->k; p++) {
        for (size_t i = 0; i < d->rows; i += 16) fetch_at(&d->a, p + 4, i);
        spread(packed, d->k, p, d->a.f32 + p * d->a.ld, d->rows);
    }
    a->at = packed;
    a->lda = 0;
    all_strips(d, a);
}

void AT_LEVEL(block)(const struct block *d) {
    if (d->bf16) {
        AT_LEVEL(bf16_block)(d);
        return;
    }
    float last[KERNEL_DEPTH * PANEL];
    struct left a = {.at = d->a.f32, .lda = d->a.ld, .last = last};
    size_t rest = d->rows % PANEL;
    if (rest && d->a.inner) {
        struct operand o = from_line(&d->a, d->rows - rest);
        pack_lines(last, &o, rest, d->k, PANEL);
    }
    if (d->a.inner)
        all_strips(d, &a);
    else
        with_packed_a(d, &a);
}

// ---- bf16, operands packed ----

#if !TILES
void AT_LEVEL(bf16_multiply)(const struct bf16_product *p) {
    const size_t a_line = p->a.apart * BF16_WORDS, a_first = p->a.first * BF16_WORDS;
    const size_t b_line = p->b.apart * BF16_WORDS, b_first = p->b.first * BF16_WORDS;
    struct tile t = {.ldc = p->ldc,
                     .lda = p->a_lines ? a_line : 0,
                     .ldb = STRIP,
                     .steps = p->steps * BF16_WORDS,
                     .add = p->add};
    const size_t tiles = (p->rows + PANEL - 1) / PANEL * ((p->cols + STRIP - 1) / STRIP);
    t.ahead = p->ahead ? p->ahead : (const char *)p->a.at;
    t.advance = (p->ahead_bytes + tiles * t.steps - 1) / (tiles * t.steps);
    for (size_t j = 0; j < p->cols; j += STRIP) {
        size_t cols = p->cols - j < STRIP ? p->cols - j : STRIP;
        t.b = (const float *)p->b.at + j * b_line + b_first * STRIP;
        for (size_t i = 0; i < p->rows; i += PANEL) {
            size_t rows = p->rows - i < PANEL ? p->rows - i : PANEL;
            t.c = p->c + i * p->ldc + j;
            t.a = (const float *)p->a.at + i * a_line + (p->a_lines ? a_first : a_first * PANEL);
            any_tile(&t, rows, cols, true);
            t.ahead += t.advance * t.steps;
        }
    }
}
#endif

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

// What a step is: a number of a and one of b; a word of two in bf16 of either; two numbers of a and
// a word of b, whose first or second one is multiplied first.
enum step { FLOAT_STEP, PAIR_STEP, FIRST_FIRST, SECOND_FIRST };

struct tile {
    float *c;
    size_t ldc;
    const float *a; // a panel (steps,PANEL), or rows of stride lda
    size_t lda;
    const float *b; // (steps,STRIP), or more apart
    size_t ldb, steps;
    enum step step;
    bool add, past;
    struct reader {
        const char *at; // memory fetched meanwhile,
        size_t advance; // so many bytes a step
    } ahead;
};

INLINE vec splat_word(const float *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return (vec)(word - (words){0});
}

INLINE vec multiply_add(vec s, vec a, vec b, enum step step) {
#if defined(__AVX512BF16__)
    if (step == PAIR_STEP) return (vec)_mm512_dpbf16_ps((__m512)s, (__m512bh)a, (__m512bh)b);
#endif
    (void)step;
    return s + a * b;
}

// Number `which` of the two in b's words, in float32.
INLINE vec number_of(vec word, size_t which) {
    return (vec)(which ? (words)word & 0xffff0000u : (words)word << 16);
}

// One step of `rows` rows, `apart` from each other, and `vectors` of columns.
INLINE void tile_step(vec s[PANEL][VECTORS], const float *a, size_t apart, const vec *w,
                      size_t rows, size_t vectors, enum step step) {
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++) {
        vec x = splat_word(a + r * apart);
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) s[r][v] = multiply_add(s[r][v], x, w[v], step);
    }
}

enum { STREAM_AHEAD = 1024 }; // floats

// `rows` rows, PANEL or fewer, and `vectors` of columns. One row waits for what it multiplies.
INLINE void tile_sums(const struct tile *t, size_t rows, size_t vectors, bool panel, bool fetch,
                      enum step step) {
    const size_t apart = panel ? 1 : t->lda, next = panel ? PANEL : 1;
    const size_t ldb = LANES == 16 ? t->ldb : STRIP; // see in_place
    const size_t steps = t->steps;
    const size_t numbers = step < FIRST_FIRST ? 1 : 2; // of a row, in a step
    const float *a = t->a, *b = t->b;
    const char *ahead = t->ahead.at;
    vec s[PANEL][VECTORS] = {0};
    const bool past = fetch && t->past;
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors * LANES && !past; v += 16)
            __builtin_prefetch(t->c + r * t->ldc + v, 1, 3);
#pragma GCC unroll UNROLL
    for (size_t p = 0; p < steps; p++, a += numbers * next, b += ldb) {
        vec w[VECTORS], half[VECTORS];
        if (fetch) __builtin_prefetch(ahead, 0, 3);
        if (fetch) ahead += t->ahead.advance;
        for (size_t v = 0; rows == 1 && v < vectors * LANES; v += 16)
            __builtin_prefetch(b + v + STREAM_AHEAD, 0, 3);
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) half[v] = w[v] = load(b + v * LANES);
#pragma GCC unroll 2
        for (size_t i = 0; i < numbers; i++) {
            const size_t which = step == SECOND_FIRST ? 1 - i : i;
            if (numbers == 2) {
#pragma GCC unroll 4
                for (size_t v = 0; v < vectors; v++) half[v] = number_of(w[v], which);
            }
            tile_step(s, a + i * next, apart, half, rows, vectors, step);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            float *to = t->c + r * t->ldc + v * LANES;
            if (t->add) s[r][v] += load(to);
            if (past)
                store_past(to, s[r][v]);
            else
                store(to, s[r][v]);
        }
}

static void f32_panel(const struct tile *t) {
    tile_sums(t, PANEL, VECTORS, true, false, FLOAT_STEP);
}

static void f32_rows(const struct tile *t) {
    tile_sums(t, PANEL, VECTORS, false, false, FLOAT_STEP);
}

static void f32_rows_fetching(const struct tile *t) {
    tile_sums(t, PANEL, VECTORS, false, true, FLOAT_STEP);
}

static void pairs_panel(const struct tile *t) {
    tile_sums(t, PANEL, VECTORS, true, true, PAIR_STEP);
}

static void pairs_rows(const struct tile *t) {
    tile_sums(t, PANEL, VECTORS, false, true, PAIR_STEP);
}

static void first_first(const struct tile *t) {
    if (t->lda)
        tile_sums(t, PANEL, VECTORS, false, true, FIRST_FIRST);
    else
        tile_sums(t, PANEL, VECTORS, true, true, FIRST_FIRST);
}

static void second_first(const struct tile *t) {
    if (t->lda)
        tile_sums(t, PANEL, VECTORS, false, true, SECOND_FIRST);
    else
        tile_sums(t, PANEL, VECTORS, true, true, SECOND_FIRST);
}

INLINE void narrow(const struct tile *t, size_t vectors, enum step step) {
    bool panel = !t->lda;
    if (vectors == 2 && panel)
        tile_sums(t, PANEL, 2, true, false, step);
    else if (vectors == 2)
        tile_sums(t, PANEL, 2, false, false, step);
    else if (panel)
        tile_sums(t, PANEL, 1, true, false, step);
    else
        tile_sums(t, PANEL, 1, false, false, step);
}

static void narrow_f32(const struct tile *t, size_t vectors) {
    narrow(t, vectors, FLOAT_STEP);
}

static void narrow_pairs(const struct tile *t, size_t vectors) {
    narrow(t, vectors, PAIR_STEP);
}

// All PANEL rows; words of two numbers only in whole strips.
static void panel_tile(const struct tile *t, size_t vectors) {
    if (t->step == FIRST_FIRST)
        first_first(t);
    else if (t->step == SECOND_FIRST)
        second_first(t);
    else if (vectors < VECTORS)
        (t->step == PAIR_STEP ? narrow_pairs : narrow_f32)(t, vectors);
    else if (t->step == PAIR_STEP)
        (t->lda ? pairs_rows : pairs_panel)(t);
    else
        (!t->lda ? f32_panel : t->ahead.advance ? f32_rows_fetching : f32_rows)(t);
}

// Fewer rows, each by its place, and whole strips.
INLINE void few_rows_by(const struct tile *t, size_t rows, enum step step) {
    switch (rows) {
    case 1:
        tile_sums(t, 1, VECTORS, false, false, step);
        break;
    case 2:
        tile_sums(t, 2, VECTORS, false, true, step);
        break;
    case 3:
        tile_sums(t, 3, VECTORS, false, true, step);
        break;
    case 4:
        tile_sums(t, PANEL < 4 ? PANEL : 4, VECTORS, false, true, step);
        break;
    case 5:
        tile_sums(t, PANEL < 5 ? PANEL : 5, VECTORS, false, true, step);
        break;
    case 6:
        tile_sums(t, PANEL < 6 ? PANEL : 6, VECTORS, false, true, step);
        break;
    default:
        tile_sums(t, PANEL < 7 ? PANEL : 7, VECTORS, false, true, step);
    }
}

static void few_rows(const struct tile *t, size_t rows) {
    if (t->step == FIRST_FIRST)
        few_rows_by(t, rows, FIRST_FIRST);
    else if (t->step == SECOND_FIRST)
        few_rows_by(t, rows, SECOND_FIRST);
    else if (t->step == PAIR_STEP)
        few_rows_by(t, rows, PAIR_STEP);
    else
        few_rows_by(t, rows, FLOAT_STEP);
}

static void any_tile(const struct tile *t, size_t rows, size_t cols) {
    size_t vectors = t->step < FIRST_FIRST ? (cols + LANES - 1) / LANES : VECTORS;
    const bool few = rows < PANEL && t->lda;
    if (rows == PANEL && cols == vectors * LANES) {
        panel_tile(t, vectors);
        return;
    }
    if (few && cols == STRIP) {
        few_rows(t, rows);
        return;
    }
    float part[PANEL * STRIP];
    struct tile whole = *t;
    whole.c = part;
    whole.ldc = STRIP;
    whole.add = whole.past = false;
    if (few)
        few_rows(&whole, rows);
    else
        panel_tile(&whole, vectors);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++) {
            float *to = t->c + r * t->ldc + j;
            *to = t->add ? *to + part[r * STRIP + j] : part[r * STRIP + j];
        }
}

// Rows of the next tile, of those that are left. By their places two tiles of few rows are better
// than a whole one and one of a row or two, which waits for what it adds.
static size_t next_rows(size_t left, bool places) {
    if (left <= PANEL) return left;
    return places && left < 2 * PANEL ? (left + 1) / 2 : PANEL;
}

// Reads m in so many steps; where there is nothing, what is near anyway.
static struct reader reader_of(struct memory m, size_t steps, const void *near) {
    return (struct reader){m.at ? m.at : near, (m.bytes + steps - 1) / steps};
}

// ---- a block ----

struct left { // a as the tiles read it
    const float *at;
    size_t lda;   // 0: panels,
    size_t apart; // so many floats from one to the next
};

static void one_strip(const struct block *d, const struct left *a, size_t j, const float *b,
                      size_t ldb) {
    size_t cols = d->cols - j < STRIP ? d->cols - j : STRIP;
    size_t panels = (d->rows + PANEL - 1) / PANEL;
    struct tile t = {.ldc = d->ldc,
                     .lda = a->lda,
                     .b = b,
                     .ldb = ldb,
                     .steps = d->k,
                     .add = d->add,
                     .past = d->past};
    if (d->b.pairs) {
        t.steps = d->k / 2;
        t.step = FIRST_FIRST;
    }
    t.ahead = reader_of(d->ahead, panels * t.steps, b);
    for (size_t i = 0, rows; i < d->rows; i += rows) {
        rows = next_rows(d->rows - i, a->lda);
        t.c = d->c + i * d->ldc + j;
        t.a = a->lda ? a->at + i * a->lda : a->at + i / PANEL * a->apart;
        any_tile(&t, rows, cols);
        t.ahead.at += t.ahead.advance * t.steps;
    }
}

// b is read from its rows where they lie near enough for L1's prefetching to follow. Few rows want
// whole strips.
static bool in_place(const struct block *d, size_t cols) {
    enum { NEAR = 2048 / sizeof(float) };
    const struct operand *b = &d->b;
    const bool whole = cols == STRIP || (cols % LANES == 0 && d->rows % PANEL == 0);
    return LANES == 16 && b->f32 && !b->inner && whole && b->ld < NEAR;
}

static void all_strips(const struct block *d, const struct left *a) {
    float strip[KERNEL_DEPTH * STRIP] __attribute__((aligned(64)));
    for (size_t j = 0; j < d->cols; j += STRIP) {
        size_t cols = d->cols - j < STRIP ? d->cols - j : STRIP;
        if (d->b.packed || d->b.pairs) {
            one_strip(d, a, j, (d->b.packed ? d->b.packed : d->b.pairs) + j * d->b.ld, STRIP);
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

// An inner step of all panels, `apart` from each other: n numbers.
static void spread(float *to, size_t apart, const float *line, size_t n) {
    size_t i = 0;
    for (; i + PANEL <= n; i += PANEL, to += apart) memcpy(to, line + i, PANEL * sizeof *line);
    if (i == n) return;
    memset(to, 0, PANEL * sizeof *to);
    memcpy(to, line + i, (n - i) * sizeof *to);
}

// a (k,rows) as panels, read row by row as they lie. A row goes to all panels: they are an odd
// number of cache lines apart, so as not to take each other's place in L1.
static __attribute__((noinline)) void with_packed_a(const struct block *d, struct left *a) {
    enum { LINE = 16, MOST = KERNEL_DEPTH * PANEL + 2 * LINE };
    float packed[KERNEL_ROWS / PANEL * MOST] __attribute__((aligned(64)));
    a->apart = ((d->k * PANEL + LINE - 1) / LINE | 1) * LINE;
    for (size_t p = 0; p < d->k; p++) {
        for (size_t i = 0; i < d->rows; i += 16) fetch_at(&d->a, p + 4, i);
        spread(packed + p * PANEL, a->apart, d->a.f32 + p * d->a.ld, d->rows);
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
    struct left a = {.at = d->a.f32, .lda = d->a.ld};
    if (d->a.inner)
        all_strips(d, &a);
    else
        with_packed_a(d, &a);
}

// ---- bf16, operands packed ----

#if !TILES
void AT_LEVEL(bf16_multiply)(const struct bf16_product *p) {
    const size_t a_line = p->a.apart * BF16_WORDS, a_first = p->a.first * BF16_WORDS;
    const size_t step = p->b_pairs ? 1 : BF16_WORDS; // words of b
    const size_t b_line = p->b.apart * step, b_first = p->b.first * step;
    struct tile t = {.ldc = p->ldc,
                     .lda = p->a_lines ? a_line : 0,
                     .ldb = STRIP,
                     .steps = p->steps * step,
                     .step = PAIRS        ? PAIR_STEP
                             : p->b_pairs ? SECOND_FIRST
                                          : FLOAT_STEP,
                     .add = p->add,
                     .past = p->past};
    const size_t tiles = (p->rows + PANEL - 1) / PANEL * ((p->cols + STRIP - 1) / STRIP);
    t.ahead = reader_of(p->ahead, tiles * t.steps, p->a.at);
    for (size_t j = 0; j < p->cols; j += STRIP) {
        size_t cols = p->cols - j < STRIP ? p->cols - j : STRIP;
        t.b = (const float *)p->b.at + j * b_line + b_first * STRIP;
        for (size_t i = 0, rows; i < p->rows; i += rows) {
            rows = next_rows(p->rows - i, p->a_lines);
            t.c = p->c + i * p->ldc + j;
            t.a = (const float *)p->a.at + i * a_line + (p->a_lines ? a_first : a_first * PANEL);
            any_tile(&t, rows, cols);
            t.ahead.at += t.ahead.advance * t.steps;
        }
    }
}
#endif

// bf16 products by AMX tiles, compiled once a vector level with KERNELS set, empty where that has
// no tiles. Registers 0 to 3 are two by two tiles of c, 4 and 5 of a, 6 and 7 of b.
//
// An output begins as what is in c, or as 0, and gets a sum for each step of TILE_INNER inner
// numbers, in order: the chain of the even ones plus that of the odd ones. So its bits depend on
// its row and column only, not on where the inner length is cut between two steps; but they are of
// another kind than the other levels'.
#include "common/engine/kernels_tiles.h"

#if TILES
// ---- packing: a tile of the left operand is a line a row, of the right one a word a row ----

INLINE void pack_tile(uint32_t *to, const void *from, size_t ld, bool inner, bool right,
                      enum kind kind) {
    __m512i w[TILE];
#pragma GCC unroll 16
    for (size_t i = 0; i < TILE; i++)
        w[i] = inner ? line_words(load_weights(from, i * ld, kind),
                                  load_weights(from, i * ld + TILE, kind))
                     : pair_words(load_weights(from, 2 * i * ld, kind),
                                  load_weights(from, (2 * i + 1) * ld, kind));
    if (inner == right) transpose(w);
    memcpy(to, w, sizeof w);
}

static void pack_floats(uint32_t *to, const float *from, size_t ld, bool inner, bool right) {
    if (inner && right)
        pack_tile(to, from, ld, true, true, FLOATS);
    else if (inner)
        pack_tile(to, from, ld, true, false, FLOATS);
    else if (right)
        pack_tile(to, from, ld, false, true, FLOATS);
    else
        pack_tile(to, from, ld, false, false, FLOATS);
}

static void pack_halves(uint32_t *to, const uint16_t *from, size_t ld, bool inner, bool right) {
    if (inner && right)
        pack_tile(to, from, ld, true, true, HALVES);
    else if (inner)
        pack_tile(to, from, ld, true, false, HALVES);
    else if (right)
        pack_tile(to, from, ld, false, true, HALVES);
    else
        pack_tile(to, from, ld, false, false, HALVES);
}

// Of a tile that is not whole: n lines from `line` on, inner numbers k on.
static void pack_part(uint32_t *to, const struct operand *o, size_t line, size_t n, size_t k,
                      size_t count, bool right) {
    float part[TILE * TILE_INNER] = {0};
    const void *from = o->bf16 ? (const void *)o->bf16 : (const void *)o->f32;
    const size_t ld = o->inner ? TILE_INNER : TILE;
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < count; p++)
            part[o->inner ? i * ld + p : p * ld + i] =
                one_weight(from, o->inner ? (line + i) * o->ld + k + p : (k + p) * o->ld + line + i,
                           o->bf16 ? HALVES : FLOATS);
    pack_floats(to, part, ld, o->inner, right);
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

void AT_LEVEL(bf16_pack)(uint32_t *to, size_t apart, size_t first, const struct operand *o,
                         size_t n, size_t k, bool right) {
    enum { HALF = TILE_WORDS / 2 };
    for (size_t i = 0; i < n; i += TILE) {
        uint32_t *tile = to + (i / TILE_LINES * apart + first) * TILE_WORDS;
        if (i / TILE % 2) tile += HALF;
        for (size_t p = 0; p < k; p += TILE_INNER, tile += TILE_WORDS) {
            size_t lines = least(n - i, TILE), count = least(k - p, TILE_INNER);
            size_t at = o->inner ? i * o->ld + p : p * o->ld + i;
            if (lines < TILE || count < TILE_INNER)
                pack_part(tile, o, i, lines, p, count, right);
            else if (o->bf16)
                pack_halves(tile, o->bf16 + at, o->ld, o->inner, right);
            else
                pack_floats(tile, o->f32 + at, o->ld, o->inner, right);
            if (i / TILE % 2 == 0 && n - i <= TILE) memset(tile + HALF, 0, HALF * sizeof *tile);
        }
    }
}

// ---- products ----

// All TILE_LINES rows and columns of c, at `steps` of a panel of a and one of b.
INLINE void sums(float *c, size_t ldc, const uint32_t *a, const uint32_t *b, size_t steps,
                 bool add) {
    enum { HALF = TILE_WORDS / 2, ROW = TILE * sizeof(float) };
    const size_t row = ldc * sizeof *c;
    float *below = c + TILE * ldc;
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    if (add) {
        tile_load(0, c, row);
        tile_load(1, c + TILE, row);
        tile_load(2, below, row);
        tile_load(3, below + TILE, row);
    }
    for (; steps; steps--, a += TILE_WORDS, b += TILE_WORDS) {
        tile_load(4, a, ROW);
        tile_load(6, b, ROW);
        tile_load(7, b + HALF, ROW);
        tile_multiply(0, 4, 6);
        tile_multiply(1, 4, 7);
        tile_load(5, a + HALF, ROW);
        tile_multiply(2, 5, 6);
        tile_multiply(3, 5, 7);
    }
    tile_store(0, c, row);
    tile_store(1, c + TILE, row);
    tile_store(2, below, row);
    tile_store(3, below + TILE, row);
}

static void whole_tiles(float *c, size_t ldc, const uint32_t *a, const uint32_t *b, size_t steps,
                        bool add) {
    for (size_t r = 0; r < TILE_LINES; r++) {
        __builtin_prefetch(c + r * ldc, 1, 3);
        __builtin_prefetch(c + r * ldc + TILE, 1, 3);
    }
    sums(c, ldc, a, b, steps, add);
}

static void part_of_tiles(float *c, size_t ldc, size_t rows, size_t cols, const uint32_t *a,
                          const uint32_t *b, size_t steps, bool add) {
    float part[TILE_LINES][TILE_LINES] __attribute__((aligned(64))) = {0};
    for (size_t r = 0; add && r < rows; r++) memcpy(part[r], c + r * ldc, cols * sizeof *c);
    sums(part[0], TILE_LINES, a, b, steps, true);
    for (size_t r = 0; r < rows; r++) memcpy(c + r * ldc, part[r], cols * sizeof *c);
}

void AT_LEVEL(bf16_multiply)(const struct bf16_product *t) {
    enum { STEPS = 12 }; // of a panel that stay in L1 while all panels of a pass
    const size_t a_panel = t->a.apart * TILE_WORDS, b_panel = t->b.apart * TILE_WORDS;
    tile_begin();
    for (size_t s = 0; s < t->steps; s += STEPS)
        for (size_t j = 0; j < t->cols; j += TILE_LINES)
            for (size_t i = 0; i < t->rows; i += TILE_LINES) {
                const uint32_t *a = t->a.at + i / TILE_LINES * a_panel;
                const uint32_t *b = t->b.at + j / TILE_LINES * b_panel;
                float *c = t->c + i * t->ldc + j;
                size_t rows = least(t->rows - i, TILE_LINES), cols = least(t->cols - j, TILE_LINES);
                size_t steps = least(t->steps - s, STEPS);
                bool add = t->add || s;
                a += (t->a.first + s) * TILE_WORDS;
                b += (t->b.first + s) * TILE_WORDS;
                if (rows == TILE_LINES && cols == TILE_LINES)
                    whole_tiles(c, t->ldc, a, b, steps, add);
                else
                    part_of_tiles(c, t->ldc, rows, cols, a, b, steps, add);
            }
    tile_end();
}
#else
typedef int no_tiles_at_this_level;
#endif

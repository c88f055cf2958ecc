// The tile instructions of AMX, one name each, or the same worked out in C (TILES_EMULATED), so
// that tests/unit/test_tiles.c runs the code around them on any CPU with AVX512-BF16. Registers are
// named by literal numbers. Only kernels_tiles.c includes this.
#pragma once
#include "common/engine/kernels_vector.h"
#if TILES
#include "common/engine/kernels_pairs.h"
#endif

#if defined(TILES_EMULATED)
#include <float.h>
#include <math.h>

static _Thread_local float tile_register[8][TILE][TILE];

INLINE void tile_begin(void) {}
INLINE void tile_end(void) {}

INLINE void tile_zero(int t) {
    memset(tile_register[t], 0, sizeof tile_register[t]);
}

INLINE void tile_load(int t, const void *from, size_t stride) {
    for (size_t r = 0; r < TILE; r++)
        memcpy(tile_register[t][r], (const char *)from + r * stride, sizeof tile_register[t][r]);
}

INLINE void tile_store(int t, void *to, size_t stride) {
    for (size_t r = 0; r < TILE; r++)
        memcpy((char *)to + r * stride, tile_register[t][r], sizeof tile_register[t][r]);
}

INLINE float tile_flushed(float x) { // denormals count as zero, and become it
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

INLINE float tile_half(float pair, bool high) {
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    word = high ? word & 0xffff0000u : word << 16;
    memcpy(&pair, &word, sizeof pair);
    return tile_flushed(pair);
}

// c += a b as Intel's manual has it for TDPBF16PS: the even and the odd numbers of the pairs are
// two chains of fused multiply-adds from 0, whose sum is added to c.
INLINE void tile_multiply(int c, int a, int b) {
    for (size_t m = 0; m < TILE; m++)
        for (size_t n = 0; n < TILE; n++) {
            float sum[2] = {0}, *to = &tile_register[c][m][n];
            for (size_t k = 0; k < TILE; k++)
                for (int odd = 0; odd < 2; odd++)
                    sum[odd] = tile_flushed(fmaf(tile_half(tile_register[a][m][k], odd),
                                                 tile_half(tile_register[b][k][n], odd), sum[odd]));
            *to = tile_flushed(tile_flushed(*to) + tile_flushed(sum[0] + sum[1]));
        }
}

#elif TILES
#include <immintrin.h>

// The compiler is told that memory is read where its own names for the instructions do not say so.
#define TILE_BARRIER() __asm__ volatile("" ::: "memory")

INLINE void tile_begin(void) { // all eight are TILE rows of 64 bytes
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shape.bytes[t] = 4 * TILE;
        shape.rows[t] = TILE;
    }
    TILE_BARRIER();
    _tile_loadconfig(&shape);
}

INLINE void tile_end(void) {
    _tile_release();
    TILE_BARRIER();
}

#define tile_zero(t) _tile_zero(t)
#define tile_load(t, from, stride) _tile_loadd(t, from, stride)
#define tile_store(t, to, stride) _tile_stored(t, to, stride)
#define tile_multiply(c, a, b) _tile_dpbf16ps(c, a, b)
#endif

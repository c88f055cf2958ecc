#include "common/engine/levels.h"
#include "common/base/clock.h"
#include "common/base/fail.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

// More rows than any level's panels, more columns than its strips, an inner length that is no
// multiple of anything.
enum { ROWS = 37, COLUMNS = 52, INNER = 35, LD = 64, FEW_ROWS = 5 };

struct operands {
    float a[LD * LD], b[LD * LD];
};

static void fill(struct operands *o) {
    uint32_t state = 1;
    for (size_t i = 0; i < LD * LD; i++) {
        state = state * 1664525u + 1013904223u;
        o->a[i] = (float)(state >> 8) / 8388608.0f - 1;
        o->b[i] = (float)(state >> 12 & 0xfff) / 2048.0f - 1;
    }
}

// No term is larger than 1, and a NaN is near nothing.
static bool near(const float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i] - y[i]) <= 4e-6f * INNER)) return false;
    return true;
}

static void product(const struct kernels *k, const struct operands *o, bool inner, bool bf16,
                    float c[ROWS * LD]) {
    const struct block d = {.c = c,
                            .ldc = LD,
                            .rows = ROWS,
                            .cols = COLUMNS,
                            .k = INNER,
                            .a = {.f32 = o->a, .ld = LD, .inner = inner},
                            .b = {.f32 = o->b, .ld = LD, .inner = inner},
                            .add = inner,
                            .bf16 = bf16};
    for (size_t i = 0; i < ROWS * LD; i++) c[i] = 1;
    (k->product && !bf16 ? k->product : k->block)(&d);
}

// The product of numbers of bf16 as Intel's manual has it for TDPBF16PS: of each TILE_INNER inner
// numbers the even and the odd ones are chains from 0, whose sum is added to what is there.
static void tiles_product(const struct operands *o, bool inner, float c[ROWS * LD]) {
    const size_t line = inner ? LD : 1, step = inner ? 1 : LD;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLUMNS; j++) {
            const float *a = o->a + i * line, *b = o->b + j * line;
            float sum = inner ? c[i * LD + j] : 0;
            for (size_t first = 0; first < INNER; first += TILE_INNER) {
                float chain[2] = {0};
                for (size_t p = first; p < INNER && p < first + TILE_INNER; p++)
                    chain[p % 2] = fmaf(a[p * step], b[p * step], chain[p % 2]);
                sum += chain[0] + chain[1];
            }
            c[i * LD + j] = sum;
        }
}

static bool products_agree(const struct kernels *k, const struct kernels *oracle,
                           const struct operands *o) {
    float mine[ROWS * LD], right[ROWS * LD];
    for (int how = 0; how < 4; how++) {
        bool inner = how & 1, bf16 = how & 2;
        product(k, o, inner, bf16, mine);
        product(oracle, o, inner, bf16, right);
        if (!near(mine, right, ROWS * LD)) return false;
        if (!bf16) continue;
        if (k->tiles) {
            struct operands rounded;
            oracle->round(rounded.a, o->a, LD * LD);
            oracle->round(rounded.b, o->b, LD * LD);
            for (size_t n = 0; n < ROWS * LD; n++) right[n] = 1;
            tiles_product(&rounded, inner, right);
        }
        if (memcmp(mine, right, sizeof mine)) return false;
    }
    return true;
}

// Few rows by weights in bf16 that are packed, as gemm_pack leaves them.
static bool packed_agree(const struct kernels *k, const struct kernels *oracle,
                         const struct operands *o) {
    enum { EVEN = INNER - 1, STRIPS = COLUMNS + 48 };
    const struct kernels *level[2] = {k, oracle};
    float sum[2][FEW_ROWS * COLUMNS], words[COLUMNS * EVEN / 2], packed[STRIPS * EVEN / 2];
    oracle->narrow((uint16_t *)(void *)words, o->b, COLUMNS * EVEN);
    for (int i = 0; i < 2; i++) {
        level[i]->pack(packed, words, EVEN / 2, COLUMNS, EVEN / 2, true);
        level[i]->block(&(struct block){.c = sum[i],
                                        .ldc = COLUMNS,
                                        .rows = FEW_ROWS,
                                        .cols = COLUMNS,
                                        .k = EVEN,
                                        .a = {.f32 = o->a, .ld = LD, .inner = true},
                                        .b = {.pairs = packed, .ld = EVEN / 2}});
    }
    return near(sum[0], sum[1], FEW_ROWS * COLUMNS);
}

bool level_proves(const struct kernels *k, const struct kernels *oracle) {
    struct operands o;
    float mine[FEW_ROWS * COLUMNS], right[FEW_ROWS * COLUMNS];
    fill(&o);
    if (!products_agree(k, oracle, &o)) return false;
    k->rows(mine, COLUMNS, o.a, LD, FEW_ROWS, o.b, COLUMNS, INNER, o.b);
    oracle->rows(right, COLUMNS, o.a, LD, FEW_ROWS, o.b, COLUMNS, INNER, o.b);
    return near(mine, right, FEW_ROWS * COLUMNS) && packed_agree(k, oracle, &o);
}

static double bf16_seconds(const struct kernels *k) {
    enum { N = 96, M = 48, K = 256 };
    float a[N * K] = {0}, c[N * M]; // zeros take as long as other numbers
    double start = clock_seconds();
    k->block(&(struct block){.c = c,
                             .ldc = M,
                             .rows = N,
                             .cols = M,
                             .k = K,
                             .a = {.f32 = a, .ld = K, .inner = true},
                             .b = {.f32 = a, .ld = K, .inner = true},
                             .bf16 = true});
    return clock_seconds() - start;
}

// Whether a level's shortest time of a product in bf16 is below another's: of several in turns,
// since on a busy machine any of them may be interrupted.
static bool faster_in_bf16(const struct kernels *k, const struct kernels *other) {
    enum { TURNS = 8 };
    double best[2] = {INFINITY, INFINITY};
    for (int i = 0; i < TURNS; i++) {
        best[0] = fmin(best[0], bf16_seconds(k));
        best[1] = fmin(best[1], bf16_seconds(other));
    }
    return best[0] < best[1];
}

// The number of the best of levels 0 .. n-1 that proves itself.
static int best_proven(const struct kernels *const level[], int n) {
    int i = n - 1;
    for (; i > 0 && !level_proves(level[i], level[0]); i--)
        warn(
            "kernel level '%s' multiplies wrongly on this CPU: left out; report it, with the CPU's "
            "name",
            level[i]->name);
    return i;
}

const struct kernels *levels_best(const struct kernels *const level[], int n) {
    int best = best_proven(level, n);
    while (level[best]->pairs && !level[best]->tiles) { // tiles have bits of their own
        int next = best_proven(level, best);
        if (faster_in_bf16(level[best], level[next])) break;
        best = next;
    }
    return level[best];
}

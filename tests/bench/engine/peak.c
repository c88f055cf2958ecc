// What multiply-adds in registers reach: the ceiling of every product. In bursts just before what
// is compared with it, since a shared machine's clock drifts.
#include "tests/bench/engine/bench.h"
#include "common/base/parallel.h"
#include "common/engine/kernels.h"
#include <math.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// `times` rounds of multiply-adds; the sum keeps them from being left out
struct burst {
    float (*run)(size_t times);
    size_t times;
    double flops; // of a round
    float sink[1024];
};

#if defined(__x86_64__)
#define ROUND(TYPE, SET, ADD)                                                                      \
    TYPE s[24], a = SET;                                                                           \
    for (int i = 0; i < 24; i++) s[i] = (TYPE){0};                                                 \
    for (size_t n = 0; n < times; n++) {                                                           \
        _Pragma("GCC unroll 24") for (int i = 0; i < 24; i++) s[i] = ADD;                          \
        __asm__ volatile("" : "+v"(a));                                                            \
    }                                                                                              \
    for (int i = 1; i < 24; i++) s[0] += s[i];                                                     \
    return s[0][0]

__attribute__((target("avx512f"))) static float burst_avx512(size_t times) {
    ROUND(__m512, _mm512_set1_ps(1), _mm512_fmadd_ps(s[i], a, a));
}

__attribute__((target("avx512f,avx512bf16"))) static float burst_bf16(size_t times) {
    ROUND(__m512, _mm512_set1_ps(1), _mm512_dpbf16_ps(s[i], (__m512bh)a, (__m512bh)a));
}

#if defined(LEVEL_amx)
// Four tiles a round, each of 16 rows, 16 columns and 32 inner numbers.
__attribute__((target("amx-tile,amx-bf16"))) static float burst_tiles(size_t times) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shape.bytes[t] = 64;
        shape.rows[t] = 16;
    }
    __asm__ volatile("" ::"m"(shape));
    _tile_loadconfig(&shape);
    for (size_t n = 0; n < times; n++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 0;
}
#endif

__attribute__((target("avx2,fma"))) static float burst_avx2(size_t times) {
    __m256 s[12], a = _mm256_set1_ps(1);
    for (int i = 0; i < 12; i++) s[i] = (__m256){0};
    for (size_t n = 0; n < 2 * times; n++) {
        _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) s[i] = _mm256_fmadd_ps(s[i], a, a);
        __asm__ volatile("" : "+v"(a));
    }
    for (int i = 1; i < 12; i++) s[0] += s[i];
    return s[0][0];
}
#endif

static float burst_portable(size_t times) {
    typedef float four __attribute__((vector_size(16)));
    four s[12] = {0}, a = {1, 1, 1, 1};
    for (size_t n = 0; n < 2 * times; n++) {
        _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) s[i] = s[i] * a + a;
    }
    for (int i = 1; i < 12; i++) s[0] += s[i];
    return s[0][0];
}

static void run(void *self, size_t i) {
    struct burst *b = self;
    (void)i;
    b->sink[parallel_self() % 1024] = b->run(b->times);
}

static bool pick(struct burst *b, bool bf16) {
    *b = (struct burst){.run = burst_portable, .flops = 24 * 8};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        *b = (struct burst){.run = burst_avx512, .flops = 24 * 32};
    else if (__builtin_cpu_supports("avx2"))
        *b = (struct burst){.run = burst_avx2, .flops = 24 * 16};
#if defined(LEVEL_amx)
    if (bf16 && kernels()->tiles) {
        *b = (struct burst){.run = burst_tiles, .flops = 4 * 2.0 * 16 * 16 * 32};
        return true;
    }
#endif
    if (bf16 && __builtin_cpu_supports("avx512bf16")) {
        *b = (struct burst){.run = burst_bf16, .flops = 24 * 64};
        return true;
    }
#endif
    return !bf16;
}

static double seconds_of(struct burst *b) {
    double start = bench_clock();
    parallel_for((size_t)parallel_threads(), run, b);
    return bench_clock() - start;
}

// The best of three bursts: in one of them a thread may come late.
static double rate(struct burst *b) {
    double seconds = 0;
    for (b->times = 50000; seconds < 2e-3;) {
        b->times *= 2;
        seconds = seconds_of(b);
    }
    for (int i = 0; i < 2; i++) seconds = fmin(seconds, seconds_of(b));
    return b->flops * (double)b->times * (double)parallel_threads() / seconds;
}

double bench_peak(bool bf16) {
    struct burst b, plain;
    if (!pick(&b, bf16)) return NAN;
    if (!bf16) return rate(&b);
    pick(&plain, false); // some CPUs have the instruction, slower than two multiply-adds
    return fmax(rate(&b), rate(&plain));
}

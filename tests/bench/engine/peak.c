// What multiply-adds in registers reach: the ceiling of every product. In bursts just before what
// is compared with it, since a shared machine's clock drifts.
#include "tests/bench/engine/bench.h"
#include "common/base/parallel.h"
#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// `times` rounds of 24 vectors of multiply-adds; the sum keeps them from being left out
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
    if (bf16 && __builtin_cpu_supports("avx512bf16")) {
        *b = (struct burst){.run = burst_bf16, .flops = 24 * 64};
        return true;
    }
#endif
    return !bf16;
}

double bench_peak(bool bf16) {
    struct burst b;
    if (!pick(&b, bf16)) return NAN;
    size_t threads = (size_t)parallel_threads();
    double seconds = 0;
    for (b.times = 100000; seconds < 2e-3; b.times *= 2) {
        double start = bench_clock();
        parallel_for(threads, run, &b);
        seconds = bench_clock() - start;
    }
    return b.flops * (double)(b.times / 2) * (double)threads / seconds;
}

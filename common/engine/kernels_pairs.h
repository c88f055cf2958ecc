// Float32 to words of two bf16, by AVX512-BF16. Nothing at levels without it.
#pragma once
#include "common/engine/kernels_vector.h"
#include <immintrin.h>
#if defined(__AVX512BF16__)

INLINE __m256i narrowed(__m512 x) {
    __mmask16 keep = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(BF16_LEAST), _CMP_NLT_UQ);
    return (__m256i)_mm512_maskz_cvtneps_pbh(keep, x);
}

INLINE __m512i without_small(__m512i half) { // 32 of them
    const __m512i least = _mm512_set1_epi16(0x2400), size = _mm512_set1_epi16(0x7fff);
    __mmask32 keep = _mm512_cmpge_epu16_mask(_mm512_and_si512(half, size), least);
    return _mm512_maskz_mov_epi16(keep, half);
}

INLINE __m512i line_words(vec x, vec next) { // of 32 numbers of a line
    return _mm512_inserti64x4(_mm512_castsi256_si512(narrowed((__m512)x)), narrowed((__m512)next),
                              1);
}

INLINE __m512i pair_words(vec x, vec next) { // of two inner numbers of 16 lines
    __m512i low = _mm512_cvtepu16_epi32(narrowed((__m512)x));
    __m512i high = _mm512_cvtepu16_epi32(narrowed((__m512)next));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// Word j of w[i] and word i of w[j] change places: by fours of neighbours, then fours of those.
INLINE void transpose(__m512i w[16]) {
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(w[i], w[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(w[i], w[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        w[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        w[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        w[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        w[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(w[i], w[i + 4], 0x44);
        t[i + 4] = _mm512_shuffle_i32x4(w[i], w[i + 4], 0xee);
        t[i + 8] = _mm512_shuffle_i32x4(w[i + 8], w[i + 12], 0x44);
        t[i + 12] = _mm512_shuffle_i32x4(w[i + 8], w[i + 12], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        w[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        w[i + 4] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        w[i + 8] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        w[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
#endif

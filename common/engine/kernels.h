// Vectorised primitives over rows of floats. common/engine/kernels.c is compiled once for each vector
// level (portable, avx2, avx512) and the best one that the CPU has is picked at start; the
// environment variable ALIGNDISTIL_KERNELS names a lower one. Reductions run in 16 explicit lanes,
// products in one chain a number, so that avx2 and avx512 give the same bits.
//
// Against float64 (tests/unit/test_kernels.c holds every level to it): exp 2.5e-7 relative from -87
// to 88, 0 below, e^88 above, NaN of NaN (max alone passes over a NaN); sums, dot and few-row
// products 1e-6 of the sum of their terms' sizes at 1000 terms; blocks of products 3e-6 at 256;
// mix, rmsnorm and swiglu 2e-6; gradients 4e-6; sum_squares 1e-14.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adamw_step {
    float clip; // factor on the gradient
    float beta1, beta2;
    float rate;           // lr / (1 - beta1^t)
    float root;           // 1 / sqrt(1 - beta2^t)
    float epsilon, decay; // decay: lr * weight decay, 0 on vectors
};

struct extrapolation { // of a teacher's logits, see common/method/teacher.h
    double alpha, shift, less;
    float least;
};

struct kernels {
    const char *name;
    float (*max)(const float *x, size_t n);
    float (*sum_exp)(const float *x, size_t n, float shift); // sum exp(x - shift)
    void (*exp_scale)(float *y, const float *x, size_t n, float shift, float scale);
    // y = scale exp(x - shift)
    float (*exp_sum)(float *y, const float *x, size_t n,
                     float shift); // y = exp(x - shift); its sum
    float (*dot)(const float *x, const float *y, size_t n);
    // y (n,M) [+]= x (n,K) w(M,K)^T; each output by itself: its bits depend on its two rows only
    void (*rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                 size_t M, size_t K, bool add);
    // the same with w in bf16: the bits that its numbers give in float32
    void (*rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const uint16_t *w,
                      size_t M, size_t K, bool add);
    void (*widen)(float *y, const uint16_t *x, size_t n); // bf16 -> float32
    // y (cols) = a (n) x (n,cols), row stride ld; rows are added in order
    void (*mix)(float *y, const float *a, const float *x, size_t ld, size_t n, size_t cols);
    void (*axpy)(float *y, float a, const float *x, size_t n);  // y += a x
    void (*scale)(float *y, const float *x, float a, size_t n); // y = a x
    // RMSNorm of a row (Zhang & Sennrich 2019): y = x r w, r = 1/sqrt(mean x^2 + eps); returns r
    float (*rmsnorm)(float *y, const float *x, const float *w, size_t n, float eps);
    // dx += r w dy - x r^3 (sum w dy x)/n
    void (*rmsnorm_backward)(float *dx, const float *dy, const float *x, const float *w, float r,
                             size_t n);
    // y = silu(gate) up
    void (*swiglu)(float *y, const float *gate, const float *up, size_t n);
    // gate, up become their own gradients
    void (*swiglu_backward)(float *gate, float *up, const float *dy, size_t n);
    // dp (n) becomes scale p (dp - delta), delta = sum p dp: softmax's gradient times `scale`
    void (*softmax_backward)(float *dp, const float *p, float delta, float scale, size_t n);
    // rotates pairs (x[i], x[i + n/2]) by angles given as cos, sin (n/2); sign -1 turns back
    void (*rope)(float *x, const float *cosine, const float *sine, float sign, size_t n);
    // y = base + alpha (dpo - negative - shift) - less, without the second term where base is below
    // `least` or either is infinite; worked out in double. y may be one of the others.
    void (*extrapolate)(float *y, const float *base, const float *dpo, const float *negative,
                        size_t n, const struct extrapolation *e);
    // p, m, v are updated by AdamW (Loshchilov & Hutter 2019); g is the gradient before clipping
    void (*adamw)(float *p, float *m, float *v, const float *g, size_t n,
                  const struct adamw_step *s);
    double (*sum_squares)(const float *x, size_t n);
    // Matrix products, a block at a time: see gemm.c, which cuts them. A packed b (k,n) is strips
    // of `strip` columns, each (k,strip), the last filled up with zeros. `across`: from is b's
    // transpose (n,k), else (k,n), with row stride ld.
    size_t strip;
    void (*pack)(float *to, const float *from, size_t ld, size_t n, size_t k, bool across);
    void (*pack_half)(float *to, const uint16_t *from, size_t ld, size_t n,
                      size_t k); // bf16, across
    // c (rows,cols) [+]= a (rows,k) b, the first k of the `deep` rows that were packed. `across`: a
    // is stored as (k,rows). Each output is one chain of k multiply-adds from 0 in order, then
    // added: its bits depend on its row and column only.
    void (*block)(float *c, size_t ldc, const float *a, size_t lda, bool across, const float *b,
                  size_t deep, size_t rows, size_t cols, size_t k, bool add);
};

enum { KERNEL_DEPTH = 256, KERNEL_STRIPS = 48 }; // most k of a block; a multiple of every `strip`

const struct kernels *kernels(void);

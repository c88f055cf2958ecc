// Vectorised primitives over rows of floats. common/engine/kernels.c is compiled once for each
// vector level (portable, avx2, avx512) and the best one that the CPU has is picked at start; the
// environment variable ALIGNDISTIL_KERNELS names a lower one. Reductions run in 16 explicit lanes,
// products in one chain per number, so that avx2 and avx512 give the same bits.
//
// Against float64 (tests/unit/test_kernels.c holds every level to it): exp 2.5e-7 relative from -87
// to 88, 0 below, e^88 above, NaN of NaN (max alone passes over a NaN); sums, dot and few-row
// products 1e-6 of the sum of their terms' sizes at 1000 terms; blocks of products 4e-6 at 384;
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

// Most inner steps of a block in float32 (bf16: twice as many), most rows where a is in bf16 or not
// `inner` (bf16 without `pairs`: half as many; multiples of 24, of all panels), a multiple of all
// strips.
enum { KERNEL_DEPTH = 384, KERNEL_ROWS = 528, KERNEL_STRIPS = 48 };

struct operand { // of a product: n lines (rows of c, or columns) of k inner steps each
    const float *f32;
    const uint16_t *bf16; // instead, b only
    const float *packed;  // instead, b only
    size_t ld;            // row stride; packed: the steps of a strip
    bool inner;           // stored (n,k), else (k,n)
};

// c (rows,cols) [+]= a (rows,k) b (k,cols). Each output is one chain of k multiply-adds from 0 in
// order, then added: its bits depend on its row and column only. bf16: numbers of a and b are
// rounded to bf16 first, those below 2^-55 to 0, and of two steps 2i, 2i+1 the second is added
// before the first, as vdpbf16ps does; the same bits at every level, the portable one too.
struct block {
    float *c;
    size_t ldc, rows, cols, k;
    struct operand a, b;
    bool add, bf16;
};

struct kernels {
    const char *name;
    float (*max)(const float *x, size_t n);
    float (*sum_exp)(const float *x, size_t n, float shift); // sum exp(x - shift)
    void (*exp_scale)(float *y, const float *x, size_t n, float shift, float scale);
    // y = scale exp(x - shift)
    float (*exp_sum)(float *y, const float *x, size_t n,
                     float shift); // y = exp(x - shift); its sum
    // y = exp(x), the sum of y x; where y is 0 that term is 0
    float (*exp_moment)(float *y, const float *x, size_t n);
    float (*distance)(const float *x, const float *y, float a, size_t n); // sum |x - a y|
    float (*dot)(const float *x, const float *y, size_t n);
    // y (n,M) [+]= x (n,K) w(M,K)^T; each output by itself: its bits depend on its two rows only
    void (*rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                 size_t M, size_t K, bool add);
    // the same with w in bf16: the bits that its numbers give in float32
    void (*rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const uint16_t *w,
                      size_t M, size_t K, bool add);
    // the same with w rounded to bf16 as it is read: the bits that rows_half gives of it
    void (*rows_rounded)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                         size_t M, size_t K, bool add);
    void (*round)(float *y, const float *x, size_t n); // to bf16, to nearest even, kept in float32
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
    // Matrix products, a block at a time: see gemm.c, which cuts them.
    size_t strip;
    bool pairs; // multiplies bf16 in pairs: half the work of the other levels, the same bits
    // to: strips of `strip` columns, each (k,strip), the last filled up with zeros, of b (k,n) or,
    // across, of its transpose (n,k), row stride ld. What block takes as `packed`, with ld = k.
    void (*pack)(float *to, const float *from, size_t ld, size_t n, size_t k, bool across);
    void (*block)(const struct block *b);
    // Level 'blas' alone, else NULL: a float32 product of any size in one call, see blas.h.
    void (*product)(const struct block *b);
};

const struct kernels *kernels(void);
// The level of --kernels, which goes before the environment's; NULL: as if not called. Before any
// work; dies (exit 2) where this CPU has not that level.
void kernels_choose(const char *level);

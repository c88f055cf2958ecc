// Vectorised primitives over rows of floats. common/engine/kernels.c is compiled once for each
// vector level (portable, avx2, avx512, avx512bf16, amx) and the best one that the CPU has is
// picked at start; the environment variable ALIGNDISTIL_KERNELS names a lower one. Reductions run
// in 16 explicit lanes, products in one chain per number, so that avx2 and avx512 give the same
// bits.
//
// Against float64 (tests/unit/test_kernels*.c hold every level to it): exp 2.5e-7 relative from -87
// to 88, 0 below, e^88 above, NaN of NaN (max alone passes over a NaN); sums and dot products
// 1e-6 of the sum of their terms' sizes at 1000 terms; blocks of products 4e-6 at 384; mix, rmsnorm
// and swiglu 2e-6; gradients 4e-6; geglu 4e-6 of gate times up; sum_squares 1e-14.
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

// Most inner steps of a block in float32 (bf16: twice as many), most rows where a is not `inner`,
// or in bf16 (there half as many without `pairs`; multiples of 24, of all panels), a multiple of
// all strips.
enum { KERNEL_DEPTH = 384, KERNEL_ROWS = 528, KERNEL_STRIPS = 48 };

// In products in bf16 numbers below this count as 0: then no product and no sum is denormal, and it
// does not matter what a level does with those.
#define BF16_LEAST 0x1p-55f
#define BF16_LEAST_BITS 0x24000000u

struct memory { // so many bytes from `at` on
    const char *at;
    size_t bytes;
};

struct operand { // of a product: n lines (rows of c, or columns) of k inner steps each
    const float *f32;
    const uint16_t *bf16; // instead, b only
    const float *packed;  // instead, b only: strips, as `pack` makes them
    const float *pairs; // instead, b only: the same of words of two numbers in bf16 (low half: the
                        // first one), which are two steps
    size_t ld;          // row stride; packed, pairs: the words of a column of a strip
    bool inner;         // stored (n,k), else (k,n)
};

// c (rows,cols) [+]= a (rows,k) b (k,cols). Each output is one chain of k multiply-adds from 0 in
// order, then added: its bits depend on its row and column only. bf16: numbers of a and b are
// rounded to bf16 first, those below 2^-55 to 0, and of two steps 2i, 2i+1 the second is added
// before the first, as vdpbf16ps does; the same bits at every level, the portable one too, but AMX.
struct block {
    float *c;
    size_t ldc, rows, cols, k;
    struct operand a, b;
    bool add, bf16;
    struct memory ahead; // what is fetched meanwhile, of b's next strip; float32 only
    bool past; // c, of whole cache lines, is written past the caches: it is large and read later
};

// Products in bf16, operands packed. A step has `inner` numbers of the inner length, which take
// `words` words of a line; a panel is of `left` lines of a, or `right` columns of b, the last
// filled up with zeros. What is in a panel is the level's own business.
struct bf16_panels {
    size_t left, right, inner, words;
};
// By AMX: TILE_LINES lines either way, a step of TILE_INNER numbers after the other, TILE_WORDS
// words of two numbers each.
enum { TILE_LINES = 32, TILE_INNER = 32, TILE_WORDS = TILE_LINES * TILE_INNER / 2 };

struct bf16_packed {    // an operand: where its panels begin, the steps from one to the next, and
    const uint32_t *at; // which of them is the first to multiply
    size_t apart, first;
};

struct bf16_product { // c (rows,cols) [+]= a b
    float *c;
    size_t ldc, rows, cols, steps;
    struct bf16_packed a, b;
    bool a_lines; // a was `inner`
    bool b_pairs; // b's panels are of words of two numbers at any level, as an operand's `pairs`
    bool add;
    struct memory ahead; // as a block's; not by AMX
    bool past;           // as a block's
};

enum { PAIR_SUMS = 8 };

struct outside {
    float moment, mass[16], most[16];
};

struct kernels {
    const char *name;
    const char *bits; // levels of one kind give the same bits in float32
    bool tiles;       // bf16 by AMX, whose sums are of their own kind: kernels_tiles.c
    float (*max)(const float *x, size_t n);
    // y[16 b + l] = the largest of the `each` numbers l, l + 16, .. of x from 16 b each on; there
    // is room for every b that begins before n. What is missing is -INFINITY.
    void (*maxima)(float *y, const float *x, size_t n, size_t each);
    // at: the places of numbers that are `least` at least, ascending; returns how many there are
    size_t (*at_least)(int32_t *at, const float *x, size_t n, float least);
    // before[i] = how many of x rank before x[i]: what is larger, and of equals what stands before
    void (*ranks)(int32_t *before, const float *x, size_t n);
    // lane[l] = the sum of x[l], x[16 + l], .. up to `limit`; returns how many numbers are above
    size_t (*sum_up_to)(float lane[16], const float *x, size_t n, float limit);
    float (*sum_exp)(const float *x, size_t n, float shift); // sum exp(x - shift)
    void (*exp_scale)(float *y, const float *x, size_t n, float shift, float scale);
    // y = scale exp(x - shift)
    float (*exp_sum)(float *y, const float *x, size_t n,
                     float shift); // y = exp(x - shift); its sum
    // y = exp(x), the sum of y x; where y is 0 that term is 0
    float (*exp_moment)(float *y, const float *x, size_t n);
    // Of masses p with logarithms x: the sum of p x, 0 where p is; of lane l, which has numbers l,
    // l + 16, .., the sum of p and the largest x.
    void (*outside)(struct outside *to, const float *p, const float *x, size_t n);
    // Of masses p and q with logarithms l and m, and a = l - m, 0 where p is: the sums of p, q, p
    // a, p p, p p a, p p a a, q q, p q.
    void (*pair_sums)(float sum[PAIR_SUMS], const float *p, const float *q, const float *l,
                      const float *m, size_t n);
    float (*distance)(const float *x, const float *y, float a, size_t n); // sum |x - a y|
    float (*dot)(const float *x, const float *y, size_t n);
    // y (n,M) = x (n,K) w(M,K)^T; each output by itself: its bits depend on its two rows only.
    // next: what is read after w, in the same layout: of it a cache line is fetched with each of
    // w's. Where nothing comes next, w itself.
    void (*rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                 size_t M, size_t K, const void *next);
    // the same with w in bf16: the bits that its numbers give in float32
    void (*rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const uint16_t *w,
                      size_t M, size_t K, const void *next);
    void (*round)(float *y, const float *x, size_t n); // to bf16, to nearest even, kept in float32
    void (*widen)(float *y, const uint16_t *x, size_t n);  // bf16 -> float32
    void (*narrow)(uint16_t *y, const float *x, size_t n); // the bf16 that `round` keeps in float32
    // y (cols) = a (n) x (n,cols), row stride ld; rows are added in order. next: as in `rows`, or x
    void (*mix)(float *y, const float *a, const float *x, size_t ld, size_t n, size_t cols,
                const void *next);
    // the same with x in bf16: the bits that its numbers give in float32
    void (*mix_half)(float *y, const float *a, const uint16_t *x, size_t ld, size_t n, size_t cols,
                     const void *next);
    void (*axpy)(float *y, float a, const float *x, size_t n);  // y += a x
    void (*scale)(float *y, const float *x, float a, size_t n); // y = a x
    // RMSNorm of a row (Zhang & Sennrich 2019): y = x r (w + plus), r = 1/sqrt(mean x^2 + eps);
    // returns r. plus: 0, or 1 where weights are kept as what they are above 1.
    float (*rmsnorm)(float *y, const float *x, const float *w, float plus, size_t n, float eps);
    // dx += r v dy - x r^3 (sum v dy x)/n, v = w + plus
    void (*rmsnorm_backward)(float *dx, const float *dy, const float *x, const float *w, float plus,
                             float r, size_t n);
    // y = silu(gate) up
    void (*swiglu)(float *y, const float *gate, const float *up, size_t n);
    // gate, up become their own gradients
    void (*swiglu_backward)(float *gate, float *up, const float *dy, size_t n);
    // the same with gelu in place of silu, in its tanh form (Hendrycks & Gimpel 2016)
    void (*geglu)(float *y, const float *gate, const float *up, size_t n);
    void (*geglu_backward)(float *gate, float *up, const float *dy, size_t n);
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
    struct bf16_panels bf16;
    // n lines of an operand, c's columns where `right`, k inner numbers from step `first` on
    void (*bf16_pack)(uint32_t *to, size_t apart, size_t first, const struct operand *o, size_t n,
                      size_t k, bool right);
    void (*bf16_multiply)(const struct bf16_product *t);
    // Level 'blas' alone, else NULL: a float32 product of any size in one call, see blas.h.
    void (*product)(const struct block *b);
};

const struct kernels *kernels(void);
// The level of --kernels, which goes before the environment's; NULL: as if not called. Before any
// work; dies (exit 2) where this CPU has not that level.
void kernels_choose(const char *level);
void kernels_use(const struct kernels *k); // unproven: for tests
// Whether the level of this name, of this CPU or another, gives the bits of the one in use.
bool kernels_same_bits(const char *level, bool bf16);

// The one door to matrix products. All matrices are row-major float32; weights are (M,K) as Hugging
// Face keeps them, so that y = x w^T.
//
// Own kernels (kernels.h): a task has a piece of c's rows and columns, and goes strip by strip of
// columns over its rows with all sums in registers. The inner length is cut into even blocks of
// KERNEL_DEPTH steps at most (twice that in bf16; whole multiples of 16), which a weight gradient
// begins again at each unit; an output is the sum, in order, of one chain of multiply-adds a block.
// So the bits depend neither on the threads, nor on the cutting into tasks, nor on what other rows
// or units are in the micro-batch.
//
// bf16: gemm_bf16.c.
//
// Few rows: the other operand is read from memory once, in one stream for each thread, strip by
// strip, which is fetched while the one before is multiplied. Weights that are only run may be kept
// as such strips (gemm_pack).
//
// Level 'blas': tiles of BLAS_ROWS x BLAS_COLUMNS, cut from each unit's start, the inner length
// whole; products in bf16, and of rows that stand apart, by the own kernels.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weights { // a matrix (M,K), or its rows from some on: one of them
    const float *f32;
    const uint16_t *bf16; // widened where it is packed: 2 bytes per number, the bits of float32
    bool rounded;         // products with them in bf16: both operands rounded, see struct block
    bool packed;          // by gemm_pack: for gemm_forward alone
};

struct rowplan { // units of rows, in order; `first` has units + 1 entries
    size_t units;
    const size_t *first;
    bool apart; // a row's bits do not depend on the others of its unit, at level 'blas' either
};

// Bytes that products in bf16 take, for good.
size_t gemm_bf16_bytes(void);

// y (N,M) = x (N,K) w(M,K)^T, + y if add. Row strides: ldx, ldy (floats).
void gemm_forward(const struct rowplan *p, float *y, size_t ldy, const float *x, size_t ldx,
                  struct weights w, size_t M, size_t K, bool add);
// dx (N,K) = dy (N,M) w (M,K), + dx if add.
void gemm_dx(const struct rowplan *p, float *dx, size_t lddx, const float *dy, size_t lddy,
             struct weights w, size_t M, size_t K, bool add);
// A product of the same rows as another, y (N,M) = x (N,K) w(M,K)^T, or with w (K,M) as gemm_dx has
// it, + y if add. The bits are those of the two one after the other; what they share is read once.
struct beside {
    float *y;
    size_t ldy;
    const float *x;
    size_t ldx;
    struct weights w;
    size_t M, K, at; // y's first column in the other's y; SIZE_MAX: another matrix
    bool add;
};
enum { BESIDE = 3 }; // at most
void gemm_forward_beside(const struct rowplan *p, float *y, size_t ldy, const float *x, size_t ldx,
                         struct weights w, size_t M, size_t K, bool add, const struct beside *more,
                         size_t n);
void gemm_dx_beside(const struct rowplan *p, float *dx, size_t lddx, const float *dy, size_t lddy,
                    struct weights w, size_t M, size_t K, bool add, const struct beside *more,
                    size_t n);
// dw (M,K) += dy (N,M)^T x (N,K), unit after unit; in bf16: of both rounded.
void gemm_dw(const struct rowplan *p, float *dw, const float *dy, size_t lddy, const float *x,
             size_t ldx, size_t M, size_t K, bool bf16);
// Packs weights (M,K), `numbers`, where they lie, as products take them: a product with them reads
// memory in one stream and packs nothing, its bits are the same. Rows that fill no strip stay as
// they are, and so do all of what cannot be packed in its place: float32 that products round, an
// odd K in bf16, level 'blas'. Rounded weights lose what products take for 0.
void gemm_pack(void *numbers, struct weights w, size_t M, size_t K);
bool gemm_has_small(const uint16_t *w, size_t n);         // of n numbers some that they lose
size_t gemm_packed(struct weights w, size_t M, size_t K); // the first rows, which are packed
void gemm_packed_row(struct weights w, size_t K, size_t row, float *to); // to (K): one of those

// The one door to matrix products. All matrices are row-major float32; weights are (M,K) as Hugging
// Face keeps them, so that y = x w^T.
//
// Own kernels (kernels.h): a task packs a block of b for the second cache and runs over its rows
// with all accumulators in registers. An output is the sum, in order, of chains of KERNEL_DEPTH
// multiply- adds along the inner length, which a weight gradient starts anew at each unit: so the
// bits depend neither on the threads, nor on the cutting, nor on what other rows or units are in
// the micro-batch.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weights { // a matrix (M,K), or its rows from some on: one of them
    const float *f32;
    const uint16_t *bf16; // widened where it is packed: 2 bytes a number, the bits of float32
};

struct rowplan { // units of rows, in order; `first` has units + 1 entries
    size_t units;
    const size_t *first;
};

// y (N,M) = x (N,K) w(M,K)^T, + y if add. Row strides: ldx, ldy (floats).
void gemm_forward(const struct rowplan *p, float *y, size_t ldy, const float *x, size_t ldx,
                  struct weights w, size_t M, size_t K, bool add);
// dx (N,K) = dy (N,M) w (M,K), + dx if add.
void gemm_dx(const struct rowplan *p, float *dx, size_t lddx, const float *dy, size_t lddy,
             const float *w, size_t M, size_t K, bool add);
// dw (M,K) += dy (N,M)^T x (N,K), unit after unit.
void gemm_dw(const struct rowplan *p, float *dw, const float *dy, size_t lddy, const float *x,
             size_t ldx, size_t M, size_t K);
// y (n,M) = x (n,K) w(M,K)^T, + y if add, for few rows: each output is one dot product in 16 lanes,
// so a row's bits do not depend on n.
void gemm_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, struct weights w,
               size_t M, size_t K, bool add);

// Any CBLAS as a kernel level, 'blas': float32 products by its sgemm, one call on one thread for
// each tile; everything else by the best of our own kernels. The only file that calls it is blas.c.
// It is the level of CPUs that our own kernels are not written for, and the oracle of test_gemm.
//
// An output's bits may depend on the size of its tile: whoever calls cuts by the units alone.
#pragma once
#include "common/engine/kernels.h"

// "blas OpenBLAS 0.3.21 Cooperlake" (library, version, core type); NULL: built without one.
const char *blas_name(void);
void blas_multiply(const struct block *b); // float32; neither packed nor bf16 operands

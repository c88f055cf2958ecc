// Rows for tests of kernels, of lengths around the edges of vectors and tiles; numbers that are
// near.
#pragma once
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { MOST = 1100 };
static const size_t lengths[] = {1, 2, 7, 15, 16, 17, 48, 64, 95, 288, 767, 1000};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static inline void fill(float *x, size_t n, uint64_t row, double scale) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(scale * rng_normal(7, RNG_TEST, row, i));
}

static inline void near(double got, double want, double tolerance, const char *what, size_t n) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s, %zu: %.9g, not %.9g", what, n, got, want);
}

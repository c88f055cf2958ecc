// Rows of V floats: maximum, sums, exponentials, softmax, built on the vector kernels. The only
// V-long loops with exp below the objectives and the teacher.
//
// Sums run in 16 float lanes over blocks of 512 that are added in double: the order is fixed and
// the relative error stays near 2e-7 for any V. -INFINITY (padding columns) counts as probability
// 0. Nothing fails.
#pragma once
#include <stddef.h>

enum { ROW_BLOCK = 512 };

// log 1e-30: what stands for the logarithm of nothing wherever logarithms enter a loss.
#define ROW_LOG_FLOOR (-69.07755279f)

double row_log_mass(double p); // log p, but ROW_LOG_FLOOR where p is 1e-30 at most
float row_max(const float *x, size_t n);
double row_sum(const float *x, size_t n);
// *sum: of the numbers up to `limit`; returns how many are above it.
size_t row_sum_up_to(const float *x, size_t n, float limit, double *sum);
// Of masses p (n) with logarithms logp: the sums of p logp, 0 where p is, and of p; the largest
// logp.
struct row_outside {
    double moment, mass;
    float most;
} row_outside(const float *p, const float *logp, size_t n);
void row_scale(float *x, size_t n, float scale);
// out = exp(x - shift); out may be x. Below e^-87 it is 0.
void row_exp(float *out, const float *x, size_t n, float shift);
double row_sum_exp(const float *x, size_t n, float shift); // sum of exp(x - shift)
double row_lse(const float *x, size_t n);                  // log sum of exp(x)
// y = exp(x - shift); its sum. next (n): a row that is read after x, or NULL: it is fetched
// meanwhile.
double row_exp_from(float *y, const float *x, size_t n, float shift, const float *next);
// The same, shift = *most, the largest of x.
double row_exp_sum(float *y, const float *x, size_t n, float *most, const float *next);
void row_subtract(float *x, size_t n, double c); // x - c
// x = scale softmax(x); returns log sum of exp of what x was.
double row_softmax(float *x, size_t n, double scale);
// x = scale softmax(x) where row_lse(x) is known already.
void row_softmax_known(float *x, size_t n, double lse, double scale);

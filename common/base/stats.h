// Small statistics of results: means with standard errors, quantiles, correlations. All in double;
// sums run in index order. Empty input gives NaN, a standard error of fewer than two values NaN
// too.
#pragma once
#include <stddef.h>

double stats_mean(const double *x, size_t n);
double stats_deviation(const double *x, size_t n);      // sample standard deviation (n - 1)
double stats_standard_error(const double *x, size_t n); // of the mean: deviation / sqrt(n)
void stats_sort(double *x, size_t n);                   // ascending
// Quantile q in [0, 1] of sorted x, linear between neighbours (type 7 of Hyndman and Fan).
double stats_quantile(const double *sorted, size_t n, double q);

struct paired_sums { // of pairs (x, y) as they come; starts as {0}
    double n, x, y, xx, yy, xy;
};
void stats_pair(struct paired_sums *s, double x, double y);
double stats_correlation(const struct paired_sums *s); // Pearson's r; NaN where x or y is constant

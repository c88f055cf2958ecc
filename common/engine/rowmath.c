#include "common/engine/rowmath.h"
#include "common/engine/kernels.h"
#include <math.h>

enum { LANES = 16 };

static double add_lanes(const float lane[LANES]) {
    double sum = 0;
    for (int l = 0; l < LANES; l++) sum += (double)lane[l];
    return sum;
}

double row_log_mass(double p) {
    return p > 1e-30 ? log(p) : (double)ROW_LOG_FLOOR;
}

float row_max(const float *x, size_t n) {
    return n ? kernels()->max(x, n) : -INFINITY;
}

size_t row_sum_up_to(const float *x, size_t n, float limit, double *sum) {
    const struct kernels *k = kernels();
    float lane[LANES];
    size_t above = 0;
    *sum = 0;
    for (size_t i = 0; i < n; i += ROW_BLOCK) {
        above += k->sum_up_to(lane, x + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK, limit);
        *sum += add_lanes(lane);
    }
    return above;
}

double row_sum(const float *x, size_t n) {
    double sum;
    row_sum_up_to(x, n, INFINITY, &sum);
    return sum;
}

void row_scale(float *x, size_t n, float scale) {
    kernels()->scale(x, x, scale, n);
}

void row_exp(float *out, const float *x, size_t n, float shift) {
    if (n) kernels()->exp_scale(out, x, n, shift, 1);
}

double row_sum_exp(const float *x, size_t n, float shift) {
    const struct kernels *k = kernels();
    double sum = 0;
    for (size_t i = 0; i < n; i += ROW_BLOCK)
        sum += (double)k->sum_exp(x + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK, shift);
    return sum;
}

double row_lse(const float *x, size_t n) {
    float most = row_max(x, n);
    return (double)most + log(row_sum_exp(x, n, most));
}

struct row_outside row_outside(const float *p, const float *logp, size_t n) {
    struct row_outside sum = {.most = -INFINITY};
    for (size_t i = 0; i < n; i += ROW_BLOCK) {
        struct outside o;
        kernels()->outside(&o, p + i, logp + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK);
        sum.moment += (double)o.moment;
        sum.mass += add_lanes(o.mass);
        sum.most = fmaxf(sum.most, row_max(o.most, LANES));
    }
    return sum;
}

double row_exp_from(float *y, const float *x, size_t n, float shift, const float *next) {
    const struct kernels *k = kernels();
    double sum = 0;
    for (size_t i = 0; i < n; i += ROW_BLOCK) {
        size_t m = n - i < ROW_BLOCK ? n - i : ROW_BLOCK;
        for (size_t j = 0; next && j < m; j += LANES) __builtin_prefetch(next + i + j, 0, 3);
        sum += (double)k->exp_sum(y + i, x + i, m, shift);
    }
    return sum;
}

double row_exp_sum(float *y, const float *x, size_t n, float *most, const float *next) {
    *most = row_max(x, n);
    return row_exp_from(y, x, n, *most, next);
}

void row_subtract(float *x, size_t n, double c) {
    float high = (float)c, low = (float)(c - (double)high); // no bits of c are lost
    for (size_t i = 0; i < n; i++) x[i] = (x[i] - high) - low;
}

double row_softmax(float *x, size_t n, double scale) {
    float most;
    double sum = row_exp_sum(x, x, n, &most, NULL);
    row_scale(x, n, (float)(scale / sum));
    return (double)most + log(sum);
}

void row_softmax_known(float *x, size_t n, double lse, double scale) {
    float shift = (float)lse; // what rounding takes away is given back in the scale
    kernels()->exp_scale(x, x, n, shift, (float)(scale * exp((double)shift - lse)));
}

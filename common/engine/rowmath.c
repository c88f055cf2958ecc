#include "common/engine/rowmath.h"
#include "common/engine/kernels.h"
#include <math.h>

enum { LANES = 16 };

static double add_lanes(const float lane[LANES]) {
    double sum = 0;
    for (int l = 0; l < LANES; l++) sum += (double)lane[l];
    return sum;
}

float row_max(const float *x, size_t n) {
    return n ? kernels()->max(x, n) : -INFINITY;
}

static double sum_block(const float *x, size_t n) { // n <= ROW_BLOCK
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += x[i + (size_t)l];
    for (int l = 0; i < n; i++, l++) lane[l] += x[i];
    return add_lanes(lane);
}

double row_sum(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i += ROW_BLOCK)
        sum += sum_block(x + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK);
    return sum;
}

double row_sum_positive(const float *x, size_t n) {
    float block[ROW_BLOCK];
    double sum = 0;
    for (size_t i = 0; i < n; i += ROW_BLOCK) {
        size_t m = n - i < ROW_BLOCK ? n - i : ROW_BLOCK;
        for (size_t j = 0; j < m; j++) block[j] = x[i + j] > 0 ? x[i + j] : 0;
        sum += sum_block(block, m);
    }
    return sum;
}

void row_scale(float *x, size_t n, float scale) {
    kernels()->scale(x, x, scale, n);
}

void row_scale_positive(float *x, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] * scale : x[i];
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

double row_exp_sum(float *y, const float *x, size_t n, float *most) {
    const struct kernels *k = kernels();
    double sum = 0;
    *most = row_max(x, n);
    for (size_t i = 0; i < n; i += ROW_BLOCK)
        sum += (double)k->exp_sum(y + i, x + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK, *most);
    return sum;
}

void row_subtract(float *x, size_t n, double c) {
    float high = (float)c, low = (float)(c - (double)high); // no bits of c are lost
    for (size_t i = 0; i < n; i++) x[i] = (x[i] - high) - low;
}

double row_softmax(float *x, size_t n, double scale) {
    const struct kernels *k = kernels();
    float most = row_max(x, n);
    double sum = 0;
    for (size_t i = 0; i < n; i += ROW_BLOCK)
        sum += (double)k->exp_sum(x + i, x + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK, most);
    row_scale(x, n, (float)(scale / sum));
    return (double)most + log(sum);
}

void row_softmax_known(float *x, size_t n, double lse, double scale) {
    float shift = (float)lse; // what rounding takes away is given back in the scale
    kernels()->exp_scale(x, x, n, shift, (float)(scale * exp((double)shift - lse)));
}

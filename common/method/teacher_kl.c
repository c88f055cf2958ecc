#include "common/method/teacher_kl.h"
#include "common/engine/rowmath.h"
#include <math.h>

// log of the largest of what p*_alpha is in proportion to
static double largest(const struct tilt *t, double alpha) {
    double most = t->rest > 0 ? log(t->rest) : -INFINITY;
    for (size_t i = 0; i < t->n; i++) {
        double x = (double)t->logp[i] + alpha * (double)t->d[i];
        if (!(x <= most)) most = x; // and where it is not a number
    }
    return most;
}

double tilt_kl(const struct tilt *t, double alpha, double *variance) {
    float p[ROW_BLOCK];
    double most = largest(t, alpha), sum = t->rest * exp(-most), first = 0, second = 0;
    for (size_t at = 0; at < t->n; at += ROW_BLOCK) {
        size_t m = t->n - at < ROW_BLOCK ? t->n - at : ROW_BLOCK;
        const float *logp = t->logp + at, *d = t->d + at;
        for (size_t i = 0; i < m; i++)
            p[i] = (float)((double)logp[i] + alpha * (double)d[i] - most);
        row_exp(p, p, m, 0);
        for (size_t i = 0; i < m; i++) {
            double x = (double)p[i] * (double)d[i];
            sum += (double)p[i];
            first += x;
            second += x * (double)d[i];
        }
    }
    double mean = first / sum;
    *variance = fmax(second / sum - mean * mean, 0);
    return alpha * mean - log(sum) - most;
}

// Newton's steps on the root of KL, which is near linear in alpha, within a bracket; where they
// leave it, or take too long, the bracket is halved.
double tilt_alpha(const struct tilt *t, double K) {
    enum { NEWTON = 16, TRIALS = 64 };
    double low = 0, high = TEACHER_ALPHA_MOST, variance, kl = tilt_kl(t, high, &variance);
    if (isnan(kl)) return NAN;
    if (!(kl > K)) return high;
    tilt_kl(t, 0, &variance);
    double alpha = sqrt(2 * K / variance); // of a parabola
    for (int i = 0; i < TRIALS && high - low > 1e-7 * high; i++) {
        if (i >= NEWTON || !(alpha > low && alpha < high)) alpha = (low + high) / 2;
        kl = tilt_kl(t, alpha, &variance);
        if (fabs(kl - K) <= 1e-4 * K + 1e-6) return alpha;
        *(kl < K ? &low : &high) = alpha;
        alpha += 2 * (sqrt(K * kl) - kl) / (alpha * variance);
    }
    return (low + high) / 2;
}

// Compiled once a vector level with KERNELS and KERNELS_NAME set; see kernels.h.
#include "common/engine/kernels_vector.h"
#include <math.h>
#include <string.h>

// exp by 2^k p(r), r = x - k ln 2 in [-ln2/2, ln2/2], p of degree 6 (Taylor; 1.2e-7 at the ends).
// The bounds are chosen so that NaN, which no comparison holds for, stays itself.
INLINE vec vexp(vec x) {
    vec low = splat(-87.0f), high = splat(88.0f), y = choose(x < low, low, x);
    y = choose(y > high, high, y);
    vec magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to an integer
    vec k = y * 1.44269504f + magic;
    pick bits = (pick)k;
    k -= magic;
    vec r = y - k * 0.693145752f - k * 1.42860677e-6f;
    vec p = splat(1.0f / 720);
    p = p * r + splat(1.0f / 120);
    p = p * r + splat(1.0f / 24);
    p = p * r + splat(1.0f / 6);
    p = p * r + splat(0.5f);
    p = p * r + splat(1);
    p = p * r + splat(1);
    vec scale = (vec)((bits - (pick)splat(12582912.0f) + 127) << 23);
    return choose(x < low, splat(0), p * scale);
}

static float k_max(const float *x, size_t n) {
    vec m[PARTS];
    float lane[16];
    size_t i = 0;
    for (size_t p = 0; p < PARTS; p++) m[p] = splat(-INFINITY);
    for (; i + 16 <= n; i += 16)
        for (size_t p = 0; p < PARTS; p++) m[p] = vmax(load(x + i + p * LANES), m[p]);
    for (size_t p = 0; i < n; p++, i += LANES)
        m[p] = vmax(load_some(x + i, n - i, -INFINITY), m[p]);
    memcpy(lane, m, sizeof lane);
    float best = lane[0];
    for (int l = 1; l < 16; l++) best = lane[l] > best ? lane[l] : best;
    return best;
}

static void k_exp_scale(float *y, const float *x, size_t n, float shift, float scale) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(y + i, vexp(load(x + i) - shift) * scale);
    if (i < n) store_some(y + i, vexp(load_some(x + i, n - i, 0) - shift) * scale, n - i);
}

// Keeps the exponentials in y unless that is NULL.
INLINE float exp_sum(float *y, const float *x, size_t n, float shift) {
    vec s[PARTS] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t p = 0; p < PARTS; p++) {
            vec e = vexp(load(x + i + p * LANES) - shift);
            if (y) store(y + i + p * LANES, e);
            s[p] += e;
        }
    for (size_t p = 0; i < n; p++, i += LANES) {
        vec e = vexp(load_some(x + i, n - i, -INFINITY) - shift);
        if (y) store_some(y + i, e, n - i);
        s[p] += e;
    }
    return lanes_sum(s);
}

static float k_sum_exp(const float *x, size_t n, float shift) {
    return exp_sum(NULL, x, n, shift);
}

static float k_exp_sum(float *y, const float *x, size_t n, float shift) {
    return exp_sum(y, x, n, shift);
}

static float k_exp_moment(float *y, const float *x, size_t n) {
    vec s[PARTS] = {0};
    for (size_t i = 0, p = 0; i < n; i += LANES, p = (p + 1) % PARTS) {
        bool whole = n - i >= LANES;
        vec z = whole ? load(x + i) : load_some(x + i, n - i, -INFINITY), e = vexp(z);
        s[p] += choose(e == splat(0), splat(0), e * z);
        if (whole)
            store(y + i, e);
        else
            store_some(y + i, e, n - i);
    }
    return lanes_sum(s);
}

static float k_distance(const float *x, const float *y, float a, size_t n) {
    vec s[PARTS] = {0};
    for (size_t i = 0, p = 0; i < n; i += LANES, p = (p + 1) % PARTS) {
        bool whole = n - i >= LANES;
        vec d = whole ? load(x + i) : load_some(x + i, n - i, 0);
        d -= (whole ? load(y + i) : load_some(y + i, n - i, 0)) * splat(a);
        s[p] += vmax(d, -d);
    }
    return lanes_sum(s);
}

static float k_dot(const float *x, const float *y, size_t n) {
    return dot(x, y, 0, n, FLOATS);
}

static void k_widen(float *y, const uint16_t *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(y + i, load_weights(x, i, HALVES));
    for (; i < n; i++) y[i] = one_weight(x, i, HALVES);
}

static void k_round(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(y + i, load_weights(x, i, ROUNDED));
    for (; i < n; i++) y[i] = one_weight(x, i, ROUNDED);
}

// J vectors of columns at once; rows in order.
INLINE void mix_columns(float *y, const float *a, const float *x, size_t ld, size_t n, size_t J) {
    vec s[8];
    for (size_t j = 0; j < J; j++) s[j] = splat(0);
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < J; j++) s[j] += a[i] * load(x + i * ld + LANES * j);
    for (size_t j = 0; j < J; j++) store(y + LANES * j, s[j]);
}

static void k_mix(float *y, const float *a, const float *x, size_t ld, size_t n, size_t cols) {
    enum { MANY = LANES == 16 ? 4 : 8 };
    size_t c = 0;
    for (; c + MANY * LANES <= cols; c += MANY * LANES) mix_columns(y + c, a, x + c, ld, n, MANY);
    for (; c + LANES <= cols; c += LANES) mix_columns(y + c, a, x + c, ld, n, 1);
    for (; c < cols; c++) {
        y[c] = 0;
        for (size_t i = 0; i < n; i++) y[c] += a[i] * x[i * ld + c];
    }
}

static void k_axpy(float *y, float a, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static void k_scale(float *y, const float *x, float a, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a * x[i];
}

static float k_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps) {
    float r = 1 / sqrtf(k_dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * r * w[i];
    return r;
}

static void k_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *w, float r,
                               size_t n) {
    vec s[PARTS] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t p = 0, at = i; p < PARTS; p++, at += LANES)
            s[p] += load(x + at) * load(w + at) * load(dy + at);
    for (size_t p = 0; i < n; p++, i += LANES)
        s[p] +=
            load_some(x + i, n - i, 0) * load_some(w + i, n - i, 0) * load_some(dy + i, n - i, 0);
    float c = lanes_sum(s) * r * r * r / (float)n;
    for (i = 0; i < n; i++) dx[i] += r * w[i] * dy[i] - c * x[i];
}

INLINE vec vsigmoid(vec x) {
    return splat(1) / (splat(1) + vexp(-x));
}

static void k_swiglu(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec g = load(gate + i);
        store(y + i, g * vsigmoid(g) * load(up + i));
    }
    if (i < n) {
        vec g = load_some(gate + i, n - i, 0);
        store_some(y + i, g * vsigmoid(g) * load_some(up + i, n - i, 0), n - i);
    }
}

static void k_swiglu_backward(float *gate, float *up, const float *dy, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        size_t k = n - i;
        bool whole = k >= LANES;
        vec g = whole ? load(gate + i) : load_some(gate + i, k, 0);
        vec u = whole ? load(up + i) : load_some(up + i, k, 0);
        vec d = whole ? load(dy + i) : load_some(dy + i, k, 0);
        vec s = vsigmoid(g);
        vec dg = d * u * s * (splat(1) + g * (splat(1) - s)), du = d * g * s;
        if (whole) {
            store(gate + i, dg);
            store(up + i, du);
        } else {
            store_some(gate + i, dg, k);
            store_some(up + i, du, k);
        }
    }
}

static void k_softmax_backward(float *dp, const float *p, float delta, float scale, size_t n) {
    for (size_t i = 0; i < n; i++) dp[i] = p[i] * (dp[i] - delta) * scale;
}

static void k_rope(float *x, const float *cosine, const float *sine, float sign, size_t n) {
    size_t half = n / 2;
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], s = sign * sine[i];
        x[i] = a * cosine[i] - b * s;
        x[i + half] = b * cosine[i] + a * s;
    }
}

static void k_extrapolate(float *y, const float *base, const float *dpo, const float *negative,
                          size_t n, const struct extrapolation *e) {
    const double alpha = e->alpha, shift = e->shift, less = e->less;
    const float least = e->least;
    for (size_t i = 0; i < n; i++) {
        double d = alpha * ((double)dpo[i] - (double)negative[i] - shift);
        bool counts = base[i] >= least && dpo[i] > -INFINITY && negative[i] > -INFINITY;
        y[i] = (float)((double)base[i] - less + (counts ? d : 0));
    }
}

static void k_adamw(float *p, float *m, float *v, const float *g, size_t n,
                    const struct adamw_step *s) {
    const float clip = s->clip, b1 = s->beta1, b2 = s->beta2, rate = s->rate, root = s->root;
    const float eps = s->epsilon, decay = s->decay;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * clip;
        m[i] = b1 * m[i] + (1 - b1) * d;
        v[i] = b2 * v[i] + (1 - b2) * d * d;
        p[i] -= decay * p[i] + rate * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static double k_sum_squares(const float *x, size_t n) {
    double s[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t l = 0; l < 8; l++) s[l] += (double)x[i + l] * x[i + l];
    for (; i < n; i++) s[0] += (double)x[i] * x[i];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

extern const struct kernels KERNELS;
const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .max = k_max,
    .sum_exp = k_sum_exp,
    .exp_scale = k_exp_scale,
    .exp_sum = k_exp_sum,
    .exp_moment = k_exp_moment,
    .distance = k_distance,
    .dot = k_dot,
    .rows = AT_LEVEL(rows),
    .rows_half = AT_LEVEL(rows_half),
    .rows_rounded = AT_LEVEL(rows_rounded),
    .round = k_round,
    .widen = k_widen,
    .mix = k_mix,
    .axpy = k_axpy,
    .scale = k_scale,
    .rmsnorm = k_rmsnorm,
    .rmsnorm_backward = k_rmsnorm_backward,
    .swiglu = k_swiglu,
    .swiglu_backward = k_swiglu_backward,
    .softmax_backward = k_softmax_backward,
    .rope = k_rope,
    .extrapolate = k_extrapolate,
    .adamw = k_adamw,
    .sum_squares = k_sum_squares,
    .strip = STRIP,
#if defined(__AVX512BF16__)
    .pairs = true,
#endif
    .pack = AT_LEVEL(pack),
    .block = AT_LEVEL(block),
};

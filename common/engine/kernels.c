// Compiled once a vector level with KERNELS and KERNELS_NAME set; see kernels.h.
#include "common/engine/kernels_vector.h"
#include <math.h>
#include <string.h>

enum { CHAINS = 4 };
#define EACH _Pragma("GCC unroll 4") for (size_t i = 0; i < n; i++)

// x (n, CHAINS at most) = exp x, by 2^k p(r), r = x - k ln 2 in [-ln2/2, ln2/2], p of degree 6
// (Taylor; 1.2e-7 at the ends). A step of all before the next one: none waits for the one before.
// The bounds are chosen so that NaN, which no comparison holds for, stays itself.
INLINE void vexps(vec *x, size_t n) {
    const vec low = splat(-87.0f), magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds
    vec k[CHAINS], r[CHAINS], p[CHAINS];
    pick bits[CHAINS];
    EACH r[i] = vmin(splat(88.0f), vmax(low, x[i]));
    EACH k[i] = r[i] * 1.44269504f + magic;
    EACH bits[i] = (pick)k[i] - (pick)magic + 127;
    EACH k[i] -= magic;
    EACH r[i] -= k[i] * 0.693145752f;
    EACH r[i] -= k[i] * 1.42860677e-6f;
    EACH p[i] = splat(1.0f / 720) * r[i] + splat(1.0f / 120);
    EACH p[i] = p[i] * r[i] + splat(1.0f / 24);
    EACH p[i] = p[i] * r[i] + splat(1.0f / 6);
    EACH p[i] = p[i] * r[i] + splat(0.5f);
    EACH p[i] = p[i] * r[i] + splat(1);
    EACH p[i] = p[i] * r[i] + splat(1);
    EACH x[i] = zero_where(x[i] < low, p[i] * (vec)(bits[i] << 23));
}
#undef EACH

INLINE vec vexp(vec x) {
    vexps(&x, 1);
    return x;
}

INLINE void next_exps(vec e[CHAINS], const float *x, float shift) {
#pragma GCC unroll 4
    for (size_t k = 0; k < CHAINS; k++) e[k] = load(x + k * LANES) - shift;
    vexps(e, CHAINS);
}

// Several maxima at once, so that none waits for the one before.
static float k_max(const float *x, size_t n) {
    enum { MANY = 4 };
    vec m[MANY][PARTS];
    float lane[16];
    size_t i = 0;
    for (size_t p = 0; p < MANY * PARTS; p++) m[p / PARTS][p % PARTS] = splat(-INFINITY);
    for (; i + MANY * 16 <= n; i += MANY * 16)
        for (size_t k = 0; k < MANY; k++)
            for (size_t p = 0; p < PARTS; p++)
                m[k][p] = vmax(load(x + i + k * 16 + p * LANES), m[k][p]);
    for (size_t p = 0; i < n; p = (p + 1) % PARTS, i += LANES)
        m[0][p] = vmax(n - i < LANES ? load_some(x + i, n - i, -INFINITY) : load(x + i), m[0][p]);
    for (size_t k = 1; k < MANY; k++)
        for (size_t p = 0; p < PARTS; p++) m[0][p] = vmax(m[k][p], m[0][p]);
    memcpy(lane, m[0], sizeof lane);
    for (int w = 8; w; w /= 2)
        for (int l = 0; l < w; l++) lane[l] = lane[l] > lane[l + w] ? lane[l] : lane[l + w];
    return lane[0];
}

static void k_maxima(float *y, const float *x, size_t n, size_t each) {
    for (size_t at = 0; at < n; at += 16 * each, y += 16) {
        vec m[PARTS];
        size_t end = n - at < 16 * each ? n : at + 16 * each, i = at;
        for (size_t p = 0; p < PARTS; p++) m[p] = splat(-INFINITY);
        for (; i + 16 <= end; i += 16)
            for (size_t p = 0; p < PARTS; p++) m[p] = vmax(load(x + i + p * LANES), m[p]);
        for (size_t p = 0; i < end; p++, i += LANES)
            m[p] = vmax(load_some(x + i, end - i, -INFINITY), m[p]);
        for (size_t p = 0; p < PARTS; p++) store(y + p * LANES, m[p]);
    }
}

static size_t k_at_least(int32_t *at, const float *x, size_t n, float least) {
    enum { MANY = 4 };
    size_t count = 0, i = 0;
    for (; i + MANY * LANES <= n; i += MANY * LANES) {
        vec most = load(x + i);
        for (size_t k = 1; k < MANY; k++) most = vmax(load(x + i + k * LANES), most);
        if (!lanes_at_least(most, least)) continue;
        for (size_t k = 0; k < MANY; k++) {
            uint32_t in = lanes_at_least(load(x + i + k * LANES), least);
            for (; in; in &= in - 1) at[count++] = (int32_t)(i + k * LANES) + __builtin_ctz(in);
        }
    }
    for (; i < n; i++)
        if (x[i] >= least) at[count++] = (int32_t)i;
    return count;
}

static void k_ranks(int32_t *before, const float *x, size_t n) {
    pick lane;
    for (int l = 0; l < LANES; l++) lane[l] = l;
    for (size_t i = 0; i < n; i += LANES) {
        size_t own = n - i < LANES ? n : i + LANES, j = 0;
        vec mine = load_some(x + i, n - i, 0);
        pick count = {0};
        for (; j < i; j++) count -= splat(x[j]) >= mine; // a comparison that holds is -1
        for (; j < own; j++)
            count -= (splat(x[j]) > mine) | ((splat(x[j]) == mine) & (lane > (int32_t)(j - i)));
        for (; j < n; j++) count -= splat(x[j]) > mine;
        memcpy(before + i, &count, (own - i) * sizeof *before);
    }
}

static size_t k_sum_up_to(float lane[16], const float *x, size_t n, float limit) {
    vec s[PARTS] = {0};
    pick above[PARTS] = {0};
    int32_t counts[16];
    size_t count = 0, i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t p = 0; p < PARTS; p++) {
            vec v = load(x + i + p * LANES);
            s[p] += zero_where(v > limit, v);
            above[p] -= v > limit;
        }
    memcpy(lane, s, sizeof s);
    memcpy(counts, above, sizeof above);
    for (int l = 0; l < 16; l++) count += (size_t)counts[l];
    for (size_t l = 0; i < n; l++, i++) {
        lane[l] += x[i] > limit ? 0 : x[i];
        count += x[i] > limit;
    }
    return count;
}

static void k_exp_scale(float *y, const float *x, size_t n, float shift, float scale) {
    size_t i = 0;
    for (; i + CHAINS * LANES <= n; i += CHAINS * LANES) {
        vec e[CHAINS];
        next_exps(e, x + i, shift);
#pragma GCC unroll 4
        for (size_t k = 0; k < CHAINS; k++) store(y + i + k * LANES, e[k] * scale);
    }
    for (; i + LANES <= n; i += LANES) store(y + i, vexp(load(x + i) - shift) * scale);
    if (i < n) store_some(y + i, vexp(load_some(x + i, n - i, 0) - shift) * scale, n - i);
}

// Keeps the exponentials in y unless that is NULL.
INLINE float exp_sum(float *y, const float *x, size_t n, float shift) {
    vec s[PARTS] = {0};
    size_t i = 0, p = 0;
    for (; i + CHAINS * LANES <= n; i += CHAINS * LANES) {
        vec e[CHAINS];
        next_exps(e, x + i, shift);
#pragma GCC unroll 4
        for (size_t k = 0; k < CHAINS; k++) {
            if (y) store(y + i + k * LANES, e[k]);
            s[k % PARTS] += e[k];
        }
    }
    for (; i + LANES <= n; p = (p + 1) % PARTS, i += LANES) {
        vec e = vexp(load(x + i) - shift);
        if (y) store(y + i, e);
        s[p] += e;
    }
    if (i < n) {
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
        s[p] += zero_where(e == splat(0), e * z);
        if (whole)
            store(y + i, e);
        else
            store_some(y + i, e, n - i);
    }
    return lanes_sum(s);
}

static void k_outside(struct outside *to, const float *p, const float *x, size_t n) {
    vec moment[PARTS] = {0}, mass[PARTS] = {0}, most[PARTS];
    for (size_t k = 0; k < PARTS; k++) most[k] = splat(-INFINITY);
    for (size_t i = 0, k = 0; i < n; i += LANES, k = (k + 1) % PARTS) {
        vec e = n - i < LANES ? load_some(p + i, n - i, 0) : load(p + i);
        vec z = n - i < LANES ? load_some(x + i, n - i, -INFINITY) : load(x + i);
        moment[k] += zero_where(e == splat(0), e * z);
        mass[k] += e;
        most[k] = vmax(z, most[k]);
    }
    to->moment = lanes_sum(moment);
    memcpy(to->mass, mass, sizeof mass);
    memcpy(to->most, most, sizeof most);
}

static void k_pair_sums(float sum[PAIR_SUMS], const float *p, const float *q, const float *l,
                        const float *m, size_t n) {
    vec s[PAIR_SUMS][PARTS] = {{{0}}};
    for (size_t i = 0, k = 0; i < n; i += LANES, k = (k + 1) % PARTS) {
        bool whole = n - i >= LANES;
        vec x = whole ? load(p + i) : load_some(p + i, n - i, 0);
        vec y = whole ? load(q + i) : load_some(q + i, n - i, 0);
        vec d = whole ? load(l + i) : load_some(l + i, n - i, 0);
        d -= whole ? load(m + i) : load_some(m + i, n - i, 0);
        vec xd = zero_where(x == splat(0), x * d);
        s[0][k] += x;
        s[1][k] += y;
        s[2][k] += xd;
        s[3][k] += x * x;
        s[4][k] += x * xd;
        s[5][k] += xd * xd;
        s[6][k] += y * y;
        s[7][k] += x * y;
    }
    for (int k = 0; k < PAIR_SUMS; k++) sum[k] = lanes_sum(s[k]);
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

static void k_narrow(uint16_t *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        halves h = __builtin_convertvector((words)load_weights(x, i, ROUNDED) >> 16, halves);
        memcpy(y + i, &h, sizeof h);
    }
    for (; i < n; i++) {
        float rounded = one_weight(x, i, ROUNDED);
        uint32_t bits;
        memcpy(&bits, &rounded, sizeof bits);
        y[i] = (uint16_t)(bits >> 16);
    }
}

// J vectors of columns at once; rows in order.
INLINE void mix_columns(float *y, const float *a, const void *x, size_t at, size_t ld, size_t n,
                        size_t J, enum kind kind, const void *next) {
    vec s[8];
    for (size_t j = 0; j < J; j++) s[j] = splat(0);
    for (size_t i = 0; i < n; i++) {
        fetch_weights(next, at + i * ld, J * LANES, kind);
#pragma GCC unroll 8
        for (size_t j = 0; j < J; j++)
            s[j] += a[i] * load_weights(x, at + i * ld + LANES * j, kind);
    }
    for (size_t j = 0; j < J; j++) store(y + LANES * j, s[j]);
}

INLINE void mix_rows(float *y, const float *a, const void *x, size_t ld, size_t n, size_t cols,
                     enum kind kind, const void *next) {
    size_t c = 0;
    for (; LANES < 16 && c + 8 * LANES <= cols; c += 8 * LANES)
        mix_columns(y + c, a, x, c, ld, n, 8, kind, next);
    for (; c + 4 * LANES <= cols; c += 4 * LANES) mix_columns(y + c, a, x, c, ld, n, 4, kind, next);
    for (; c + 3 * LANES <= cols; c += 3 * LANES) mix_columns(y + c, a, x, c, ld, n, 3, kind, next);
    for (; c + 2 * LANES <= cols; c += 2 * LANES) mix_columns(y + c, a, x, c, ld, n, 2, kind, next);
    for (; c + LANES <= cols; c += LANES) mix_columns(y + c, a, x, c, ld, n, 1, kind, next);
    for (; c < cols; c++) {
        y[c] = 0;
        for (size_t i = 0; i < n; i++) y[c] += a[i] * one_weight(x, i * ld + c, kind);
    }
}

static void k_mix(float *y, const float *a, const float *x, size_t ld, size_t n, size_t cols,
                  const void *next) {
    mix_rows(y, a, x, ld, n, cols, FLOATS, next);
}

static void k_mix_half(float *y, const float *a, const uint16_t *x, size_t ld, size_t n,
                       size_t cols, const void *next) {
    mix_rows(y, a, x, ld, n, cols, HALVES, next);
}

static void k_axpy(float *y, float a, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static void k_scale(float *y, const float *x, float a, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a * x[i];
}

static float k_rmsnorm(float *y, const float *x, const float *w, float plus, size_t n, float eps) {
    float r = 1 / sqrtf(k_dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * r * (w[i] + plus);
    return r;
}

static void k_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *w,
                               float plus, float r, size_t n) {
    vec s[PARTS] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t p = 0, at = i; p < PARTS; p++, at += LANES)
            s[p] += load(x + at) * (load(w + at) + splat(plus)) * load(dy + at);
    for (size_t p = 0; i < n; p++, i += LANES)
        s[p] += load_some(x + i, n - i, 0) * (load_some(w + i, n - i, 0) + splat(plus)) *
                load_some(dy + i, n - i, 0);
    float c = lanes_sum(s) * r * r * r / (float)n;
    for (i = 0; i < n; i++) dx[i] += r * (w[i] + plus) * dy[i] - c * x[i];
}

INLINE vec vsigmoid(vec x) {
    return splat(1) / (splat(1) + vexp(-x));
}

// silu(g) = g sigmoid(g); gelu(g) = g sigmoid(u), u = sqrt(8/pi) (g + 0.044715 g^3).
INLINE vec gate_sigmoid(vec g, bool gelu) {
    if (!gelu) return vsigmoid(g);
    return vsigmoid(g * (splat(1.59576912f) + splat(0.0713548163f) * g * g));
}

INLINE void gated(float *y, const float *gate, const float *up, size_t n, bool gelu) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec g = load(gate + i);
        store(y + i, g * gate_sigmoid(g, gelu) * load(up + i));
    }
    if (i < n) {
        vec g = load_some(gate + i, n - i, 0);
        store_some(y + i, g * gate_sigmoid(g, gelu) * load_some(up + i, n - i, 0), n - i);
    }
}

INLINE void gated_backward(float *gate, float *up, const float *dy, size_t n, bool gelu) {
    for (size_t i = 0; i < n; i += LANES) {
        size_t k = n - i;
        bool whole = k >= LANES;
        vec g = whole ? load(gate + i) : load_some(gate + i, k, 0);
        vec u = whole ? load(up + i) : load_some(up + i, k, 0);
        vec d = whole ? load(dy + i) : load_some(dy + i, k, 0);
        vec s = gate_sigmoid(g, gelu), x = g; // x: g times the slope of what the sigmoid is of
        if (gelu) x = g * (splat(1.59576912f) + splat(0.214064449f) * g * g);
        vec dg = d * u * s * (splat(1) + x * (splat(1) - s)), du = d * g * s;
        if (whole) {
            store(gate + i, dg);
            store(up + i, du);
        } else {
            store_some(gate + i, dg, k);
            store_some(up + i, du, k);
        }
    }
}

static void k_swiglu(float *y, const float *gate, const float *up, size_t n) {
    gated(y, gate, up, n, false);
}

static void k_swiglu_backward(float *gate, float *up, const float *dy, size_t n) {
    gated_backward(gate, up, dy, n, false);
}

static void k_geglu(float *y, const float *gate, const float *up, size_t n) {
    gated(y, gate, up, n, true);
}

static void k_geglu_backward(float *gate, float *up, const float *dy, size_t n) {
    gated_backward(gate, up, dy, n, true);
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
#if defined(__FMA__)
    .bits = "fused multiply-adds",
#else
    .bits = KERNELS_NAME,
#endif
    .max = k_max,
    .maxima = k_maxima,
    .at_least = k_at_least,
    .ranks = k_ranks,
    .sum_up_to = k_sum_up_to,
    .sum_exp = k_sum_exp,
    .exp_scale = k_exp_scale,
    .exp_sum = k_exp_sum,
    .exp_moment = k_exp_moment,
    .outside = k_outside,
    .pair_sums = k_pair_sums,
    .distance = k_distance,
    .dot = k_dot,
    .rows = AT_LEVEL(rows),
    .rows_half = AT_LEVEL(rows_half),
    .round = k_round,
    .widen = k_widen,
    .narrow = k_narrow,
    .mix = k_mix,
    .mix_half = k_mix_half,
    .axpy = k_axpy,
    .scale = k_scale,
    .rmsnorm = k_rmsnorm,
    .rmsnorm_backward = k_rmsnorm_backward,
    .swiglu = k_swiglu,
    .swiglu_backward = k_swiglu_backward,
    .geglu = k_geglu,
    .geglu_backward = k_geglu_backward,
    .softmax_backward = k_softmax_backward,
    .rope = k_rope,
    .extrapolate = k_extrapolate,
    .adamw = k_adamw,
    .sum_squares = k_sum_squares,
    .strip = STRIP,
#if defined(__AVX512BF16__)
    .pairs = true,
#endif
#if TILES
    .tiles = true,
    .bf16 = {TILE_LINES, TILE_LINES, TILE_INNER, TILE_WORDS / TILE_LINES},
#else
    .bf16 = {PANEL, STRIP, 2, BF16_WORDS},
#endif
    .bf16_pack = AT_LEVEL(bf16_pack),
    .bf16_multiply = AT_LEVEL(bf16_multiply),
    .pack = AT_LEVEL(pack),
    .block = AT_LEVEL(block),
};

// The decoder once more, naive and in double, one sequence at a time: the oracle of test_net.c and
// test_sample.c. Slow on purpose.
#pragma once
#include "common/engine/model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *ref_matmul(const double *x, size_t n, const double *w, size_t M, size_t K) {
    double *y = calloc(n * M, sizeof *y);
    for (size_t i = 0; i < n; i++)
        for (size_t m = 0; m < M; m++)
            for (size_t k = 0; k < K; k++) y[i * M + m] += x[i * K + k] * w[m * K + k];
    return y;
}

static void ref_norm(double *y, const double *x, const double *w, double plus, size_t n,
                     double eps) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i] * x[i];
    double r = 1 / sqrt(s / (double)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * r * (plus + w[i]);
}

static bool ref_slides(const struct model_config *c, size_t layer) {
    if (c->window_period && layer % c->window_period == c->window_period - 1) return false;
    return c->window && layer >= c->window_first;
}

static size_t ref_rope_dim(const struct model_config *c) {
    return c->rope_dim ? c->rope_dim : c->head_dim;
}

// Angle a position of pair i, with Hugging Face's `linear` and `llama3` scaling written out.
static double ref_frequency(const struct model_config *c, size_t layer, size_t i) {
    if (c->rope_local > 0 && ref_slides(c, layer))
        return 1 / pow(c->rope_local, (double)(2 * i) / (double)ref_rope_dim(c));
    double f = 1 / pow(c->rope_theta, (double)(2 * i) / (double)ref_rope_dim(c));
    if (c->rope_divisor[0] > 0) return f / c->rope_divisor[i];
    double factor = c->rope_factor > 0 ? c->rope_factor : 1, old = c->rope_original;
    if (old <= 0) return f / factor;
    double wave = 2 * 3.14159265358979323846 / f;
    if (wave < old / c->rope_high) return f;
    if (wave > old / c->rope_low) return f / factor;
    double smooth = (old / wave - c->rope_low) / (c->rope_high - c->rope_low);
    return f * ((1 - smooth) / factor + smooth);
}

static void ref_rope(double *x, const struct model_config *c, size_t layer, size_t position) {
    size_t half = ref_rope_dim(c) / 2;
    bool local = c->rope_local > 0 && ref_slides(c, layer);
    double gain = c->rope_gain > 0 && !local ? c->rope_gain : 1;
    for (size_t i = 0; i < half; i++) {
        double a = (double)position * ref_frequency(c, layer, i);
        double u = gain * x[i], v = gain * x[i + half];
        x[i] = u * cos(a) - v * sin(a);
        x[i + half] = v * cos(a) + u * sin(a);
    }
}

// Does a query at place i see the key at place j?
static bool ref_sees(const struct model_config *c, size_t layer, size_t i, size_t j) {
    return j <= i && (!ref_slides(c, layer) || i - j < c->window);
}

static void ref_attention(const struct model_config *c, size_t layer, const double *q,
                          const double *k, const double *v, size_t T, double *out) {
    size_t D = c->head_dim, H = c->heads, G = c->kv_heads;
    double *p = malloc(T * sizeof *p);
    for (size_t h = 0; h < H; h++)
        for (size_t i = 0; i < T; i++) {
            size_t g = h / (H / G);
            double sum = 0;
            for (size_t j = 0; j <= i; j++) {
                double s = 0;
                p[j] = 0;
                if (!ref_sees(c, layer, i, j)) continue;
                for (size_t d = 0; d < D; d++) s += q[(i * H + h) * D + d] * k[(j * G + g) * D + d];
                sum += p[j] = exp(s / sqrt(c->score_size > 0 ? c->score_size : (double)D));
            }
            for (size_t d = 0; d < D; d++) {
                double o = 0;
                for (size_t j = 0; j <= i; j++) o += p[j] / sum * v[(j * G + g) * D + d];
                out[(i * H + h) * D + d] = o;
            }
        }
    free(p);
}

// Each row of x (T,n), `width` numbers together; offset SIZE_MAX: there is no such norm.
static void ref_norms(const struct model *m, const double *P, double *x, size_t T, size_t n,
                      size_t width, size_t offset) {
    for (size_t at = 0; at < T * n && offset != SIZE_MAX; at += width)
        ref_norm(x + at, x + at, P + offset, m->config.norm_plus_one, width, m->config.norm_eps);
}

static double *ref_project(const struct model *m, const double *P, size_t layer, const double *xn,
                           size_t T, size_t w, size_t bias, size_t norm, size_t heads, bool turn) {
    const struct model_config *c = &m->config;
    size_t D = c->head_dim, M = heads * D;
    double *y = ref_matmul(xn, T, P + w, M, c->width);
    for (size_t i = 0; i < T * M && c->qkv_bias; i++) y[i] += P[bias + i % M];
    ref_norms(m, P, y, T, M, c->qk_norm_whole ? M : D, norm);
    for (size_t i = 0; i < T && turn; i++)
        for (size_t h = 0; h < heads; h++) ref_rope(y + i * M + h * D, c, layer, i);
    return y;
}

// A copy of x (T,C), normed where there is such a norm.
static double *ref_input(const struct model *m, const double *P, const double *x, size_t T,
                         size_t offset) {
    size_t C = m->config.width;
    double *xn = malloc(T * C * sizeof *xn);
    memcpy(xn, x, T * C * sizeof *xn);
    ref_norms(m, P, xn, T, C, C, offset);
    return xn;
}

static void ref_add(const struct model *m, const double *P, double *x, double *y, size_t T,
                    size_t offset) {
    size_t C = m->config.width;
    ref_norms(m, P, y, T, C, C, offset);
    for (size_t i = 0; i < T * C; i++) x[i] += y[i];
}

static double ref_silu(double g) {
    return g / (1 + exp(-g));
}

static double ref_gelu(double g) {
    return g / 2 * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g)));
}

static void ref_layer(const struct model *m, const double *P, size_t l, double *x, size_t T) {
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[l];
    size_t C = c->width, F = c->hidden, HD = c->heads * c->head_dim;
    double *xn = ref_input(m, P, x, T, o->norm1), *att = malloc(T * HD * sizeof *att);
    double *q = ref_project(m, P, l, xn, T, o->q, o->q_bias, o->q_norm, c->heads, true);
    double *k = ref_project(m, P, l, xn, T, o->k, o->k_bias, o->k_norm, c->kv_heads, true);
    double *v = ref_project(m, P, l, xn, T, o->v, o->v_bias, SIZE_MAX, c->kv_heads, false);
    ref_attention(c, l, q, k, v, T, att);
    double *y = ref_matmul(att, T, P + o->o, C, HD);
    ref_add(m, P, x, y, T, o->post1);
    double *xf = ref_input(m, P, x, T, o->norm2);
    double *g = ref_matmul(xf, T, P + o->gate, F, C), *u = ref_matmul(xf, T, P + o->up, F, C);
    for (size_t i = 0; i < T * F; i++) g[i] = (c->gelu ? ref_gelu(g[i]) : ref_silu(g[i])) * u[i];
    double *d = ref_matmul(g, T, P + o->down, C, F);
    ref_add(m, P, x, d, T, o->post2);
    double *all[] = {xn, xf, att, q, k, v, y, g, u, d};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

// What the head gives at each of T positions: logits (T,V), or a reward model's numbers (T,1). P:
// parameters in double. free().
static inline double *ref_logits(const struct model *m, const double *P, const int32_t *ids,
                                 size_t T) {
    const struct model_config *c = &m->config;
    size_t C = c->width;
    double *x = malloc(T * C * sizeof *x);
    for (size_t i = 0; i < T; i++)
        memcpy(x + i * C, P + m->embed + (size_t)ids[i] * C, C * sizeof *x);
    for (size_t i = 0; i < T * C && c->embed_scale > 0; i++) x[i] *= c->embed_scale;
    for (size_t l = 0; l < c->layers; l++) ref_layer(m, P, l, x, T);
    ref_norms(m, P, x, T, C, C, m->norm);
    double *z = ref_matmul(x, T, P + m->head, model_outputs(c), C);
    free(x);
    return z;
}

// log-probabilities (T,V) of the next token at each of T positions. free().
static inline double *ref_logprobs(const struct model *m, const double *P, const int32_t *ids,
                                   size_t T) {
    const struct model_config *c = &m->config;
    size_t V = c->vocab_used;
    double *z = ref_logits(m, P, ids, T);
    for (size_t i = 0; i < T; i++) {
        double s = 0;
        for (size_t v = 0; v < V; v++) s += exp(z[i * V + v]);
        for (size_t v = 0; v < V; v++) z[i * V + v] -= log(s);
    }
    return z;
}

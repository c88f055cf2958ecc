// Attention and its gradients against plain sums in float64, over several blocks of keys and
// queries, with shared prefixes, shared key-value heads and sliding windows; the same bits on any
// threads, in any company.
#include "common/engine/attention.h"
#include "common/engine/kernels.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct problem {
    struct batch batch;
    struct attention attention;
    size_t H, G, D, N, W;
    float *qkv, *out, *lse, *dout, *dqkv;
};

// A sequence of n tokens, then a prompt of np with two responses; `alone`: without the first.
static struct problem problem_new(size_t n, size_t np, size_t H, size_t G, size_t D, bool alone) {
    struct problem p = {.H = H, .G = G, .D = D, .W = (H + 2 * G) * D};
    static const enum response_role roles[2] = {RESPONSE_CHOSEN, RESPONSE_REJECTED};
    size_t count[2] = {n / 2 + 1, 37}, most = n + np + 40;
    int32_t *ids = xcalloc(most, sizeof *ids);
    uint8_t *mask = xmalloc(most);
    memset(mask, 1, most);
    batch_clear(&p.batch);
    if (!alone) {
        batch_begin_unit(&p.batch);
        batch_sequence(&p.batch, ids, mask, n, 0, RESPONSE_ONLY);
    }
    batch_begin_unit(&p.batch);
    batch_shared(&p.batch, ids, np, 2, (const int32_t *const[]){ids, ids}, count, roles, 1);
    batch_end(&p.batch);
    free(ids);
    free(mask);
    p.N = p.batch.n;
    p.attention = (struct attention){.heads = H, .kv_heads = G, .dim = D, .span = most};
    p.attention.scratch = xmalloc(attention_scratch(most, D) * sizeof(float));
    p.qkv = xmalloc(p.N * p.W * sizeof(float));
    p.dqkv = xmalloc(p.N * p.W * sizeof(float));
    p.out = xmalloc(p.N * H * D * sizeof(float));
    p.dout = xmalloc(p.N * H * D * sizeof(float));
    p.lse = xmalloc(p.N * H * sizeof(float));
    size_t first = alone ? n : 0; // the same numbers in the same rows' places
    for (size_t i = 0; i < p.N * p.W; i++)
        p.qkv[i] = (float)rng_normal(1, RNG_TEST, 1, first * p.W + i);
    for (size_t i = 0; i < p.N * H * D; i++)
        p.dout[i] = (float)rng_normal(1, RNG_TEST, 2, first * H * D + i);
    memset(p.out, 0xff, p.N * H * D * sizeof(float)); // NaN: nothing may depend on it
    memset(p.dqkv, 0xff, p.N * p.W * sizeof(float));
    return p;
}

static void problem_release(struct problem *p) {
    batch_release(&p->batch);
    free(p->attention.scratch);
    free(p->qkv);
    free(p->dqkv);
    free(p->out);
    free(p->dout);
    free(p->lse);
}

static void solve(struct problem *p) {
    p->attention.batch = &p->batch;
    attention_forward(&p->attention, p->qkv, p->out, p->lse);
    attention_backward(&p->attention, p->qkv, p->out, p->lse, p->dout, p->dqkv);
}

// Row of the batch that is key j of query i of a segment; keys beyond the prefix are its own.
static size_t key_row(const struct segment *s, size_t j) {
    return j < s->prefix_count ? s->prefix_first + j : s->first + j - s->prefix_count;
}

struct plain { // the same in double
    double *out, *lse, *dqkv;
};

static void plain_query(const struct problem *p, const struct segment *s, size_t i, size_t h,
                        struct plain *w, double *prob) {
    size_t D = p->D, g = h / (p->H / p->G), row = s->first + i, n = s->prefix_count + i + 1;
    size_t window = p->attention.window, from = window && n > window ? n - window : 0;
    const float *q = p->qkv + row * p->W + h * D, *dout = p->dout + (row * p->H + h) * D;
    double max = -INFINITY, sum = 0, delta = 0, scale = 1 / sqrt((double)D);
    double *out = w->out + (row * p->H + h) * D, *dq = w->dqkv + row * p->W + h * D;
    for (size_t j = from; j < n; j++) {
        const float *k = p->qkv + key_row(s, j) * p->W + (p->H + g) * D;
        prob[j] = 0;
        for (size_t d = 0; d < D; d++) prob[j] += scale * q[d] * k[d];
        max = fmax(max, prob[j]);
    }
    for (size_t j = from; j < n; j++) sum += prob[j] = exp(prob[j] - max);
    w->lse[row * p->H + h] = max + log(sum);
    for (size_t j = from; j < n; j++) {
        const float *v = p->qkv + key_row(s, j) * p->W + (p->H + p->G + g) * D;
        prob[j] /= sum;
        for (size_t d = 0; d < D; d++) out[d] += prob[j] * v[d];
    }
    for (size_t d = 0; d < D; d++) delta += out[d] * dout[d];
    for (size_t j = from; j < n; j++) {
        size_t at = key_row(s, j) * p->W + (p->H + g) * D;
        const float *k = p->qkv + at, *v = k + p->G * D;
        double *dk = w->dqkv + at, *dv = dk + p->G * D, dp = -delta;
        for (size_t d = 0; d < D; d++) dp += (double)dout[d] * v[d];
        for (size_t d = 0; d < D; d++) {
            dv[d] += prob[j] * dout[d];
            dk[d] += scale * prob[j] * dp * q[d];
            dq[d] += scale * prob[j] * dp * k[d];
        }
    }
}

static void near(const float *got, const double *want, size_t n, double tolerance,
                 const char *what) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * most))
            fail_msg("%s %zu: %.9g, not %.9g", what, i, (double)got[i], want[i]);
}

// Outputs and gradients within 1e-6 of the largest, log-sum-exp 1e-6.
static void like_plain_sums(void **state) {
    (void)state;
    static const size_t shapes[][6] = {
        // the last: the window
        {450, 230, 4, 2, 10},      {33, 192, 2, 2, 48},       {1, 1, 3, 1, 64},
        {70, 31, 1, 1, 130},       {450, 230, 2, 1, 8, 1},    {450, 230, 2, 2, 8, 37},
        {600, 200, 2, 1, 10, 192}, {600, 230, 2, 1, 10, 201}, {600, 180, 1, 1, 8, 5000}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t *s = shapes[i];
        struct problem p = problem_new(s[0], s[1], s[2], s[3], s[4], false);
        p.attention.window = s[5];
        size_t HD = p.H * p.D;
        struct plain w = {xcalloc(p.N * HD, sizeof(double)), xcalloc(p.N * p.H, sizeof(double)),
                          xcalloc(p.N * p.W, sizeof(double))};
        double *prob = xmalloc(p.attention.span * sizeof *prob);
        for (const struct segment *g = p.batch.segment; g < p.batch.segment + p.batch.segments; g++)
            for (size_t q = 0; q < g->count * p.H; q++)
                plain_query(&p, g, q / p.H, q % p.H, &w, prob);
        solve(&p);
        near(p.out, w.out, p.N * HD, 1e-6, "out");
        near(p.lse, w.lse, p.N * p.H, 1e-6, "lse");
        near(p.dqkv, w.dqkv, p.N * p.W, 1e-6, "dqkv");
        free(prob);
        free(w.out);
        free(w.lse);
        free(w.dqkv);
        problem_release(&p);
    }
}

static void check_bits(size_t window) {
    enum { FIRST = 210 };
    struct problem p = problem_new(FIRST, 230, 4, 2, 16, false);
    p.attention.window = window;
    solve(&p);
    for (int threads = 1; threads <= 3; threads++) {
        parallel_init(threads);
        struct problem a = problem_new(FIRST, 230, 4, 2, 16, false);
        struct problem b = problem_new(FIRST, 230, 4, 2, 16, true);
        a.attention.window = b.attention.window = window;
        solve(&a);
        solve(&b);
        assert_memory_equal(a.out, p.out, p.N * p.H * p.D * sizeof(float));
        assert_memory_equal(a.dqkv, p.dqkv, p.N * p.W * sizeof(float));
        assert_memory_equal(b.out, p.out + FIRST * p.H * p.D, b.N * p.H * p.D * sizeof(float));
        assert_memory_equal(b.dqkv, p.dqkv + FIRST * p.W, b.N * p.W * sizeof(float));
        problem_release(&a);
        problem_release(&b);
    }
    parallel_init(2);
    problem_release(&p);
}

static void same_bits(void **state) {
    (void)state;
    check_bits(0);
    check_bits(50);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(like_plain_sums),
                                       cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

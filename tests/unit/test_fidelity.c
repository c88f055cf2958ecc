#include "common/method/fidelity.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "common/method/divergence.h"
#include "common/base/rng.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <string.h>

enum { V = 40, POSITIONS = 25, MOST = V };

struct world {
    float student[V], star[V], scratch[3 * V], logp[V], g[FIDELITY_KINDS][V], kept[V];
    int32_t ids[V];
    struct fidelity_student s;
};

static void log_softmax(float *z, uint64_t seed, size_t at, double scale) {
    for (size_t v = 0; v < V; v++) z[v] = (float)(scale * rng_normal(seed, RNG_TEST, at, v));
    float lse = (float)row_lse(z, V);
    for (size_t v = 0; v < V; v++) z[v] -= lse;
}

// U: n tokens from `from` on, round the vocabulary
static void make(struct world *w, size_t at, size_t n, size_t from) {
    log_softmax(w->star, 1, at, 2);
    log_softmax(w->student, 2, at, 1.5);
    for (size_t i = 0; i < n; i++) w->ids[i] = (int32_t)((from + 7 * i) % V);
    w->s = (struct fidelity_student){.logp = w->logp, .g = {w->g[0], w->g[1]}};
    fidelity_dense(w->student, w->star, V, w->ids, n, w->scratch, &w->s);
}

// The gradients themselves, V numbers each, by the code that trains.
static void by_hand(const struct world *w, size_t n, const float *kept, double log_tail,
                    double log_most, int kind, struct fidelity_sum *sum) {
    const struct divergence d = {.kind = kind == FIDELITY_FKL ? DIVERGENCE_FKL : DIVERGENCE_RKL};
    float g[V], h[V], logp[V], own[2 * V];
    int32_t ids[V];
    double tail;
    struct teacher_position t = {
        .ids = ids, .logp = logp, .log_tail = (float)log_tail, .log_most = (float)log_most};
    for (size_t i = 0; i < n; i++) {
        if (isnan(kept[i])) continue;
        ids[t.n] = w->ids[i];
        logp[t.n++] = kept[i];
    }
    memcpy(g, w->student, sizeof g);
    memcpy(h, w->student, sizeof h);
    divergence_dense(&d, g, V, w->star, 1);
    divergence_sparse(&d, h, V, &t, 1, own, &tail);
    for (size_t v = 0; v < V; v++) {
        sum->gg += (double)g[v] * (double)g[v];
        sum->hh += (double)h[v] * (double)h[v];
        sum->gh += (double)g[v] * (double)h[v];
    }
}

static double tail_of(const struct world *w, size_t n, const float *kept) { // exact log Q
    double q = 1;
    for (size_t i = 0; i < n; i++)
        if (!isnan(kept[i])) q -= exp((double)w->star[w->ids[i]]);
    return q > 1e-9 ? log(q) : (double)ROW_LOG_FLOOR;
}

static double most_of(const struct world *w, const float *kept) {
    float most = ROW_LOG_FLOOR;
    for (size_t i = 0; i < V; i++)
        if (isnan(kept[i])) most = fmaxf(most, w->star[w->ids[i]]);
    return (double)most;
}

static void test_full(void **state) { // a full support: cosine 1, error 0
    (void)state;
    struct fidelity_sum sum[FIDELITY_KINDS] = {{0}};
    for (size_t at = 0; at < POSITIONS; at++) {
        struct world w;
        make(&w, at, V, at);
        for (size_t i = 0; i < V; i++) w.kept[i] = w.star[w.ids[i]];
        fidelity_add(sum, &w.s, V, w.kept, (double)ROW_LOG_FLOOR, 0);
        assert_true(fabs(fidelity_kl(V, w.kept, w.kept, (double)ROW_LOG_FLOOR, 0, 0, V)) < 1e-7);
    }
    for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
        assert_true(fabs(fidelity_cosine(&sum[kind]) - 1) < 1e-9);
        assert_true(fidelity_error(&sum[kind]) < 1e-4); // float gradients
    }
}

static void test_against_gradients(void **state) { // any U, any part of it, numbers that are off
    (void)state;
    for (size_t n = 1; n <= V; n += 13) {
        struct fidelity_sum sum[FIDELITY_KINDS] = {{0}}, want[FIDELITY_KINDS] = {{0}};
        for (size_t at = 0; at < POSITIONS; at++) {
            struct world w;
            make(&w, at, n, at);
            for (size_t i = 0; i < n; i++) {
                bool keep = !i || rng_uniform(3, RNG_TEST, at, i) < 0.6;
                double off = 0.2 * rng_normal(4, RNG_TEST, at, i);
                w.kept[i] = keep ? (float)((double)w.star[w.ids[i]] + off) : NAN;
            }
            double log_tail = tail_of(&w, n, w.kept);
            double log_most = n == V ? most_of(&w, w.kept) : 0; // within U all of them are known
            fidelity_add(sum, &w.s, n, w.kept, log_tail, log_most);
            for (int kind = 0; kind < FIDELITY_KINDS; kind++)
                by_hand(&w, n, w.kept, log_tail, log_most, kind, &want[kind]);
        }
        for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
            assert_true(fabs(sum[kind].gg / want[kind].gg - 1) < 1e-5);
            assert_true(fabs(sum[kind].hh / want[kind].hh - 1) < 1e-4);
            assert_true(fabs(sum[kind].gh - want[kind].gh) < 1e-4 * want[kind].gg);
            assert_true(fidelity_cosine(&sum[kind]) < 0.9999);
        }
    }
}

// V 3, S the first token: p = (1/2 1/4 1/4), p* = (1/4 1/4 1/2). fkl: g = (1 0 -1) / 4; the cache's
// is 1/4 on S and p (1 - Q/P) = -1/8 on both others, so g.h = 3/32, |g|^2 = 1/8, |h|^2 = 3/32.
static void test_small(void **state) {
    (void)state;
    const float student[3] = {logf(0.5f), logf(0.25f), logf(0.25f)};
    const float star[3] = {logf(0.25f), logf(0.25f), logf(0.5f)};
    float scratch[9], logp[1], g[FIDELITY_KINDS][1], kept[1] = {star[0]};
    struct fidelity_student s = {.logp = logp, .g = {g[0], g[1]}};
    struct fidelity_sum sum[FIDELITY_KINDS] = {{0}};
    fidelity_dense(student, star, 3, (int32_t[]){0}, 1, scratch, &s);
    fidelity_add(sum, &s, 1, kept, log(0.75), 0);
    assert_true(fabs(sum[FIDELITY_FKL].gg - 1. / 8) < 1e-7);
    assert_true(fabs(sum[FIDELITY_FKL].hh - 3. / 32) < 1e-7);
    assert_true(fabs(sum[FIDELITY_FKL].gh - 3. / 32) < 1e-7);
    assert_true(fabs(fidelity_cosine(&sum[FIDELITY_FKL]) - sqrt(0.75)) < 1e-6);
    assert_true(fabs(fidelity_error(&sum[FIDELITY_FKL]) - 0.5) < 1e-6);
    // KL of (1/4 1/4 1/2) to (1/4 3/8 3/8)
    double want = 0.25 * log(0.25 / 0.375) + 0.5 * log(0.5 / 0.375);
    double qlogq = 0.25 * log(0.25) + 0.5 * log(0.5);
    assert_true(fabs(fidelity_kl(1, kept, kept, log(0.75), 0.75, qlogq, 3) - want) < 1e-7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_against_gradients),
        cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

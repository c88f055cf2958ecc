// Divergences and the distillation objective against double-precision references written here from
// METHOD.md sections 3 and 4.
#include "common/method/objective.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// after cmocka
#include "tests/unit/fake_metrics.h"

enum { V = 53, N = 7, POSITIONS = 9 }; // N: entries of a support

static const struct divergence kinds[] = {{DIVERGENCE_FKL, 0},
                                          {DIVERGENCE_RKL, 0},
                                          {DIVERGENCE_JSD, 0.5},
                                          {DIVERGENCE_JSD, 0.1},
                                          {DIVERGENCE_JSD, 0.9}};
enum { KINDS = sizeof kinds / sizeof *kinds };
static float own[2 * V]; // scratch

static double lse(const double *z, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(z[i]);
    return log(sum);
}

// sum over n buckets of masses q (teacher) and p (student)
static double bucket_divergence(const struct divergence *d, const double *q, const double *p,
                                size_t n) {
    double sum = 0, l = d->lambda;
    for (size_t i = 0; i < n; i++) {
        if (q[i] == 0 && p[i] == 0) continue;
        double m = l * q[i] + (1 - l) * p[i];
        if (d->kind == DIVERGENCE_FKL)
            sum += q[i] * log(q[i] / p[i]);
        else if (d->kind == DIVERGENCE_RKL)
            sum += p[i] * log(p[i] / q[i]);
        else
            sum += l * q[i] * log(q[i] / m) + (1 - l) * p[i] * log(p[i] / m);
    }
    return sum;
}

// The sparse loss of logits z in double; *tail: the student's mass outside.
static double reference(const struct divergence *d, const double *z, size_t n,
                        const struct teacher_position *t, double *tail) {
    double q[V + 1], p[V + 1], l = lse(z, n), rest = 0;
    for (size_t i = 0; i < t->n; i++) {
        q[i] = exp((double)t->logp[i]);
        p[i] = exp(z[t->ids[i]] - l);
    }
    for (size_t v = 0; v < n; v++) {
        bool in = false;
        for (size_t i = 0; i < t->n; i++) in = in || t->ids[i] == (int32_t)v;
        if (!in) rest += exp(z[v] - l);
    }
    q[t->n] = t->n < n ? exp((double)t->log_tail) : 0;
    p[t->n] = rest;
    *tail = rest;
    return bucket_divergence(d, q, p, t->n + 1);
}

struct target { // a teacher position with its own arrays
    struct teacher_position t;
    int32_t ids[V];
    float logp[V];
};

// A support of n distinct ids in rank order holding 1 - Q of the mass.
static void make_target(struct target *x, uint64_t salt, size_t n, double Q) {
    double w[V], sum = 0;
    size_t order[V];
    rng_permute(3, RNG_TEST, salt, V, order);
    for (size_t i = 0; i < n; i++) sum += w[i] = exp(-0.7 * (double)i);
    for (size_t i = 0; i < n; i++) {
        x->ids[i] = (int32_t)order[i];
        x->logp[i] = (float)log(w[i] / sum * (1 - Q));
    }
    x->t = (struct teacher_position){.n = (uint32_t)n,
                                     .ids = x->ids,
                                     .logp = x->logp,
                                     .log_tail = (float)log(Q > 1e-30 ? Q : 1e-30),
                                     .alpha = 0.25f + 0.5f * (float)(salt % 3),
                                     .tvd = 0.1f * (float)(salt % 7)};
}

static void make_logits(double *z, uint64_t salt, double scale) { // exact as floats
    for (size_t i = 0; i < V; i++)
        z[i] = (double)(float)(scale * rng_normal(11, RNG_TEST, salt, i));
}

static void to_float(float *x, const double *z, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = (float)z[i];
}

static void sparse_gradients(void **state) {
    (void)state;
    double z[V], tail, unused;
    float x[V];
    struct target y;
    for (uint64_t salt = 0; salt < 6; salt++) {
        static const double Q[] = {1e-3, 0.2, 1e-9};
        make_target(&y, salt, salt == 5 ? V : N, salt == 5 ? 0 : Q[salt % 3]);
        make_logits(z, salt, salt < 3 ? 1 : 4);
        for (size_t k = 0; k < KINDS; k++) {
            to_float(x, z, V);
            double expect = reference(&kinds[k], z, V, &y.t, &unused);
            double loss = divergence_sparse(&kinds[k], x, V, &y.t, 0.5, own, &tail);
            assert_true(near(loss, expect, 1e-6 * (1 + fabs(expect))));
            assert_true(near(tail, unused, 1e-6));
            for (size_t v = 0; v < V; v++) {
                double keep = z[v], h = 1e-5;
                z[v] = keep + h;
                double up = reference(&kinds[k], z, V, &y.t, &unused);
                z[v] = keep - h;
                double down = reference(&kinds[k], z, V, &y.t, &unused);
                z[v] = keep;
                assert_true(near((double)x[v], 0.5 * (up - down) / (2 * h), 1e-6));
            }
        }
    }
}

// The same where no token outside has more than `most`: q = min(most, k p) of each, k by bisection.
static double capped_reference(const struct divergence *d, const double *z,
                               const struct teacher_position *t, double most, bool *binds) {
    double q[V], p[V], l = lse(z, V), low = 0, high = 1e12;
    bool in[V] = {0};
    for (size_t v = 0; v < V; v++) p[v] = exp(z[v] - l);
    for (size_t i = 0; i < t->n; i++) {
        in[t->ids[i]] = true;
        q[t->ids[i]] = exp((double)t->logp[i]);
    }
    for (int step = 0; step < 200; step++) {
        double k = (low + high) / 2, sum = 0;
        for (size_t v = 0; v < V; v++) sum += in[v] ? 0 : fmin(most, k * p[v]);
        *(sum < exp((double)t->log_tail) ? &low : &high) = k;
    }
    *binds = false;
    for (size_t v = 0; v < V; v++) {
        if (in[v]) continue;
        *binds = *binds || low * p[v] > most;
        q[v] = fmin(most, low * p[v]);
    }
    return bucket_divergence(d, q, p, V);
}

static void capped_gradients(void **state) {
    (void)state;
    double z[V], tail;
    float x[V], plain[V];
    struct target y;
    bool binds;
    size_t bound = 0;
    for (uint64_t salt = 0; salt < 8; salt++) {
        make_target(&y, salt, N, salt % 2 ? 0.2 : 1e-3);
        make_logits(z, salt, salt < 4 ? 1 : 4);
        double part = salt % 4 < 2 ? 0.06 : 0.4, most = part * exp((double)y.t.log_tail);
        y.t.log_most = (float)log(most);
        most = exp((double)y.t.log_most);
        for (size_t k = 0; k < KINDS; k++) {
            to_float(x, z, V);
            double expect = capped_reference(&kinds[k], z, &y.t, most, &binds);
            double loss = divergence_sparse(&kinds[k], x, V, &y.t, 0.5, own, &tail);
            assert_true(near(loss, expect, 1e-6 * (1 + fabs(expect))));
            bound += binds;
            for (size_t v = 0; v < V; v++) {
                double keep = z[v], h = 1e-5;
                z[v] = keep + h;
                double up = capped_reference(&kinds[k], z, &y.t, most, &binds);
                z[v] = keep - h;
                double down = capped_reference(&kinds[k], z, &y.t, most, &binds);
                z[v] = keep;
                assert_true(near((double)x[v], 0.5 * (up - down) / (2 * h), 2e-6));
            }
            // a bound that does not bind is as none
            y.t.log_most = y.t.log_tail;
            to_float(x, z, V);
            to_float(plain, z, V);
            divergence_sparse(&kinds[k], x, V, &y.t, 0.5, own, &tail);
            y.t.log_most = 0;
            divergence_sparse(&kinds[k], plain, V, &y.t, 0.5, own, &tail);
            y.t.log_most = (float)log(most);
            assert_memory_equal(x, plain, sizeof x);
        }
    }
    assert_true(bound > 8 * KINDS / 2);
}

static void dense_gradients(void **state) { // also against the sparse form on a full support
    (void)state;
    double z[V], tail, unused;
    float x[V], s[V], full[V];
    struct target y;
    for (uint64_t salt = 20; salt < 24; salt++) {
        make_target(&y, salt, V, 0);
        make_logits(z, salt, 2);
        for (size_t i = 0; i < V; i++) full[y.ids[i]] = y.logp[i];
        for (size_t k = 0; k < KINDS; k++) {
            to_float(x, z, V);
            to_float(s, z, V);
            double expect = reference(&kinds[k], z, V, &y.t, &unused);
            double loss = divergence_dense(&kinds[k], x, V, full, 1.5);
            double other = divergence_sparse(&kinds[k], s, V, &y.t, 1.5, own, &tail);
            assert_true(near(loss, expect, 2e-6 * (1 + expect)));
            assert_true(near(loss, other, 2e-6 * (1 + expect)));
            assert_true(tail == 0);
            for (size_t v = 0; v < V; v++) {
                double keep = z[v], h = 1e-5;
                z[v] = keep + h;
                double up = reference(&kinds[k], z, V, &y.t, &unused);
                z[v] = keep - h;
                double down = reference(&kinds[k], z, V, &y.t, &unused);
                z[v] = keep;
                assert_true(near((double)x[v], 1.5 * (up - down) / (2 * h), 2e-6));
                assert_true(near((double)x[v], (double)s[v], 2e-6));
            }
        }
    }
}

static void gradient_formulas(void **state) { // those printed in METHOD section 4
    (void)state;
    double z[V], tail;
    float f[V], r[V];
    struct target y;
    make_target(&y, 1, N, 0.05);
    make_logits(z, 9, 1);
    to_float(f, z, V);
    to_float(r, z, V);
    divergence_sparse(&kinds[0], f, V, &y.t, 1, own, &tail);
    double loss = divergence_sparse(&kinds[1], r, V, &y.t, 1, own, &tail), l = lse(z, V);
    for (size_t v = 0; v < V; v++) {
        double p = exp(z[v] - l), q = 0, a = log(tail) - log(0.05);
        for (size_t i = 0; i < N; i++)
            if (y.ids[i] == (int32_t)v) q = exp((double)y.logp[i]);
        if (q > 0) a = log(p) - log(q);
        assert_true(near((double)f[v], q > 0 ? p - q : p * (1 - 0.05 / tail), 1e-6));
        assert_true(near((double)r[v], p * (a - loss), 1e-6));
    }
}

static void extremes(void **state) { // padding, certainty, and nothing left are finite
    (void)state;
    float x[V], full[V];
    double tail;
    struct target y;
    make_target(&y, 4, N, 1e-40);
    for (size_t k = 0; k < KINDS; k++) {
        for (size_t v = 0; v < V; v++) x[v] = v >= 48 ? -INFINITY : v == 3 ? 500 : -500;
        for (size_t v = 0; v < V; v++) full[v] = v >= 48 ? -INFINITY : (float)-log(48);
        double loss = divergence_dense(&kinds[k], x, V, full, 1);
        assert_true(isfinite(loss) && loss >= -1e-6);
        for (size_t v = 0; v < V; v++) assert_true(isfinite(x[v]));
        for (size_t v = 48; v < V; v++) assert_true(x[v] == 0);
        for (size_t v = 0; v < V; v++) x[v] = v == 3 ? 500 : -500;
        loss = divergence_sparse(&kinds[k], x, V, &y.t, 1, own, &tail);
        assert_true(isfinite(loss));
        for (size_t v = 0; v < V; v++) assert_true(isfinite(x[v]));
        for (size_t v = 0; v < V; v++) x[v] = NAN;
        assert_true(isnan(divergence_sparse(&kinds[k], x, V, &y.t, 1, own, &tail)));
        for (size_t v = 0; v < V; v++) x[v] = NAN;
        assert_true(isnan(divergence_dense(&kinds[k], x, V, full, 1)));
    }
}

// What is unlikely beyond e^-69 counts as what it is: a teacher of great strength, whose log p* go
// down to -400, a student that finds such tokens likely, and one that is as sure itself.
static void no_floor(void **state) {
    (void)state;
    for (uint64_t salt = 0; salt < 8; salt++) {
        struct target y = {.t = {.n = V, .ids = y.ids, .logp = y.logp}};
        double z[V], q[V], tail, unused;
        float x[V], s[V];
        make_logits(z, 300 + salt, salt % 2 ? 1 : 60);
        make_logits(q, 400 + salt, 120);
        double l = lse(q, V);
        for (size_t v = 0; v < V; v++) {
            y.ids[v] = (int32_t)v;
            y.logp[v] = (float)(q[v] - l);
        }
        for (size_t k = 0; k < KINDS; k++) {
            to_float(x, z, V);
            to_float(s, z, V);
            double expect = reference(&kinds[k], z, V, &y.t, &unused);
            double loss = divergence_dense(&kinds[k], x, V, y.logp, 1);
            double other = divergence_sparse(&kinds[k], s, V, &y.t, 1, own, &tail);
            assert_true(near(loss, expect, 1e-6 * (1 + expect)));
            assert_true(near(other, expect, 1e-6 * (1 + expect)));
            for (size_t v = 0; v < V; v++) {
                double keep = z[v], h = 1e-5;
                z[v] = keep + h;
                double up = reference(&kinds[k], z, V, &y.t, &unused);
                z[v] = keep - h;
                double down = reference(&kinds[k], z, V, &y.t, &unused);
                z[v] = keep;
                double want = (up - down) / (2 * h);
                assert_true(near((double)x[v], want, 2e-6 * (1 + expect)));
                assert_true(near((double)s[v], want, 2e-6 * (1 + expect)));
            }
        }
    }
}

// Two responses of 4 and 5 positions.
static struct batch make_batch(struct target *y) {
    const int32_t prompt[1] = {1}, text[5] = {1, 2, 3, 4, 5};
    struct batch b = {0};
    for (size_t n = 4; n <= 5; n++) {
        const int32_t *const response[1] = {text};
        const enum response_role role[1] = {RESPONSE_ONLY};
        batch_begin_unit(&b);
        batch_shared(&b, prompt, 1, 1, response, &n, role, n);
    }
    batch_end(&b);
    for (size_t i = 0; i < POSITIONS; i++) {
        make_target(&y[i], i, N, 0.01 * (double)(i + 1));
        b.teacher[i] = y[i].t;
    }
    return b;
}

static void give_teacher(void *ctx, const struct batch *b, size_t first, size_t count, float *logp,
                         struct teacher_position *info) {
    const struct target *y = ctx;
    (void)b;
    for (size_t i = 0; i < count; i++) {
        const struct teacher_position *t = &y[first + i].t;
        for (size_t k = 0; k < V; k++) logp[i * V + (size_t)t->ids[k]] = t->logp[k];
        info[i] = (struct teacher_position){.alpha = t->alpha, .tvd = t->tvd};
    }
}

static void weights_and_sums(void **state) {
    (void)state;
    static struct target y[POSITIONS];
    struct batch b = make_batch(y);
    struct step_totals totals = {.rows = 2, .tokens = POSITIONS, .responses = 2};
    double z[POSITIONS][V], unused;
    for (size_t i = 0; i < POSITIONS; i++) make_logits(z[i], 40 + i, 1);
    for (int weight = 0; weight < 2; weight++)
        for (int normalise = 0; normalise < 3; normalise++) {
            struct distill_options o = {.divergence = kinds[1],
                                        .weight = (enum distill_weight)weight,
                                        .normalise = (enum distill_normalise)normalise,
                                        .reward_beta = 0.1};
            struct objective j = objective_distill_new(&o, V);
            float x[POSITIONS * V];
            double expect = 0, kl = 0, tail = 0, alpha = 0;
            struct metrics m = {0};
            for (size_t i = 0; i < POSITIONS; i++) to_float(x + i * V, z[i], V);
            j.begin_step(j.self, &totals);
            j.begin(j.self, &b);
            j.backward(j.self, &b, 5, 4, x + 5 * V);
            j.backward(j.self, &b, 0, 5, x);
            for (size_t i = 0; i < POSITIONS; i++) {
                double length = i < 4 ? 4 : 5, a = (double)y[i].t.alpha;
                double share = normalise == DISTILL_TOKEN ? 1.0 / 9
                               : normalise == DISTILL_SUM ? 0.5
                                                          : 0.5 / length;
                double d = reference(&kinds[1], z[i], V, &y[i].t, &unused);
                expect += share * d * (weight ? 0.1 / a : 1);
                kl += d / POSITIONS;
                tail += unused / POSITIONS;
                alpha += a / POSITIONS;
            }
            assert_true(near(j.end_step(j.self, &m), expect, 1e-6));
            assert_true(near(metric(&m, "kl"), kl, 1e-6));
            assert_true(near(metric(&m, "student_tail"), tail, 1e-6));
            assert_true(near(metric(&m, "alpha"), alpha, 1e-6));
            assert_true(near(metric(&m, "alpha_p50"), 0.75, 1e-6)); // of 0.25, 0.75, 1.25
            objective_free(&j);
        }
    batch_release(&b);
}

static void live_is_replay(void **state) { // a cache with full support == the live teacher
    (void)state;
    static struct target y[POSITIONS];
    struct batch b = make_batch(y);
    struct step_totals totals = {.rows = 2, .tokens = POSITIONS, .responses = 2};
    for (size_t i = 0; i < POSITIONS; i++) {
        make_target(&y[i], i, V, 0);
        b.teacher[i] = y[i].t;
    }
    for (size_t k = 0; k < KINDS; k++) {
        float x[2][POSITIONS * V];
        double loss[2];
        struct metrics m[2] = {{0}, {0}};
        for (int live = 0; live < 2; live++) {
            struct distill_options o = {.divergence = kinds[k],
                                        .weight = DISTILL_INVERSE_ALPHA,
                                        .normalise = DISTILL_SEQUENCE,
                                        .reward_beta = 0.1,
                                        .teacher = live ? give_teacher : NULL,
                                        .teacher_ctx = y};
            struct objective j = objective_distill_new(&o, V);
            double z[V];
            for (size_t i = 0; i < POSITIONS; i++) {
                make_logits(z, 60 + i, 2);
                to_float(x[live] + i * V, z, V);
            }
            j.begin_step(j.self, &totals);
            j.begin(j.self, &b);
            j.backward(j.self, &b, 0, 4, x[live]);
            j.backward(j.self, &b, 4, 5, x[live] + 4 * V);
            loss[live] = j.end_step(j.self, &m[live]);
            objective_free(&j);
        }
        assert_true(near(loss[0], loss[1], 1e-6));
        assert_true(near(metric(&m[0], "tvd"), metric(&m[1], "tvd"), 1e-12));
        for (size_t i = 0; i < POSITIONS * V; i++)
            assert_true(near((double)x[0][i], (double)x[1][i], 1e-6));
    }
    batch_release(&b);
}

static void distill_bits(void **state) { // threads and micro-batches
    (void)state;
    static struct target y[POSITIONS];
    struct batch b = make_batch(y), half = {0};
    struct step_totals totals = {.rows = 2, .tokens = POSITIONS, .responses = 2};
    struct distill_options o = {.divergence = kinds[2], .normalise = DISTILL_SEQUENCE};
    struct objective j = objective_distill_new(&o, V);
    float x[2][POSITIONS * V];
    double loss[2], z[V];
    struct metrics m[2] = {{0}, {0}};
    for (int run = 0; run < 2; run++) {
        parallel_init(1 + 2 * run);
        for (size_t i = 0; i < POSITIONS; i++) {
            make_logits(z, 80 + i, 2);
            to_float(x[run] + i * V, z, V);
        }
        j.begin_step(j.self, &totals);
        for (size_t part = 0; part < 2; part++) {
            size_t first = part * 4, n = 4 + part;
            half = b; // the responses one by one
            half.teacher += first;
            half.owner += run ? first : 0;
            half.response += part;
            half.positions = n;
            size_t owner[5] = {0};
            half.owner = owner;
            if (!run && part) break;
            j.begin(j.self, run ? &half : &b);
            if (run)
                j.backward(j.self, &half, 0, n, x[run] + first * V);
            else
                j.backward(j.self, &b, 0, POSITIONS, x[run]);
        }
        loss[run] = j.end_step(j.self, &m[run]);
    }
    assert_true(loss[0] == loss[1]);
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    assert_memory_equal(m[0].value, m[1].value, sizeof m[0].value);
    objective_free(&j);
    batch_release(&b);
}

static void against_reference(void **state) { // divergence_kl is fkl without the gradient
    (void)state;
    double z[V], r[V];
    float x[V], logp[V];
    make_logits(z, 1, 2);
    make_logits(r, 2, 2);
    double lz = lse(z, V), lr = lse(r, V), expect = 0;
    for (size_t v = 0; v < V; v++) expect += exp(r[v] - lr) * (r[v] - lr - z[v] + lz);
    to_float(x, z, V);
    for (size_t v = 0; v < V; v++) logp[v] = (float)(r[v] - lr);
    assert_true(near(divergence_kl(logp, x, V, lz), expect, 2e-6));
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_gradients),  cmocka_unit_test(capped_gradients),
        cmocka_unit_test(dense_gradients),   cmocka_unit_test(gradient_formulas),
        cmocka_unit_test(extremes),          cmocka_unit_test(weights_and_sums),
        cmocka_unit_test(live_is_replay),    cmocka_unit_test(distill_bits),
        cmocka_unit_test(against_reference), cmocka_unit_test(no_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

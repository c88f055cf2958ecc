// On-policy numbers against METHOD.md in double: what is measured at a position, the weights of the
// score-function term by hand and as the theory has them, its gradient, the runaway warnings.
#include "common/method/objective.h"
#include "common/base/parallel.h"
#include "common/method/policy.h"
#include "common/base/rng.h"
#include "common/training/runaway.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// after cmocka
#include "tests/unit/fake_metrics.h"

enum { V = 91, USED = 90, TOP = 64 }; // one column of padding

// ---- one position ----

struct position {
    float student[V], dpo[V], negative[V], base[V], ref[V], star[V];
};

static void fill(float *z, uint64_t salt, double scale) {
    for (size_t v = 0; v < V; v++)
        z[v] = v < USED ? (float)(scale * rng_normal(8, RNG_TEST, salt, v)) : -INFINITY;
}

static void log_softmax(const float *z, double *l) {
    double sum = 0;
    for (size_t v = 0; v < USED; v++) sum += exp((double)z[v]);
    for (size_t v = 0; v < USED; v++) l[v] = (double)z[v] - log(sum);
}

static const struct teacher_rule rules[] = {
    {.base_dpo = true, .negative_reverse = true, .alpha = ALPHA_FIXED, .strength = 1.5},
    {.base_dpo = false, .negative_reverse = true, .alpha = ALPHA_DAMPED, .strength = 2},
    {.base_dpo = false, .negative_reverse = false, .alpha = ALPHA_TVD, .strength = 3},
    {.base_dpo = true, .negative_reverse = true, .strength = 1, .plausible = 0.02},
    {.base_dpo = false, .negative_reverse = true, .strength = 2, .plausible = 0.1},
};
enum { RULES = sizeof rules / sizeof *rules };

static double spread = 2; // of the models' logits

static struct policy_logits make_position(struct position *x, const struct teacher_rule *rule,
                                          uint64_t salt, double *alpha) {
    fill(x->student, salt, 1.5);
    fill(x->dpo, salt + 1, spread);
    fill(x->ref, salt + 3, spread);
    fill(x->negative, salt + (rule->negative_reverse ? 2 : 3), spread);
    memcpy(x->base, rule->base_dpo ? x->dpo : x->ref, sizeof x->base);
    *alpha = teacher_alpha(rule, teacher_tvd(x->dpo, x->negative, V));
    teacher_compose(rule, *alpha, x->base, x->dpo, x->negative, V, x->star);
    return (struct policy_logits){x->student, x->dpo, x->negative, x->base, x->ref, x->star, V};
}

struct expected { // in double, of the formulas alone
    double log_z, kl_star, kl_base, kl_dpo, kl_ref, reward, gain, entropy, token, outside;
};

static double mass_outside(const double *base, const double *l) {
    double sum = 0;
    for (size_t v = 0; v < USED; v++) {
        size_t above = 0;
        for (size_t u = 0; u < USED; u++) above += base[u] > base[v];
        if (above >= TOP) sum += exp(l[v]);
    }
    return sum;
}

static struct expected expect(const struct position *x, const struct teacher_rule *rule,
                              double alpha, size_t y) {
    double p[V], dpo[V], negative[V], base[V], ref[V], star[V], d[V], most = -INFINITY, sum = 0;
    struct expected e = {0};
    log_softmax(x->student, p);
    log_softmax(x->dpo, dpo);
    log_softmax(x->negative, negative);
    log_softmax(x->base, base);
    log_softmax(x->ref, ref);
    for (size_t v = 0; v < USED; v++) most = fmax(most, base[v]);
    for (size_t v = 0; v < USED; v++) {
        bool plausible = exp(base[v]) >= rule->plausible * exp(most);
        d[v] = plausible ? dpo[v] - negative[v] : 0;
        sum += exp(base[v] + alpha * d[v]);
    }
    e.log_z = log(sum);
    for (size_t v = 0; v < USED; v++) {
        double q = exp(p[v]);
        star[v] = base[v] + alpha * d[v] - e.log_z;
        e.kl_star += q * (p[v] - star[v]);
        e.kl_base += q * (p[v] - base[v]);
        e.kl_dpo += q * (p[v] - dpo[v]);
        e.kl_ref += q * (p[v] - ref[v]);
        e.reward += q * (dpo[v] - negative[v]);
        e.gain += q * d[v];
        e.entropy -= q * p[v];
    }
    e.token = alpha * d[y] - p[y] + base[y];
    e.outside = mass_outside(base, star) - mass_outside(base, base);
    return e;
}

static bool close_to(double x, double want) {
    return near(x, want, 2e-5 + 2e-6 * fabs(want));
}

static void measures(void **state) {
    (void)state;
    for (size_t k = 0; k < RULES; k++)
        for (uint64_t i = 0; i < 5; i++) {
            struct position x;
            double alpha;
            size_t y = (i * 37 + k) % USED;
            spread = i < 3 ? 2 : 60; // many tokens far below e^-69
            struct policy_logits z = make_position(&x, &rules[k], 100 * k + 10 * i, &alpha);
            struct policy_position m = {.alpha = alpha, .tvd = 0.25};
            policy_measure(&rules[k], &z, (int32_t)y, &m);
            struct expected e = expect(&x, &rules[k], alpha, y);
            spread = 2;
            assert_true(close_to(m.reward, e.reward) && close_to(m.gain, e.gain));
            assert_true(close_to(m.kl_base, e.kl_base));
            assert_true(close_to(m.kl_dpo, e.kl_dpo) && close_to(m.kl_ref, e.kl_ref));
            assert_true(close_to(m.kl_star, e.kl_star) && close_to(m.entropy, e.entropy));
            assert_true(close_to(m.token, e.token) && close_to(m.outside, e.outside));
            // the identity of section 3: the value is log Z - KL(p || p*)
            assert_true(close_to(alpha * m.gain - m.kl_base, e.log_z - e.kl_star));
            assert_true(m.alpha == alpha && m.tvd == 0.25);
        }
}

// ---- weights ----

// Two responses of 2 and 3 tokens. Values a token: 1 2 | 3 5 7 (alpha 1), of expectation
// alpha reward - kl_base: 10 20 | 30 40 50.
static const size_t two[] = {0, 2, 5};

static void hand_positions(struct policy_position *p, double alpha) {
    static const double token[] = {1, 2, 3, 5, 7};
    for (size_t i = 0; i < 5; i++)
        p[i] = (struct policy_position){.alpha = alpha,
                                        .token = token[i],
                                        .gain = 12 * (double)(i + 1) / alpha,
                                        .kl_base = 2 * (double)(i + 1)};
}

static void expect_weights(enum reward_level level, bool inverse, double alpha, double scale,
                           const double *want) {
    struct policy_position p[5];
    float weight[5];
    hand_positions(p, alpha);
    struct policy_step s = {2, two, p, level, inverse, 0.1};
    policy_weights(&s, weight);
    for (size_t i = 0; i < 5; i++) assert_true(near((double)weight[i], scale * want[i], 1e-4));
}

static void weights_by_hand(void **state) {
    (void)state;
    static const double token[] = {-2.6, -1.6, -0.6, 1.4, 3.4};          // less the mean 18 / 5
    static const double response[] = {-12, -12, 12, 12, 12};             // 3 - 15, 15 - 3
    static const double exact[] = {20 - 90, 0 - 50, 90 - 20, 50 - 0, 0}; // what is to come
    expect_weights(REWARD_TOKEN, false, 1, 1, token);
    expect_weights(REWARD_RESPONSE, false, 1, 1, response);
    expect_weights(REWARD_DISTRIBUTION, false, 1, 1, exact);
    expect_weights(REWARD_TOKEN, true, 0.5, 0.2, token); // b = 0.1 / 0.5
    expect_weights(REWARD_RESPONSE, true, 0.5, 0.2, response);
    expect_weights(REWARD_DISTRIBUTION, true, 0.5, 0.2, exact);
    struct policy_position p[5];
    float weight[5];
    hand_positions(p, 1);
    struct policy_step alone = {1, two, p, REWARD_RESPONSE, false, 0.1};
    policy_weights(&alone, weight); // nothing to compare with
    assert_true(near((double)weight[0], 3, 1e-6) && near((double)weight[1], 3, 1e-6));
}

// The return to go as test_theory.c has it: sum of b (log Z - KL(p || p*)) over later positions.
static void weights_as_in_theory(void **state) {
    (void)state;
    enum { N = 7 };
    static const size_t first[] = {0, 4, 7};
    static const double b0 = 0.1;
    static struct position x[N];
    struct policy_position p[N];
    double value[N], to_go[N + 1] = {0};
    float weight[N];
    for (size_t k = 0; k < RULES; k++) {
        for (size_t i = 0; i < N; i++) {
            double alpha;
            struct policy_logits z = make_position(&x[i], &rules[k], 1000 + 10 * i + k, &alpha);
            p[i] = (struct policy_position){.alpha = alpha};
            policy_measure(&rules[k], &z, (int32_t)i, &p[i]);
            struct expected e = expect(&x[i], &rules[k], alpha, i);
            value[i] = b0 / alpha * (e.log_z - e.kl_star);
        }
        struct policy_step s = {2, first, p, REWARD_DISTRIBUTION, true, b0};
        policy_weights(&s, weight);
        for (size_t r = 0; r < 2; r++)
            for (size_t t = first[r]; t < first[r + 1]; t++) {
                to_go[t] = 0;
                for (size_t u = t + 1; u < first[r + 1]; u++) to_go[t] += value[u];
            }
        for (size_t t = 0; t < 4; t++) {
            double other = t < 3 ? to_go[4 + t] : 0;
            assert_true(near((double)weight[t], to_go[t] - other, 1e-5));
            if (t < 3) assert_true(near((double)weight[4 + t], other - to_go[t], 1e-5));
        }
    }
}

// ---- the gradient ----

enum { POSITIONS = 5 };

struct step {
    struct batch batch;
    struct position x[POSITIONS];
    double alpha[POSITIONS];
};

static void give_teacher(void *ctx, const struct batch *b, size_t first, size_t count, float *logp,
                         struct teacher_position *info) {
    const struct step *s = ctx;
    (void)b;
    for (size_t i = 0; i < count; i++) {
        memcpy(logp + i * V, s->x[first + i].star, V * sizeof *logp);
        info[i] = (struct teacher_position){.alpha = (float)s->alpha[first + i], .tvd = 0.5};
    }
}

static void give_watch(void *ctx, const struct batch *b, size_t first, size_t count,
                       const float *logits, const float *logp, const struct teacher_position *info,
                       struct policy_position *out) {
    (void)ctx, (void)b, (void)logits, (void)logp, (void)info;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct policy_position){.alpha = 2,
                                          .tvd = 0.5,
                                          .reward = (double)(first + i),
                                          .kl_base = 1,
                                          .kl_ref = 3,
                                          .kl_star = 0.25,
                                          .outside = 0.5};
}

static void make_step(struct step *s) {
    int32_t ids[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    uint8_t mask[2][4] = {{0, 0, 1, 1}, {0, 1, 1, 1}};
    *s = (struct step){0};
    for (size_t r = 0; r < 2; r++) {
        batch_begin_unit(&s->batch);
        batch_sequence(&s->batch, ids[r], mask[r], 4, r, RESPONSE_ONLY);
    }
    batch_end(&s->batch);
    for (size_t i = 0; i < POSITIONS; i++) {
        make_position(&s->x[i], &rules[0], 5000 + 10 * i, &s->alpha[i]);
        s->batch.weight[i] = (float)((double)i - 1.7);
    }
}

static double share(const struct distill_options *o, const struct batch *b, size_t at) {
    if (o->normalise == DISTILL_TOKEN) return 1.0 / POSITIONS;
    double one = 0.5;
    return o->normalise == DISTILL_SUM ? one : one / (double)b->response[b->owner[at]].count;
}

// The step's loss in double, with x (V) at position `at` in place of its logits.
static double loss_of(const struct distill_options *o, const struct step *s, size_t at,
                      const double *x) {
    double sum = 0, loss = 0, kl = 0, w = (double)s->batch.weight[at];
    for (size_t v = 0; v < USED; v++) sum += exp(x[v]);
    for (size_t v = 0; v < USED; v++) {
        double l = x[v] - log(sum);
        kl += exp(l) * (l - (double)s->x[at].star[v]);
    }
    if (o->level == REWARD_DISTRIBUTION) loss += kl;
    if (o->exact || o->level != REWARD_DISTRIBUTION)
        loss -= w * (x[s->batch.target[at]] - log(sum));
    return share(o, &s->batch, at) * loss;
}

static void check_gradient(struct distill_options *o, struct step *s) {
    struct objective j = objective_distill_new(o, V);
    struct step_totals totals = {.rows = 2, .tokens = POSITIONS, .responses = 2};
    static float z[POSITIONS][V];
    struct metrics m = {0};
    double total = 0;
    for (size_t i = 0; i < POSITIONS; i++) memcpy(z[i], s->x[i].student, sizeof z[i]);
    j.begin_step(j.self, &totals);
    j.begin(j.self, &s->batch);
    j.backward(j.self, &s->batch, 0, 2, z[0]); // a chunk each
    j.backward(j.self, &s->batch, 2, 3, z[2]);
    for (size_t i = 0; i < POSITIONS; i++) {
        double x[V], h = 1e-5;
        for (size_t v = 0; v < V; v++) x[v] = (double)s->x[i].student[v];
        total += loss_of(o, s, i, x);
        for (size_t v = 0; v < USED; v++) {
            double at = x[v];
            x[v] = at + h;
            double up = loss_of(o, s, i, x);
            x[v] = at - h;
            double down = loss_of(o, s, i, x);
            x[v] = at;
            assert_true(near((double)z[i][v], (up - down) / (2 * h), 1e-6));
        }
        assert_true(z[i][USED] == 0);
    }
    assert_true(near(j.end_step(j.self, &m), total, 1e-5));
    if (o->watch) {
        assert_true(near(metric(&m, "reward"), 0.1 * 10 / 2, 1e-9));
        assert_true(near(metric(&m, "kl_base"), 2.5, 1e-9) && near(o->numbers->kl_ref, 7.5, 1e-9));
        assert_true(near(metric(&m, "response_length"), 2.5, 1e-12));
        assert_true(near(o->numbers->outside, 0.5, 1e-12) && o->numbers->length == 2.5);
        assert_true(near(metric(&m, "tvd_p50"), 0.5, 1e-12));
        if (o->level != REWARD_DISTRIBUTION) assert_true(near(metric(&m, "alpha"), 2, 1e-12));
    }
    objective_free(&j);
}

static void score_gradient(void **state) {
    (void)state;
    static struct step s;
    struct distill_numbers numbers;
    make_step(&s);
    for (int normalise = 0; normalise < 3; normalise++)
        for (int kind = 0; kind < 4; kind++) {
            struct distill_options o = {.divergence = {.kind = DIVERGENCE_RKL},
                                        .normalise = (enum distill_normalise)normalise,
                                        .reward_beta = 0.1,
                                        .teacher = give_teacher,
                                        .teacher_ctx = &s,
                                        .watch = give_watch,
                                        .numbers = &numbers};
            o.level = kind < 2 ? REWARD_DISTRIBUTION : kind == 2 ? REWARD_TOKEN : REWARD_RESPONSE;
            o.exact = kind == 1;
            check_gradient(&o, &s);
        }
    batch_release(&s.batch);
}

// ---- warnings ----

static bool reports(struct runaway *r, double length, double kl, double outside, const char *word) {
    struct runaway_numbers n = {1, length, kl, outside};
    char *text = runaway_step(r, &n);
    bool same = word ? text && strstr(text, word) : !text;
    if (!same) print_message("'%s' reported, '%s' expected\n", text ? text : "", word ? word : "");
    free(text);
    return same;
}

static void warnings(void **state) {
    (void)state;
    struct runaway r = {0};
    for (int i = 0; i < 10; i++) assert_true(reports(&r, 20, 99, 0.1, NULL));
    for (int i = 0; i < 10; i++) assert_true(reports(&r, 40, 1, 0, NULL)); // twice is not beyond
    assert_true(
        reports(&r, 41, 1, 0, "mean length 40.1 tokens over the last 10 steps, at first 20"));
    assert_true(reports(&r, 41, 1, 0, NULL)); // once per run
    struct str s = {0};
    struct runaway again = {0};
    runaway_save(&r, &s);
    assert_true(runaway_restore(&again, s.text));
    assert_memory_equal(&r, &again, sizeof r);
    assert_false(runaway_restore(&again, "something else"));
    str_release(&s);
    for (int i = 0; i < 9; i++)
        assert_true(reports(&again, 5, 1, 0, i < 8 ? NULL : "responses shrink: mean length 8.6"));
    assert_true(reports(&again, 5, 120, 0.3, "KL 120 nats"));
    assert_true(reports(&again, 5, 120, 0.3, NULL));
    struct runaway third = {0};
    assert_true(reports(&third, 5, NAN, 0.25, "most likely tokens 0.25"));
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures),
        cmocka_unit_test(weights_by_hand),
        cmocka_unit_test(weights_as_in_theory),
        cmocka_unit_test(score_gradient),
        cmocka_unit_test(warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// METHOD.md section 5: what must hold exactly, in double on models that can be enumerated. A model
// is a table of logits over the V tokens for every prefix of at most T - 1 tokens; token 0 ends a
// response, and a response of T tokens is truncated. The formulas are written out again here; where
// common/ has them in float32, both must agree.
#include "common/method/divergence.h"
#include "common/method/policy.h"
#include "common/base/rng.h"
#include "common/method/teacher.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { V = 4, T = 4, NODES = 1 + 3 + 9 + 27 }; // prefix s -> s v is node s (V-1) + v, v >= 1

struct model { // log-probabilities (node, token)
    double l[NODES][V];
};

static bool near(double a, double b, double tolerance) {
    if (fabs(a - b) <= tolerance) return true;
    print_message("%.15g is not %.15g (+- %g)\n", a, b, tolerance);
    return false;
}

static double normalise(double *x) { // logits (V) -> log-probabilities; the log sum
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp(x[v]);
    for (int v = 0; v < V; v++) x[v] -= log(sum);
    return log(sum);
}

static void make_model(struct model *m, uint64_t seed, double scale) {
    for (size_t s = 0; s < NODES; s++) {
        for (size_t v = 0; v < V; v++) m->l[s][v] = scale * rng_normal(seed, RNG_TEST, s, v);
        normalise(m->l[s]);
    }
}

static bool ends(size_t s, size_t v) {
    return v == 0 || s * (V - 1) + v >= NODES;
}

// ---- sums over all responses, down the tree -----------------------------------------------------

// sum over y ~ p from prefix s of the sum over t of f(s_t, y_t); f (node, token)
static double expect(const struct model *p, double f[NODES][V], size_t s) {
    double sum = 0;
    for (size_t v = 0; v < V; v++) {
        double later = ends(s, v) ? 0 : expect(p, f, s * (V - 1) + v);
        sum += exp(p->l[s][v]) * (f[s][v] + later);
    }
    return sum;
}

// Calls body with log p(y) and log q(y) of every response y.
struct compare {
    double worst, kl; // largest |p - q|; KL(p || q)
};
static void compare_from(const struct model *p, const struct model *q, size_t s, double lp,
                         double lq, struct compare *c) {
    for (size_t v = 0; v < V; v++) {
        double a = lp + p->l[s][v], b = lq + q->l[s][v];
        if (!ends(s, v)) {
            compare_from(p, q, s * (V - 1) + v, a, b, c);
            continue;
        }
        c->worst = fmax(c->worst, fabs(exp(a) - exp(b)));
        c->kl += exp(a) * (a - b);
    }
}
static struct compare compare(const struct model *p, const struct model *q) {
    struct compare c = {0, 0};
    compare_from(p, q, 0, 0, 0, &c);
    return c;
}

// ---- the method ---------------------------------------------------------------------------------

struct world {
    struct model base, dpo, negative, star; // star: p*
    double reward[NODES][V];                // b0 (l_dpo - l_neg)
    double alpha[NODES], log_z[NODES];      // log Z(s) of p_base exp(r / b)
};
static const double b0 = 0.1;

static void make_world(struct world *w, const struct teacher_rule *rule, uint64_t seed) {
    struct model ref, reverse;
    make_model(&ref, seed, 1);
    make_model(&w->dpo, seed + 1000, 1);
    make_model(&reverse, seed + 2000, 1);
    w->base = rule->base_dpo ? w->dpo : ref;
    w->negative = rule->negative_reverse ? reverse : ref;
    for (size_t s = 0; s < NODES; s++) {
        double tvd = 0;
        for (size_t v = 0; v < V; v++)
            tvd += 0.5 * fabs(exp(w->dpo.l[s][v]) - exp(w->negative.l[s][v]));
        double S = rule->strength;
        w->alpha[s] = rule->alpha == ALPHA_FIXED    ? S
                      : rule->alpha == ALPHA_DAMPED ? S * (1 - tvd) + 1e-3
                                                    : S * tvd + 1e-3;
        for (size_t v = 0; v < V; v++) {
            w->reward[s][v] = b0 * (w->dpo.l[s][v] - w->negative.l[s][v]);
            w->star.l[s][v] = w->base.l[s][v] + w->alpha[s] * w->reward[s][v] / b0;
        }
        w->log_z[s] = normalise(w->star.l[s]);
    }
}

// The sequence optimum by soft values: p = p_base exp((r + U(s v)) / b) / exp(U(s) / b).
static double soft_value(const struct world *w, double b, size_t s, struct model *p) {
    for (size_t v = 0; v < V; v++) {
        double later = ends(s, v) ? 0 : soft_value(w, b, s * (V - 1) + v, p);
        p->l[s][v] = w->base.l[s][v] + (w->reward[s][v] + later) / b;
    }
    return b * normalise(p->l[s]);
}

// alpha d(v) - log(p(v) / p_base(v)): what common/method/policy.h calls the token's value.
static double token_value(const struct world *w, const struct model *p, size_t s, size_t v) {
    return w->alpha[s] * w->reward[s][v] / b0 - p->l[s][v] + w->base.l[s][v];
}

// J(p): expected sum over a response of r - b log(p / p_base) with b = b0 / alpha, or, `uniform`,
// of that by b.
static double objective(const struct world *w, bool uniform, const struct model *p) {
    double f[NODES][V];
    for (size_t s = 0; s < NODES; s++)
        for (size_t v = 0; v < V; v++)
            f[s][v] = (uniform ? 1 : b0 / w->alpha[s]) * token_value(w, p, s, v);
    return expect(p, f, 0);
}

static double node_kl(const double *p, const double *q) {
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp(p[v]) * (p[v] - q[v]);
    return sum;
}

static void to_float(float *x, const double *z) {
    for (int v = 0; v < V; v++) x[v] = (float)z[v];
}

// ---- what must hold -----------------------------------------------------------------------------

static const struct teacher_rule rules[] = {
    {.base_dpo = true, .negative_reverse = true, .alpha = ALPHA_DAMPED, .strength = 1},
    {.base_dpo = true, .negative_reverse = true, .alpha = ALPHA_TVD, .strength = 5},
    {.base_dpo = true, .negative_reverse = false, .alpha = ALPHA_FIXED, .strength = 0.5},
    {.base_dpo = false, .negative_reverse = true, .alpha = ALPHA_FIXED, .strength = 1},
    {.base_dpo = false, .negative_reverse = false, .alpha = ALPHA_FIXED, .strength = 1},
};
enum { RULES = sizeof rules / sizeof *rules };

static void common_agrees(void **state) { // float32 teacher and divergences with the formulas here
    (void)state;
    struct world w;
    for (int k = 0; k < RULES; k++) {
        make_world(&w, &rules[k], 5);
        for (size_t s = 0; s < NODES; s++) {
            float base[V], dpo[V], negative[V], star[V], z[V];
            to_float(base, w.base.l[s]);
            to_float(dpo, w.dpo.l[s]);
            to_float(negative, w.negative.l[s]);
            double alpha = teacher_alpha(&rules[k], teacher_tvd(dpo, negative, V));
            assert_true(near(alpha, w.alpha[s], 2e-6));
            teacher_compose(&rules[k], alpha, base, dpo, negative, V, star);
            for (int v = 0; v < V; v++) assert_true(near((double)star[v], w.star.l[s][v], 2e-5));
            to_float(z, w.base.l[s]);
            struct divergence rkl = {DIVERGENCE_RKL, 0}, fkl = {DIVERGENCE_FKL, 0};
            double r = divergence_dense(&rkl, z, V, star, 1);
            assert_true(near(r, node_kl(w.base.l[s], w.star.l[s]), 2e-5));
            to_float(z, w.base.l[s]);
            double f = divergence_dense(&fkl, z, V, star, 1);
            assert_true(near(f, node_kl(w.star.l[s], w.base.l[s]), 2e-5));
        }
    }
}

// Gradient descent with the gradients of common/, from the reference's stand-in, on every prefix;
// teachers as a cache with full support holds them.
static void distil(const struct world *w, const struct divergence *d, struct model *student) {
    static const int32_t ids[V] = {0, 1, 2, 3};
    make_model(student, 77, 1);
    for (size_t s = 0; s < NODES; s++) {
        float z[V], g[V], star[V], own[2 * V];
        double tail;
        to_float(z, student->l[s]);
        to_float(star, w->star.l[s]);
        struct teacher_position t = {.n = V, .ids = ids, .logp = star, .log_tail = -69};
        for (int step = 0; step < 4000; step++) {
            memcpy(g, z, sizeof z);
            divergence_sparse(d, g, V, &t, 1, own, &tail);
            for (int v = 0; v < V; v++) z[v] -= 2 * g[v];
        }
        for (int v = 0; v < V; v++) student->l[s][v] = (double)z[v];
        normalise(student->l[s]);
    }
}

static void distilled_is_teacher(void **state) { // (a)
    (void)state;
    struct world w;
    struct model student;
    static const struct divergence kinds[] = {
        {DIVERGENCE_RKL, 0}, {DIVERGENCE_FKL, 0}, {DIVERGENCE_JSD, 0.5}};
    for (int k = 0; k < RULES; k++)
        for (int d = 0; d < (k ? 1 : 3); d++) {
            make_world(&w, &rules[k], 11 + (uint64_t)k);
            distil(&w, &kinds[d], &student);
            struct compare c = compare(&student, &w.star);
            if (!(c.worst <= 1e-3)) print_message("rule %d, divergence %d\n", k, d);
            assert_true(near(c.worst, 0, 1e-3) && near(c.kl, 0, 1e-3));
        }
}

static void forward_gives_dpo(void **state) { // (b)
    (void)state;
    struct world w;
    struct model student;
    struct divergence rkl = {DIVERGENCE_RKL, 0};
    make_world(&w, &rules[4], 3);
    assert_true(near(compare(&w.star, &w.dpo).worst, 0, 1e-12));
    distil(&w, &rkl, &student);
    assert_true(near(compare(&student, &w.dpo).worst, 0, 1e-3));
    // and then nothing is lost against the sequence optimum: every log Z(s) is 0
    for (size_t s = 0; s < NODES; s++) assert_true(near(w.log_z[s], 0, 1e-12));
    struct model best;
    soft_value(&w, b0, 0, &best);
    assert_true(near(compare(&best, &w.dpo).worst, 0, 1e-12));
}

// log of sum over y of p_base(y) exp(R(y) / b), and the largest error of p(y) against its share.
static double sum_exp_return(const struct world *w, double b, size_t s, double l) {
    double sum = 0;
    for (size_t v = 0; v < V; v++) {
        double x = l + w->base.l[s][v] + w->reward[s][v] / b;
        sum += ends(s, v) ? exp(x) : sum_exp_return(w, b, s * (V - 1) + v, x);
    }
    return sum;
}
static double worst_share(const struct world *w, double b, const struct model *p, size_t s,
                          double l, double lp, double log_z) {
    double worst = 0;
    for (size_t v = 0; v < V; v++) {
        double x = l + w->base.l[s][v] + w->reward[s][v] / b, y = lp + p->l[s][v];
        double e = ends(s, v) ? fabs(exp(x - log_z) - exp(y))
                              : worst_share(w, b, p, s * (V - 1) + v, x, y, log_z);
        worst = fmax(worst, e);
    }
    return worst;
}

static void soft_value_is_optimum(void **state) { // (c)
    (void)state;
    struct world w;
    struct model best;
    for (int k = 2; k < RULES; k++) {
        make_world(&w, &rules[k], 31 + (uint64_t)k);
        double b = b0 / rules[k].strength, U = soft_value(&w, b, 0, &best);
        double log_z = log(sum_exp_return(&w, b, 0, 0));
        assert_true(near(U / b, log_z, 1e-9));
        assert_true(near(worst_share(&w, b, &best, 0, 0, 0, log_z), 0, 1e-9));
        assert_true(near(objective(&w, false, &best), U, 1e-9)); // the optimum's value
    }
}

static void decomposition(void **state) { // (d), and its one-prefix form
    (void)state;
    struct world w;
    struct model p;
    double kl[NODES][V], log_z[NODES][V];
    for (uint64_t i = 0; i < 50; i++) {
        const struct teacher_rule *rule = &rules[2 + i % 3];
        double b = b0 / rule->strength;
        make_world(&w, rule, 100 + i);
        make_model(&p, 500 + i, 2);
        for (size_t s = 0; s < NODES; s++) {
            double reward = 0;
            for (size_t v = 0; v < V; v++) {
                kl[s][v] = node_kl(p.l[s], w.star.l[s]);
                log_z[s][v] = w.log_z[s];
                reward += exp(p.l[s][v]) * w.reward[s][v];
            }
            double left = reward - b * node_kl(p.l[s], w.base.l[s]);
            assert_true(near(left, b * (w.log_z[s] - kl[s][0]), 1e-12));
        }
        double J = objective(&w, false, &p), D = expect(&p, kl, 0), Z = expect(&p, log_z, 0);
        assert_true(near(J + b * D - b * Z, 0, 1e-9));
    }
}

static void myopic_gap(void **state) { // (e)
    (void)state;
    static const double alphas[] = {0.5, 1, 2, 5};
    printf("  alpha   KL(distilled || sequence optimum), nats\n");
    printf("          contrast, base dpo   forward, base dpo   forward, base ref\n");
    for (int k = 0; k < 4; k++) {
        double gap[3];
        for (int kind = 0; kind < 3; kind++) {
            struct teacher_rule rule = {.base_dpo = kind < 2,
                                        .negative_reverse = kind == 0,
                                        .alpha = ALPHA_FIXED,
                                        .strength = alphas[k]};
            struct world w;
            struct model best;
            double log_z[NODES][V], b = b0 / rule.strength;
            make_world(&w, &rule, 7);
            for (size_t s = 0; s < NODES; s++)
                for (size_t v = 0; v < V; v++) log_z[s][v] = w.log_z[s];
            double U = soft_value(&w, b, 0, &best);
            gap[kind] = compare(&w.star, &best).kl;
            assert_true(near(gap[kind], U / b - expect(&w.star, log_z, 0), 1e-9));
        }
        printf("  %5g   %18.6f   %17.6f   %17.6f\n", alphas[k], gap[0], gap[1], gap[2]);
        assert_true(k != 1 || gap[2] < 1e-12); // base = negative = ref, alpha 1: no gap
    }
}

// Expected gradient of J as --exact estimates it from `samples` independent responses: the myopic
// term at every prefix of each (minus b times that of KL(p || p*)) plus the score of the token
// times the return to go, of later positions, less the mean over the other samples.
struct sequence {
    size_t n, node[T], token[T];
    double logp, to_go[T + 1]; // to_go[t]: sum from t on of E_v[r - b log(p / p_base)]
};

static void list_responses(const struct model *p, const double *value, size_t s, struct sequence y,
                           struct sequence *all, size_t *n) {
    double logp = y.logp;
    size_t at = y.n++;
    for (size_t v = 0; v < V; v++) {
        y.node[at] = s;
        y.token[at] = v;
        y.logp = logp + p->l[s][v];
        if (!ends(s, v)) {
            list_responses(p, value, s * (V - 1) + v, y, all, n);
            continue;
        }
        y.to_go[y.n] = 0;
        for (size_t t = y.n; t-- > 0;) y.to_go[t] = y.to_go[t + 1] + value[y.node[t]];
        all[(*n)++] = y;
    }
}

static void add_score(const struct model *p, const struct sequence *y, size_t t, double weight,
                      double g[NODES][V]) {
    for (size_t v = 0; v < V; v++)
        g[y->node[t]][v] += weight * ((v == y->token[t]) - exp(p->l[y->node[t]][v]));
}

static void add_myopic(const struct world *w, double b, const struct model *p, size_t s,
                       double weight, double g[NODES][V]) {
    double kl = node_kl(p->l[s], w->star.l[s]);
    for (size_t v = 0; v < V; v++)
        g[s][v] -= weight * b * exp(p->l[s][v]) * (p->l[s][v] - w->star.l[s][v] - kl);
}

enum { RESPONSES = 40 + 27 * 3 }; // one ending at each prefix, three truncated at each last one

static void exact_gradient(const struct world *w, double b, const struct model *p, size_t samples,
                           double g[NODES][V]) {
    static struct sequence all[RESPONSES];
    double value[NODES];
    size_t n = 0;
    for (size_t s = 0; s < NODES; s++)
        value[s] = b * (w->log_z[s] - node_kl(p->l[s], w->star.l[s]));
    list_responses(p, value, 0, (struct sequence){0}, all, &n);
    assert_int_equal(n, RESPONSES);
    memset(g, 0, sizeof(double[NODES][V]));
    for (size_t i = 0; i < n; i++) // one sample, the others in expectation or one by one
        for (size_t j = 0; j < (samples == 2 ? n : 1); j++) {
            const struct sequence *y = &all[i], *other = samples == 2 ? &all[j] : NULL;
            double weight = exp(y->logp + (other ? other->logp : 0));
            for (size_t t = 0; t < y->n; t++) {
                double less = other && t < other->n ? other->to_go[t + 1] : 0;
                add_myopic(w, b, p, y->node[t], weight, g);
                add_score(p, y, t, weight * (y->to_go[t + 1] - less), g);
            }
        }
}

static double slope(const struct world *w, const struct model *p, bool uniform, size_t s,
                    size_t v) {
    double J[2], h = 1e-5;
    for (int k = 0; k < 2; k++) {
        struct model q = *p;
        q.l[s][v] += k ? h : -h;
        normalise(q.l[s]);
        J[k] = objective(w, uniform, &q);
    }
    return (J[1] - J[0]) / (2 * h);
}

static void exact_is_unbiased(void **state) {
    (void)state;
    struct world w;
    struct model p;
    static double one[NODES][V], two[NODES][V];
    make_world(&w, &rules[3], 41);
    make_model(&p, 42, 1);
    exact_gradient(&w, b0, &p, 1, one);
    exact_gradient(&w, b0, &p, 2, two);
    for (size_t s = 0; s < NODES; s++)
        for (size_t v = 0; v < V; v++) {
            assert_true(near(one[s][v], slope(&w, &p, false, s, v), 1e-9));
            assert_true(near(two[s][v], one[s][v], 1e-12)); // the baseline adds no bias
        }
}

// Expected gradient of J as common/method/policy.c weighs the scores of a step's tokens at
// --reward-level response, over every two responses that may make up the step.
static void response_gradient(const struct world *w, bool uniform, const struct model *p,
                              double g[NODES][V]) {
    static struct sequence all[RESPONSES];
    double none[NODES] = {0};
    size_t n = 0;
    list_responses(p, none, 0, (struct sequence){0}, all, &n);
    memset(g, 0, sizeof(double[NODES][V]));
    for (size_t i = 0; i < n * n; i++) {
        const struct sequence *pair[2] = {&all[i / n], &all[i % n]};
        size_t first[3] = {0, pair[0]->n, pair[0]->n + pair[1]->n};
        struct policy_position at[2 * T];
        float weight[2 * T];
        for (size_t k = 0; k < first[2]; k++) {
            const struct sequence *y = pair[k >= first[1]];
            size_t t = k >= first[1] ? k - first[1] : k, s = y->node[t];
            at[k] = (struct policy_position){.alpha = w->alpha[s],
                                             .token = token_value(w, p, s, y->token[t])};
        }
        struct policy_step step = {2, first, at, REWARD_RESPONSE, !uniform, b0};
        policy_weights(&step, weight);
        double share = exp(pair[0]->logp + pair[1]->logp) / 2;
        for (size_t k = 0; k < 2; k++)
            for (size_t t = 0; t < pair[k]->n; t++)
                add_score(p, pair[k], t, share * (double)weight[first[k] + t], g);
    }
}

static void response_is_unbiased(void **state) {
    (void)state;
    struct world w;
    struct model p;
    static double g[NODES][V];
    for (int k = 0; k < RULES; k++) {
        make_world(&w, &rules[k], 61 + (uint64_t)k);
        make_model(&p, 62 + (uint64_t)k, 1);
        response_gradient(&w, k % 2, &p, g);
        for (size_t s = 0; s < NODES; s++)
            for (size_t v = 0; v < V; v++)
                assert_true(near(g[s][v], slope(&w, &p, k % 2, s, v), 1e-6));
    }
}

static void exact_reaches_optimum(void **state) { // (f)
    (void)state;
    struct world w;
    struct model p, best;
    static double g[NODES][V], reach[NODES];
    double natural[V];
    struct teacher_rule rule = {.base_dpo = true, .negative_reverse = true, .strength = 2};
    make_world(&w, &rule, 51);
    double b = b0 / rule.strength;
    soft_value(&w, b, 0, &best);
    p = w.base;
    for (int step = 0; step < 300; step++) {
        exact_gradient(&w, b, &p, 1, g);
        reach[0] = 1;
        for (size_t s = 0; s < NODES; s++) { // natural gradient: by how rarely each comes up
            for (size_t v = 1; v < V; v++)
                if (!ends(s, v)) reach[s * (V - 1) + v] = reach[s] * exp(p.l[s][v]);
            for (size_t v = 0; v < V; v++) natural[v] = g[s][v] / (reach[s] * b * exp(p.l[s][v]));
            for (size_t v = 0; v < V; v++) p.l[s][v] += 0.5 * natural[v];
            normalise(p.l[s]);
        }
    }
    struct compare far = compare(&w.star, &best), close = compare(&p, &best);
    assert_true(far.kl > 1e-3); // the myopic optimum is elsewhere
    assert_true(near(close.worst, 0, 1e-6) && near(close.kl, 0, 1e-6));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(common_agrees),         cmocka_unit_test(distilled_is_teacher),
        cmocka_unit_test(forward_gives_dpo),     cmocka_unit_test(soft_value_is_optimum),
        cmocka_unit_test(decomposition),         cmocka_unit_test(myopic_gap),
        cmocka_unit_test(exact_is_unbiased),     cmocka_unit_test(response_is_unbiased),
        cmocka_unit_test(exact_reaches_optimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

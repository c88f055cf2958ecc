// Every objective through the whole model: the gradient of the parameters, as the training loop
// takes it, against central finite differences of the naive model in double.
#include "tests/unit/reference_model.h"
#include "common/engine/net.h"
#include "common/method/objective.h"
#include "common/training/passes.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/differences.h"
#include "tests/unit/small_model.h"

enum { ALL = 37, V = 34, PAIRS = 2, MOST = 40, SUPPORT = 6 }; // ALL - V rows are padding

struct metrics {
    int unused;
};
void metrics_value(struct metrics *m, const char *name, double value) {
    (void)m, (void)name, (void)value;
}

static struct model make_model(uint64_t seed) {
    struct model_config c = small_config(ALL, V, 64);
    c.layers = 2;
    c.tied = true;
    return small_model_around(c, seed, 0.3, 0.8);
}

struct world {
    struct model policy, reference;
    struct batch batch; // pairs of unequal lengths behind shared prompts, one unit each
    int32_t ids[2 * PAIRS][MOST];
    size_t length[2 * PAIRS], prompt;
    double ref[MOST][V]; // the reference's log-probabilities at each position
    int32_t support[MOST][SUPPORT];
    float logp[MOST][SUPPORT];
};

// Log-probabilities (positions,V) of all positions in double.
static void all_logprobs(const struct world *w, const struct model *m, const double *P,
                         double out[MOST][V]) {
    for (size_t r = 0; r < w->batch.responses; r++) {
        const struct response *y = &w->batch.response[r];
        double *l = ref_logprobs(m, P, w->ids[r], w->length[r]);
        memcpy(out[y->first], l + (w->prompt - 1) * V, y->count * sizeof *out);
        free(l);
    }
}

static double *as_double(const struct model *m) {
    double *P = malloc(m->n_params * sizeof *P);
    for (size_t i = 0; i < m->n_params; i++) P[i] = (double)m->params[i];
    return P;
}

static void add_pair(struct world *w, size_t pair) {
    static const size_t lengths[PAIRS][2] = {{5, 3}, {2, 6}};
    enum response_role roles[2] = {RESPONSE_CHOSEN, RESPONSE_REJECTED};
    for (size_t k = 0; k < 2; k++) {
        size_t r = 2 * pair + k;
        w->length[r] = w->prompt + lengths[pair][k];
        for (size_t i = 0; i < w->length[r]; i++)
            w->ids[r][i] = (int32_t)(rng_bits(8, RNG_TEST, i < w->prompt ? pair : 10 + r, i) % V);
    }
    const int32_t *const response[2] = {w->ids[2 * pair] + w->prompt,
                                        w->ids[2 * pair + 1] + w->prompt};
    batch_begin_unit(&w->batch);
    batch_shared(&w->batch, w->ids[2 * pair], w->prompt, 2, response, lengths[pair], roles, pair);
}

static void make_teacher(struct world *w, size_t at) { // a support with 3 % outside
    double sum = 0, p[SUPPORT];
    for (size_t i = 0; i < SUPPORT; i++) sum += p[i] = exp(-0.5 * (double)i);
    for (size_t i = 0; i < SUPPORT; i++) {
        w->support[at][i] = (int32_t)((5 * at + 7 * i) % V);
        w->logp[at][i] = (float)log(0.97 * p[i] / sum);
    }
    w->batch.teacher[at] = (struct teacher_position){.n = SUPPORT,
                                                     .ids = w->support[at],
                                                     .logp = w->logp[at],
                                                     .log_tail = (float)log(0.03),
                                                     .alpha = 0.2f + 0.1f * (float)(at % 4)};
}

static void make_world(struct world *w) {
    *w = (struct world){.prompt = 4};
    w->policy = make_model(1);
    w->reference = make_model(2);
    for (size_t i = 0; i < PAIRS; i++) add_pair(w, i);
    batch_end(&w->batch);
    double *P = as_double(&w->reference);
    all_logprobs(w, &w->reference, P, w->ref);
    free(P);
    for (size_t r = 0; r < w->batch.responses; r++) {
        struct response *y = &w->batch.response[r];
        for (size_t i = y->first; i < y->first + y->count; i++)
            y->ref_logp += w->ref[i][w->batch.target[i]];
    }
    for (size_t i = 0; i < w->batch.positions; i++) make_teacher(w, i);
}

static void free_world(struct world *w) {
    model_release(&w->policy);
    model_release(&w->reference);
    batch_release(&w->batch);
}

static void give_reference(void *ctx, const struct batch *b, size_t first, size_t count,
                           float *out) {
    const struct world *w = ctx;
    (void)b;
    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; v < V; v++) out[i * V + v] = (float)w->ref[first + i][v];
}

struct spec { // an objective: one of the three
    const struct preference_options *preference;
    const struct distill_options *distill;
};

static struct preference_terms pair_terms(const struct world *w, const struct preference_options *o,
                                          size_t pair, double l[MOST][V]) {
    struct preference_terms t = {{0}, {0}, {0}, {0}};
    for (size_t k = 0; k < 2; k++) {
        const struct response *y = &w->batch.response[2 * pair + (k ^ o->reverse)];
        t.ref[k] = y->ref_logp;
        t.length[k] = y->count;
        for (size_t i = y->first; i < y->first + y->count; i++) {
            t.logp[k] += l[i][w->batch.target[i]];
            for (size_t v = 0; v < V; v++) t.kl[k] += exp(w->ref[i][v]) * (w->ref[i][v] - l[i][v]);
        }
    }
    return t;
}

// KL(p* || p) or KL(p || p*) over support and tail, times the position's weight
static double distill_term(const struct world *w, const struct distill_options *o, size_t at,
                           const double *l) {
    const struct teacher_position *t = &w->batch.teacher[at];
    bool forward = o->divergence.kind == DIVERGENCE_FKL;
    double P = 1, Q = exp((double)t->log_tail), sum = 0;
    for (size_t i = 0; i < t->n; i++) {
        double lp = l[t->ids[i]], lq = (double)t->logp[i];
        P -= exp(lp);
        sum += forward ? exp(lq) * (lq - lp) : exp(lp) * (lp - lq);
    }
    sum += forward ? Q * log(Q / P) : P * log(P / Q);
    double length = (double)w->batch.response[w->batch.owner[at]].count;
    return sum * (forward ? 1 / (double)w->batch.positions
                          : o->reward_beta / (double)t->alpha / length / (2 * PAIRS));
}

// Loss of the step in double; `stopped` (PAIRS) holds tdpo2's D_w, whose gradient is stopped.
static double reference_loss(const struct world *w, const struct spec *s, const double *P,
                             double *stopped, bool first) {
    static double l[MOST][V];
    double loss = 0;
    size_t n = w->batch.positions;
    all_logprobs(w, &w->policy, P, l);
    for (size_t i = 0; i < PAIRS && s->preference; i++) {
        struct preference_terms t = pair_terms(w, s->preference, i, l);
        if (first) stopped[i] = t.kl[0];
        if (s->preference->loss == PREFERENCE_TDPO2) t.kl[0] = stopped[i];
        loss += preference_pair(s->preference, &t).loss / PAIRS;
    }
    for (size_t i = 0; i < n && s->distill; i++) loss += distill_term(w, s->distill, i, l[i]);
    for (size_t i = 0; i < n && !s->distill && !s->preference; i++)
        loss -= l[i][w->batch.target[i]] / (double)n;
    return loss;
}

// One step as common/training/train.c makes it.
static double net_loss(struct world *w, struct objective *o, float *grads) {
    struct net_limits limits = {.rows = 64, .positions = 64, .trees_tokens = 64, .backward = true};
    struct net *net = net_new(&w->policy, &limits);
    const struct batch *b = &w->batch;
    struct step_totals totals = {.rows = PAIRS, .tokens = b->positions, .responses = b->responses};
    o->begin_step(o->self, &totals);
    assert_true(passes_run(o, net, b, grads));
    net_end_step(net, grads);
    net_free(net);
    struct metrics m;
    return o->end_step(o->self, &m);
}

struct stopped_at { // what the loss holds fixed while it is differentiated
    const struct world *w;
    const struct spec *s;
    double *stopped; // (PAIRS)
};

static double loss_stopped(const void *self, const double *P) {
    const struct stopped_at *x = self;
    return reference_loss(x->w, x->s, P, x->stopped, false);
}

static void check(struct world *w, const struct spec *s, const char *name) {
    struct objective o = s->distill      ? objective_distill_new(s->distill, V)
                         : s->preference ? objective_preference_new(s->preference, V)
                                         : objective_sft_new(V);
    float *grads = calloc(w->policy.n_params, sizeof *grads);
    double *P = as_double(&w->policy), stopped[PAIRS];
    double loss = net_loss(w, &o, grads), expect = reference_loss(w, s, P, stopped, true);
    if (!(fabs(loss - expect) <= 1e-5 * (1 + fabs(expect))))
        fail_msg("%s: loss %.9g, in double %.9g", name, loss, expect);
    double scale = differences_scale(grads, w->policy.n_params, model_count(&w->policy));
    assert_true(scale > 0);
    struct stopped_at at = {w, s, stopped};
    differences_check(&(struct differences){.name = name,
                                            .tensors = w->policy.tensors,
                                            .n_tensors = w->policy.n_tensors,
                                            .probes = 3,
                                            .grads = grads,
                                            .P = P,
                                            .loss = loss_stopped,
                                            .self = &at,
                                            .h = 1e-5,
                                            .relative = 2e-5,
                                            .scale = scale,
                                            .absolute = 1e-6});
    free(P);
    free(grads);
    objective_free(&o);
}

static void preference(void **state) {
    (void)state;
    static const char *const names[] = {"dpo",   "cdpo",  "robust", "ipo",
                                        "hinge", "simpo", "tdpo1",  "tdpo2"};
    struct world w;
    make_world(&w);
    for (size_t k = 0; k < 8; k++)
        for (int reverse = 0; reverse < 2; reverse++) {
            struct preference_options o = {.beta = 0.2,
                                           .reverse = reverse,
                                           .smoothing = 0.1,
                                           .simpo_gamma = 0.5,
                                           .tdpo_alpha = 0.5,
                                           .reference = give_reference,
                                           .reference_ctx = &w};
            assert_true(preference_parse(names[k], &o.loss));
            check(&w, &(struct spec){.preference = &o}, names[k]);
        }
    free_world(&w);
}

static void distillation(void **state) {
    (void)state;
    struct world w;
    make_world(&w);
    struct distill_options adaptive = {
        .divergence = {DIVERGENCE_FKL, 0}, .weight = DISTILL_UNIFORM, .normalise = DISTILL_TOKEN};
    struct distill_options published = {.divergence = {DIVERGENCE_RKL, 0},
                                        .weight = DISTILL_INVERSE_ALPHA,
                                        .normalise = DISTILL_SEQUENCE,
                                        .reward_beta = 0.1};
    check(&w, &(struct spec){.distill = &adaptive}, "adaptive");
    check(&w, &(struct spec){.distill = &published}, "published");
    free_world(&w);
}

static void cross_entropy(void **state) {
    (void)state;
    struct world w;
    make_world(&w);
    check(&w, &(struct spec){0}, "sft");
    free_world(&w);
}

static void start_is_ln2(void **state) { // reference = start model: the loss of h = 0
    (void)state;
    struct world w;
    make_world(&w);
    double *P = as_double(&w.policy);
    all_logprobs(&w, &w.policy, P, w.ref);
    for (size_t r = 0; r < w.batch.responses; r++) {
        struct response *y = &w.batch.response[r];
        y->ref_logp = 0;
        for (size_t i = y->first; i < y->first + y->count; i++)
            y->ref_logp += w.ref[i][w.batch.target[i]];
    }
    float *grads = calloc(w.policy.n_params, sizeof *grads);
    static const enum preference_loss losses[] = {
        PREFERENCE_DPO, PREFERENCE_CDPO, PREFERENCE_ROBUST, PREFERENCE_TDPO1, PREFERENCE_TDPO2};
    for (size_t k = 0; k < 5; k++) {
        struct preference_options o = {.loss = losses[k],
                                       .beta = 0.1,
                                       .smoothing = 0.2,
                                       .tdpo_alpha = 0.5,
                                       .reference = give_reference,
                                       .reference_ctx = &w};
        struct objective j = objective_preference_new(&o, V);
        struct fail f = {0};
        double loss = net_loss(&w, &j, grads);
        assert_true(fabs(loss - log(2)) <= 1e-5);
        assert_true(preference_check_start(&o, loss, &f));
        objective_free(&j);
    }
    free(grads);
    free(P);
    free_world(&w);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(preference),
        cmocka_unit_test(distillation),
        cmocka_unit_test(start_is_ln2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

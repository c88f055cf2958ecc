// Preference steps with a shared prompt.
#include "tests/bench/engine/bench.h"
#include "common/base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct step_bench make(const struct shape *s, struct model *m, struct objective *o,
                              size_t rows, size_t positions) {
    struct net_limits limits = {
        .rows = rows, .positions = positions, .trees_tokens = s->length, .backward = true};
    return (struct step_bench){m, net_new(m, &limits), o, optim_new(m), {0}};
}

static void unmake(struct step_bench *s) {
    net_free(s->net);
    optim_free(s->optim);
    objective_free(s->objective);
}

static double gradient_seconds(struct step_bench *s, struct batch *b) {
    s->totals = (struct step_totals){
        .rows = b->responses, .tokens = b->positions, .responses = b->responses};
    double start = bench_clock();
    step_gradient(s, b);
    return bench_clock() - start;
}

static void tell_pairs(struct report *r, const struct shape *s, const struct series *shared,
                       const struct series *apart, double pairs, double predicted) {
    char *name = xasprintf("%s: dpo step, shared prompts", s->name);
    double gain = series_ratio(apart, shared);
    char *against = xasprintf("%.3f x of %.3f x by FLOPs (aim 0.9)", gain, predicted);
    report_add(r, name, pairs / series_median(shared), "pairs/s", gain / predicted, against,
               series_spread(shared));
    free(name);
    free(against);
    name = xasprintf("%s: dpo step, separate sequences", s->name);
    report_add(r, name, pairs / series_median(apart), "pairs/s", NAN, "", series_spread(apart));
    free(name);
}

void bench_pairs(struct report *r, const struct shape *s) {
    struct preference_options p = {.loss = PREFERENCE_DPO, .beta = 0.1};
    struct model m;
    struct batch shared = {0}, apart = {0};
    struct series time_shared = {0}, time_apart = {0};
    size_t pairs = s->tokens / s->length, rounds = bench_rounds();
    shape_model(s, &m);
    shape_pairs(s, &shared, pairs, true);
    shape_pairs(s, &apart, pairs, false);
    struct objective dpo = objective_preference_new(&p, m.config.vocab_used);
    struct step_bench step = make(s, &m, &dpo, apart.n, apart.positions);
    gradient_seconds(&step, &shared);
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        time_shared.at[i] = gradient_seconds(&step, &shared);
        time_apart.at[i] = gradient_seconds(&step, &apart);
    }
    time_shared.n = time_apart.n = rounds;
    report_section(r, before);
    tell_pairs(r, s, &time_shared, &time_apart, (double)pairs,
               replay_flops(&m, &apart, true) / replay_flops(&m, &shared, true));
    unmake(&step);
    batch_release(&shared);
    batch_release(&apart);
    model_release(&m);
}

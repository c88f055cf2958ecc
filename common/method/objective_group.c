#include "common/method/objective_group.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/base/stats.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <stdlib.h>

enum { LOSS, KL, CLIPPED, TALLIES };

struct group {
    struct group_options o;
    size_t V;
    struct step_totals totals;
    struct tally tally[TALLIES];
};

struct rows { // logits (count,V) of positions first ..
    struct group *g;
    const struct batch *b;
    size_t first;
    float *logits;
};

void group_advantages(const double *score, size_t n, double *advantage) {
    double mean = stats_mean(score, n), deviation = stats_deviation(score, n);
    for (size_t i = 0; i < n; i++)
        advantage[i] = deviation > 0 ? (score[i] - mean) / (deviation + 1e-4) : 0;
}

static void begin_step(void *self, const struct step_totals *t) {
    ((struct group *)self)->totals = *t;
}

static void begin(void *self, const struct batch *b) {
    struct group *g = self;
    for (int k = 0; k < TALLIES; k++) tally_begin(&g->tally[k], b->positions);
}

// The loss of one position and its derivative with respect to log p of the target.
static double position_loss(struct group *g, const struct batch *b, size_t at, double logp,
                            double *slope) {
    double A = (double)b->weight[at], old = (double)b->behaviour[at];
    double rho = isnan(old) ? 1 : exp(logp - old), c = g->o.clip;
    double bounded = rho < 1 - c ? 1 - c : rho > 1 + c ? 1 + c : rho;
    bool free_to_move = rho * A <= bounded * A;
    double d = (double)b->reference[at] - logp, kl = exp(d) - d - 1;
    g->tally[KL].value[at] = kl;
    g->tally[CLIPPED].value[at] = !free_to_move;
    *slope = (free_to_move ? -rho * A : 0) + g->o.kl * (1 - exp(d));
    return -(free_to_move ? rho : bounded) * A + g->o.kl * kl;
}

static void backward_row(void *self, size_t i) {
    struct rows *r = self;
    struct group *g = r->g;
    size_t at = r->first + i;
    float *z = r->logits + i * g->V;
    double lse = row_lse(z, g->V), logp = (double)z[r->b->target[at]] - lse, slope;
    double share = distill_share(g->o.normalise, &g->totals, r->b, at);
    g->tally[LOSS].value[at] = share * position_loss(g, r->b, at, logp, &slope);
    if (g->o.record) g->o.record(g->o.record_ctx, r->b, at, logp);
    row_softmax_known(z, g->V, lse, -share * slope);
    z[r->b->target[at]] += (float)(share * slope);
}

static void backward(void *self, const struct batch *b, size_t first, size_t count, float *logits) {
    struct rows r = {self, b, first, logits};
    parallel_for(count, backward_row, &r);
}

static double end_step(void *self, struct metrics *m) {
    struct group *g = self;
    double sum[TALLIES], tokens = (double)g->totals.tokens;
    tallies_end(g->tally, TALLIES, sum);
    metrics_value(m, "score", g->o.numbers->score);
    metrics_value(m, "score_deviation", g->o.numbers->deviation);
    metrics_value(m, "idle_groups", g->o.numbers->idle);
    metrics_value(m, "response_length", g->o.numbers->length);
    metrics_value(m, "kl_ref", sum[KL] / tokens * g->o.numbers->length);
    metrics_value(m, "clipped", sum[CLIPPED] / tokens);
    return sum[LOSS];
}

static void release(void *self) {
    struct group *g = self;
    for (int k = 0; k < TALLIES; k++) tally_release(&g->tally[k]);
    free(g);
}

struct objective objective_group_new(const struct group_options *o, size_t vocab) {
    struct group *g = xcalloc(1, sizeof *g);
    g->o = *o;
    g->V = vocab;
    return (struct objective){.self = g,
                              .vocab = vocab,
                              .begin_step = begin_step,
                              .begin = begin,
                              .backward = backward,
                              .end_step = end_step,
                              .release = release};
}

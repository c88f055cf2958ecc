#include "common/base/mem.h"
#include "common/method/objective.h"
#include "common/base/parallel.h"
#include "common/base/ranks.h"
#include "common/engine/net.h"
#include "common/engine/rowmath.h"
#include "common/base/stats.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOSS,
    DIVERGENCE,
    TAIL,
    ALPHA,
    TVD,
    REWARD, // from here on where watched only
    KL_BASE,
    KL_DPO,
    KL_REF,
    ENTROPY,
    OUTSIDE,
    TALLIES
};

struct distill {
    struct distill_options o;
    size_t V;
    struct step_totals totals;
    struct tally tally[TALLIES];
    size_t seen, seen_capacity; // positions of the step so far, with their alpha and TVD
    double *alpha, *tvd;
    size_t logp_capacity, info_capacity; // online teachers
    float *logp;                         // (count,V)
    struct teacher_position *info;       // (count)
    size_t own_capacity, most;           // cached teachers
    float *own; // (threads, 2 most), most: entries of the chunk's largest support
    size_t copy_capacity, watch_capacity;
    float *copy;                   // (count,V) logits, where two terms want them
    struct policy_position *watch; // (count)
};

struct rows { // logits (count,V) of positions first ..
    struct distill *d;
    const struct batch *b;
    size_t first;
    float *logits;
};

static bool diverges(const struct distill *d) {
    return d->o.level == REWARD_DISTRIBUTION;
}

// logits z (V) -> dlogits of the divergence.
static void diverge(struct distill *d, const struct rows *c, size_t i, float *z) {
    size_t at = c->first + i;
    const struct teacher_position *t = d->o.teacher ? &d->info[i] : &c->b->teacher[at];
    double alpha = (double)t->alpha, tail = 0, value,
           weight = distill_share(d->o.normalise, &d->totals, c->b, at);
    if (d->o.weight == DISTILL_INVERSE_ALPHA) {
        assert(alpha > 0);
        weight *= d->o.reward_beta / alpha;
    }
    if (d->o.teacher)
        value = divergence_dense(&d->o.divergence, z, d->V, d->logp + i * d->V, weight);
    else
        value = divergence_sparse(&d->o.divergence, z, d->V, t, weight,
                                  d->own + (size_t)parallel_self() * 2 * d->most, &tail);
    d->tally[LOSS].value[at] = weight * value;
    d->tally[DIVERGENCE].value[at] = value;
    d->tally[TAIL].value[at] = tail;
    d->tally[ALPHA].value[at] = alpha;
    d->tally[TVD].value[at] = (double)t->tvd;
}

// logits z (V) -> dlogits of -A log p(y), A the position's weight.
static void score(struct distill *d, const struct rows *c, size_t i, float *z) {
    size_t at = c->first + i, y = (size_t)c->b->target[at];
    double weight = distill_share(d->o.normalise, &d->totals, c->b, at) * (double)c->b->weight[at];
    double lse = row_lse(z, d->V);
    d->tally[LOSS].value[at] -= weight * ((double)z[y] - lse);
    row_softmax_known(z, d->V, lse, weight);
    z[y] -= (float)weight;
}

static void backward_row(void *self, size_t i) {
    struct rows *c = self;
    struct distill *d = c->d;
    float *z = c->logits + i * d->V;
    if (!diverges(d)) {
        score(d, c, i, z);
        return;
    }
    if (!d->o.exact) {
        diverge(d, c, i, z);
        return;
    }
    float *copy = d->copy + i * d->V;
    memcpy(copy, z, d->V * sizeof *copy);
    diverge(d, c, i, z);
    score(d, c, i, copy);
    for (size_t v = 0; v < d->V; v++) z[v] += copy[v];
}

static void distill_begin_step(void *self, const struct step_totals *t) {
    struct distill *d = self;
    d->totals = *t;
    d->seen = 0;
}

// Alpha and TVD of the micro-batch that ends, for the quantiles of the step.
static void keep_seen(struct distill *d) {
    size_t n = d->tally[ALPHA].n, need = d->seen + n;
    if (!n) return;
    if (need > d->seen_capacity) {
        d->seen_capacity = need + need / 2;
        d->alpha = xrealloc(d->alpha, d->seen_capacity * sizeof *d->alpha);
        d->tvd = xrealloc(d->tvd, d->seen_capacity * sizeof *d->tvd);
    }
    memcpy(d->alpha + d->seen, d->tally[ALPHA].value, n * sizeof *d->alpha);
    memcpy(d->tvd + d->seen, d->tally[TVD].value, n * sizeof *d->tvd);
    d->seen = need;
}

static void distill_begin(void *self, const struct batch *b) {
    struct distill *d = self;
    keep_seen(d);
    for (int k = 0; k < TALLIES; k++) tally_begin(&d->tally[k], b->positions);
}

static bool watched(const struct distill *d) { // the current step
    return d->o.watch && (!d->o.watch_every || d->totals.step % d->o.watch_every == 0);
}

static void watch(struct distill *d, const struct batch *b, size_t first, size_t count,
                  const float *logits) {
    bool dense = d->o.teacher && diverges(d);
    grow(&d->watch, &d->watch_capacity, count, sizeof *d->watch);
    d->o.watch(d->o.teacher_ctx, b, first, count, logits, dense ? d->logp : NULL,
               dense ? d->info : NULL, d->watch);
    for (size_t i = 0; i < count; i++) {
        const struct policy_position *p = &d->watch[i];
        size_t at = first + i;
        d->tally[REWARD].value[at] = p->reward;
        d->tally[KL_BASE].value[at] = p->kl_base;
        d->tally[KL_DPO].value[at] = p->kl_dpo;
        d->tally[KL_REF].value[at] = p->kl_ref;
        d->tally[ENTROPY].value[at] = p->entropy;
        d->tally[OUTSIDE].value[at] = p->outside;
        if (diverges(d)) continue; // else these are not known from the divergence
        d->tally[DIVERGENCE].value[at] = p->kl_star;
        d->tally[ALPHA].value[at] = p->alpha;
        d->tally[TVD].value[at] = p->tvd;
    }
}

static void make_room(struct distill *d, const struct batch *b, size_t first, size_t count) {
    d->most = 0;
    for (size_t i = first; i < first + count; i++)
        if (b->teacher[i].n > d->most) d->most = b->teacher[i].n;
    grow(&d->own, &d->own_capacity, (size_t)parallel_threads() * 2 * d->most, sizeof *d->own);
}

static void distill_backward(void *self, const struct batch *b, size_t first, size_t count,
                             float *logits) {
    struct distill *d = self;
    struct rows c = {d, b, first, logits};
    if (d->o.teacher && diverges(d)) {
        grow(&d->logp, &d->logp_capacity, count * d->V, sizeof *d->logp);
        grow(&d->info, &d->info_capacity, count, sizeof *d->info);
        d->o.teacher(d->o.teacher_ctx, b, first, count, d->logp, d->info);
    }
    if (!d->o.teacher && diverges(d)) make_room(d, b, first, count);
    if (watched(d)) watch(d, b, first, count, logits);
    if (d->o.exact) grow(&d->copy, &d->copy_capacity, count * d->V, sizeof *d->copy);
    parallel_for(count, backward_row, &c);
}

// Of all ranks' positions; rank 0 is told.
static void name_quantiles(struct metrics *m, const char *const names[3], const double *own,
                           size_t n) {
    static const double at[3] = {0.1, 0.5, 0.9};
    void *all;
    size_t count = ranks_collect(own, n * sizeof *own, &all) / sizeof *own;
    if (all) stats_sort(all, count);
    for (int k = 0; all && k < 3; k++)
        metrics_value(m, names[k], stats_quantile(all, count, at[k]));
    free(all);
}

// Of whole responses: nats, or expected reward, a response.
static void name_watched(const struct distill *d, struct metrics *m, const double *sum) {
    double responses = (double)d->totals.responses, tokens = (double)d->totals.tokens;
    double beta = d->o.reward_beta > 0 ? d->o.reward_beta : 1;
    metrics_value(m, "reward", beta * sum[REWARD] / responses);
    metrics_value(m, "kl_base", sum[KL_BASE] / responses);
    metrics_value(m, "kl_dpo", sum[KL_DPO] / responses);
    metrics_value(m, "kl_ref", sum[KL_REF] / responses);
    metrics_value(m, "entropy", sum[ENTROPY] / tokens);
    metrics_value(m, "outside_top64", sum[OUTSIDE] / tokens);
}

static double distill_end_step(void *self, struct metrics *m) {
    static const char *const alphas[] = {"alpha_p10", "alpha_p50", "alpha_p90"};
    static const char *const tvds[] = {"tvd_p10", "tvd_p50", "tvd_p90"};
    struct distill *d = self;
    keep_seen(d);
    double sum[TALLIES], tokens = (double)d->totals.tokens;
    tallies_end(d->tally, TALLIES, sum);
    metrics_value(m, "kl", sum[DIVERGENCE] / tokens); // the divergence, unweighted, a token
    metrics_value(m, "student_tail", sum[TAIL] / tokens);
    metrics_value(m, "alpha", sum[ALPHA] / tokens);
    name_quantiles(m, alphas, d->alpha, d->seen);
    metrics_value(m, "tvd", sum[TVD] / tokens);
    name_quantiles(m, tvds, d->tvd, d->seen);
    double responses = (double)d->totals.responses;
    metrics_value(m, "response_length", tokens / responses);
    if (watched(d)) name_watched(d, m, sum);
    if (d->o.numbers)
        *d->o.numbers = (struct distill_numbers){.tail = sum[TAIL] / tokens,
                                                 .length = tokens / responses,
                                                 .kl_base = sum[KL_BASE] / responses,
                                                 .kl_ref = sum[KL_REF] / responses,
                                                 .outside = sum[OUTSIDE] / tokens};
    return sum[LOSS];
}

static void distill_release(void *self) {
    struct distill *d = self;
    for (int k = 0; k < TALLIES; k++) tally_release(&d->tally[k]);
    free(d->alpha);
    free(d->tvd);
    free(d->logp);
    free(d->info);
    free(d->own);
    free(d->copy);
    free(d->watch);
    free(d);
}

struct objective objective_distill_new(const struct distill_options *o, size_t vocab) {
    assert(o->divergence.kind != DIVERGENCE_JSD ||
           (o->divergence.lambda > 0 && o->divergence.lambda < 1));
    struct distill *d = xcalloc(1, sizeof *d);
    d->o = *o;
    d->V = vocab;
    size_t chunks = (o->teacher && diverges(d)) + o->exact; // logp, copy
    return (struct objective){.self = d,
                              .vocab = vocab,
                              .bytes = chunks * CHUNK_POSITIONS * vocab * sizeof(float),
                              .begin_step = distill_begin_step,
                              .begin = distill_begin,
                              .backward = distill_backward,
                              .end_step = distill_end_step,
                              .release = distill_release};
}

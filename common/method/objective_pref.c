#include "common/base/mem.h"
#include "common/method/objective.h"
#include "common/base/parallel.h"
#include "common/engine/net.h"
#include "common/engine/rowmath.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS, REWARD_CHOSEN, REWARD_REJECTED, ACCURACY, LOGP_CHOSEN, LOGP_REJECTED, TALLIES };

struct preference {
    struct preference_options o;
    size_t V;
    double scale; // 1 / pairs of the step
    struct tally tally[TALLIES];
    size_t capacity;          // (positions) of the three below
    double *logp, *lse, *kl;  // of the target; of the row; KL(p_ref || p) of the row
    size_t response_capacity; // (responses) of the two below
    double *d_logp, *d_kl;    // derivatives of the step's loss
    size_t ref_capacity;      // of ref_logp (count,V), tdpo
    float *ref_logp;
};

static void pref_begin_step(void *self, const struct step_totals *t) {
    struct preference *p = self;
    p->scale = t->rows ? 1 / (double)t->rows : 0;
}

static void regrow(double **x, size_t n) {
    *x = xrealloc(*x, n * sizeof **x);
}

static void pref_begin(void *self, const struct batch *b) {
    struct preference *p = self;
    assert(b->responses % 2 == 0);
    for (int k = 0; k < TALLIES; k++) tally_begin(&p->tally[k], b->responses / 2);
    if (b->positions > p->capacity) {
        p->capacity = b->positions + b->positions / 2;
        regrow(&p->logp, p->capacity);
        regrow(&p->lse, p->capacity);
        regrow(&p->kl, p->capacity);
    }
    if (b->responses > p->response_capacity) {
        p->response_capacity = b->responses + b->responses / 2;
        regrow(&p->d_logp, p->response_capacity);
        regrow(&p->d_kl, p->response_capacity);
    }
}

struct rows { // logits (count,V) of positions first ..
    struct preference *p;
    const struct batch *b;
    size_t first;
    const float *read, *ref; // ref: NULL or (count,V)
    float *logits;
};

static const float *ask_reference(struct preference *p, const struct batch *b, size_t first,
                                  size_t count) {
    if (!preference_needs_distribution(p->o.loss)) return NULL;
    grow(&p->ref_logp, &p->ref_capacity, count * p->V, sizeof *p->ref_logp);
    p->o.reference(p->o.reference_ctx, b, first, count, p->ref_logp);
    return p->ref_logp;
}

static void first_pass_row(void *self, size_t i) {
    struct rows *c = self;
    size_t V = c->p->V, at = c->first + i;
    const float *z = c->read + i * V;
    if (preference_is_scored(c->p->o.loss)) {
        c->p->logp[at] = z[0];
        c->p->kl[at] = 0;
        return;
    }
    double lse = row_lse(z, V);
    c->p->lse[at] = lse;
    c->p->logp[at] = (double)z[c->b->target[at]] - lse;
    c->p->kl[at] = c->ref ? divergence_kl(c->ref + i * V, z, V, lse) : 0;
}

static void pref_first_pass(void *self, const struct batch *b, size_t first, size_t count,
                            const float *logits) {
    struct preference *p = self;
    struct rows c = {p, b, first, logits, ask_reference(p, b, first, count), NULL};
    parallel_for(count, first_pass_row, &c);
}

static double response_sum(const struct response *r, const double *x) {
    double sum = 0;
    for (size_t i = r->first; i < r->first + r->count; i++) sum += x[i];
    return sum;
}

// The same text on both sides: whatever the model, h = 0. Its gradient is exactly 0, which the sum
// of two equal ones with rounding would not be.
static bool is_equal(const struct preference *p, const struct batch *b, const struct response *r) {
    return !preference_is_scored(p->o.loss) && r[0].count == r[1].count &&
           !memcmp(b->target + r[0].first, b->target + r[1].first, r[0].count * sizeof *b->target);
}

static void one_pair(struct preference *p, const struct batch *b, size_t pair) {
    const struct response *r = b->response + 2 * pair;
    assert(r[0].row == r[1].row && r[0].role != r[1].role);
    size_t win = (r[0].role == RESPONSE_REJECTED) ^ p->o.reverse;
    struct preference_terms t;
    for (size_t k = 0; k < 2; k++) {
        const struct response *y = &r[k ^ win];
        t.logp[k] = response_sum(y, p->logp);
        t.kl[k] = response_sum(y, p->kl);
        t.ref[k] = y->ref_logp;
        t.length[k] = y->count;
    }
    struct preference_result out = preference_pair(&p->o, &t);
    double scale = is_equal(p, b, r) ? 0 : p->scale;
    for (size_t k = 0; k < 2; k++) {
        p->d_logp[2 * pair + (k ^ win)] = scale * out.d_logp[k];
        p->d_kl[2 * pair + (k ^ win)] = scale * out.d_kl[k];
    }
    p->tally[LOSS].value[pair] = out.loss;
    p->tally[REWARD_CHOSEN].value[pair] = out.reward[0];
    p->tally[REWARD_REJECTED].value[pair] = out.reward[1];
    p->tally[ACCURACY].value[pair] = out.reward[0] > out.reward[1];
    p->tally[LOGP_CHOSEN].value[pair] = t.logp[0];
    p->tally[LOGP_REJECTED].value[pair] = t.logp[1];
}

static void pref_between_passes(void *self, const struct batch *b) {
    struct preference *p = self;
    for (size_t i = 0; i < b->responses / 2; i++) one_pair(p, b, i);
}

// d(loss)/dz = d_logp (onehot - p) + d_kl (p - p_ref)
static void backward_row(void *self, size_t i) {
    struct rows *c = self;
    size_t V = c->p->V, at = c->first + i, y = c->b->owner[at];
    float *z = c->logits + i * V, part[ROW_BLOCK];
    double d = c->p->d_logp[y], k = c->p->d_kl[y];
    if (preference_is_scored(c->p->o.loss)) {
        z[0] = (float)d;
        return;
    }
    row_softmax_known(z, V, c->p->lse[at], k - d);
    z[c->b->target[at]] += (float)d;
    for (size_t v = 0; v < V && c->ref && k != 0; v += ROW_BLOCK) {
        size_t n = V - v < ROW_BLOCK ? V - v : ROW_BLOCK;
        row_exp(part, c->ref + i * V + v, n, 0);
        for (size_t j = 0; j < n; j++) z[v + j] -= (float)k * part[j];
    }
}

static void pref_backward(void *self, const struct batch *b, size_t first, size_t count,
                          float *logits) {
    struct preference *p = self;
    struct rows c = {p, b, first, NULL, ask_reference(p, b, first, count), logits};
    parallel_for(count, backward_row, &c);
}

static double pref_end_step(void *self, struct metrics *m) {
    struct preference *p = self;
    double mean[TALLIES];
    tallies_end(p->tally, TALLIES, mean);
    for (int k = 0; k < TALLIES; k++) mean[k] *= p->scale;
    metrics_value(m, "reward_chosen", mean[REWARD_CHOSEN]);
    metrics_value(m, "reward_rejected", mean[REWARD_REJECTED]);
    metrics_value(m, "reward_accuracy", mean[ACCURACY]);
    metrics_value(m, "reward_margin", mean[REWARD_CHOSEN] - mean[REWARD_REJECTED]);
    if (preference_is_scored(p->o.loss)) return mean[LOSS];
    metrics_value(m, "logp_chosen", mean[LOGP_CHOSEN]);
    metrics_value(m, "logp_rejected", mean[LOGP_REJECTED]);
    return mean[LOSS];
}

static void pref_release(void *self) {
    struct preference *p = self;
    for (int k = 0; k < TALLIES; k++) tally_release(&p->tally[k]);
    free(p->logp);
    free(p->lse);
    free(p->kl);
    free(p->d_logp);
    free(p->d_kl);
    free(p->ref_logp);
    free(p);
}

struct objective objective_preference_new(const struct preference_options *o, size_t vocab) {
    assert(!preference_needs_distribution(o->loss) || o->reference);
    assert(preference_is_scored(o->loss) == (vocab == 1));
    struct preference *p = xcalloc(1, sizeof *p);
    p->o = *o;
    p->V = vocab;
    return (struct objective){.self = p,
                              .vocab = vocab,
                              .bytes = preference_needs_distribution(o->loss)
                                           ? CHUNK_POSITIONS * vocab * sizeof *p->ref_logp
                                           : 0,
                              .begin_step = pref_begin_step,
                              .begin = pref_begin,
                              .first_pass = pref_first_pass,
                              .between_passes = pref_between_passes,
                              .backward = pref_backward,
                              .end_step = pref_end_step,
                              .release = pref_release};
}

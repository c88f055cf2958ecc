#include "common/base/mem.h"
#include "common/method/objective.h"
#include "common/base/parallel.h"
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

bool preference_parse(const char *name, enum preference_loss *loss) {
    static const char *const names[] = {"dpo",   "cdpo",  "robust", "ipo",
                                        "hinge", "simpo", "tdpo1",  "tdpo2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i])) continue;
        *loss = (enum preference_loss)i;
        return true;
    }
    return false;
}

bool preference_needs_reference(enum preference_loss loss) {
    return loss != PREFERENCE_SIMPO;
}

bool preference_needs_distribution(enum preference_loss loss) {
    return loss == PREFERENCE_TDPO1 || loss == PREFERENCE_TDPO2;
}

static double log_sigmoid(double u) {
    return u < 0 ? u - log1p(exp(u)) : -log1p(exp(-u));
}
static double sigmoid(double u) {
    return u < 0 ? exp(u) / (1 + exp(u)) : 1 / (1 + exp(-u));
}

// The value that the loss is a function of, and how it depends on both responses.
static double contrast(const struct preference_options *o, const struct preference_terms *t,
                       struct preference_result *r) {
    bool mean = o->loss == PREFERENCE_SIMPO || (o->loss == PREFERENCE_IPO && !o->ipo_sum);
    double h = 0;
    for (int k = 0; k < 2; k++) {
        double ref = preference_needs_reference(o->loss) ? t->ref[k] : 0;
        double share = mean ? 1 / fmax(1, (double)t->length[k]) : 1, sign = k ? -1 : 1,
               d = t->logp[k] - ref;
        h += sign * share * d;
        r->d_logp[k] = sign * share;
        r->reward[k] = o->beta * d * (o->loss == PREFERENCE_SIMPO ? share : 1);
    }
    if (!preference_needs_distribution(o->loss)) return h;
    bool first = o->loss == PREFERENCE_TDPO1;
    double a = first ? 1 : o->tdpo_alpha;
    for (int k = 0; k < 2; k++) r->reward[k] += o->beta * t->kl[k];
    r->d_kl[0] = first ? 1 : 0; // tdpo2 stops the gradient of D_w
    r->d_kl[1] = -a;
    return h - a * (t->kl[1] - t->kl[0]);
}

// loss of the contrast h; *d its derivative
static double loss_of(const struct preference_options *o, double h, double *d) {
    double b = o->beta, e = o->smoothing, u = b * h;
    switch (o->loss) {
    case PREFERENCE_CDPO:
        *d = b * (-(1 - e) * sigmoid(-u) + e * sigmoid(u));
        return -(1 - e) * log_sigmoid(u) - e * log_sigmoid(-u);
    case PREFERENCE_ROBUST:
        *d = b * (-(1 - e) * sigmoid(-u) - e * sigmoid(u)) / (1 - 2 * e);
        return (-(1 - e) * log_sigmoid(u) + e * log_sigmoid(-u)) / (1 - 2 * e);
    case PREFERENCE_IPO: {
        double off = h - 1 / (2 * b);
        *d = 2 * off;
        return off * off;
    }
    case PREFERENCE_HINGE:
        *d = u < 1 ? -b : 0;
        return u < 1 ? 1 - u : 0;
    case PREFERENCE_SIMPO:
        u -= o->simpo_gamma;
        break;
    default:
        break;
    }
    *d = -b * sigmoid(-u);
    return -log_sigmoid(u);
}

struct preference_result preference_pair(const struct preference_options *o,
                                         const struct preference_terms *t) {
    struct preference_result r = {0};
    double d, h = contrast(o, t, &r);
    r.loss = loss_of(o, h, &d);
    for (int k = 0; k < 2; k++) {
        r.d_logp[k] *= d;
        r.d_kl[k] *= d;
    }
    return r;
}

bool preference_check_start(const struct preference_options *o, double loss, struct fail *f) {
    if (o->loss == PREFERENCE_IPO || o->loss == PREFERENCE_HINGE || o->loss == PREFERENCE_SIMPO)
        return true;
    double unused, expected = loss_of(o, 0, &unused);
    if (fabs(loss - expected) <= 1e-5) return true;
    return fail_set(f, EXIT_FAILED,
                    "the first step's loss is %.7f instead of %.7f although the reference is the "
                    "start model; its log-probabilities are not those of '--ref': remake them",
                    loss, expected);
}

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

static void look_row(void *self, size_t i) {
    struct rows *c = self;
    size_t V = c->p->V, at = c->first + i;
    const float *z = c->read + i * V;
    double lse = row_lse(z, V);
    c->p->lse[at] = lse;
    c->p->logp[at] = (double)z[c->b->target[at]] - lse;
    c->p->kl[at] = c->ref ? divergence_kl(c->ref + i * V, z, V, lse) : 0;
}

static void pref_look(void *self, const struct batch *b, size_t first, size_t count,
                      const float *logits) {
    struct preference *p = self;
    struct rows c = {p, b, first, logits, ask_reference(p, b, first, count), NULL};
    parallel_for(count, look_row, &c);
}

static double response_sum(const struct response *r, const double *x) {
    double sum = 0;
    for (size_t i = r->first; i < r->first + r->count; i++) sum += x[i];
    return sum;
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
    for (size_t k = 0; k < 2; k++) {
        p->d_logp[2 * pair + (k ^ win)] = p->scale * out.d_logp[k];
        p->d_kl[2 * pair + (k ^ win)] = p->scale * out.d_kl[k];
    }
    p->tally[LOSS].value[pair] = out.loss;
    p->tally[REWARD_CHOSEN].value[pair] = out.reward[0];
    p->tally[REWARD_REJECTED].value[pair] = out.reward[1];
    p->tally[ACCURACY].value[pair] = out.reward[0] > out.reward[1];
    p->tally[LOGP_CHOSEN].value[pair] = t.logp[0];
    p->tally[LOGP_REJECTED].value[pair] = t.logp[1];
}

static void pref_between(void *self, const struct batch *b) {
    struct preference *p = self;
    for (size_t i = 0; i < b->responses / 2; i++) one_pair(p, b, i);
}

// d(loss)/dz = d_logp (onehot - p) + d_kl (p - p_ref)
static void grad_row(void *self, size_t i) {
    struct rows *c = self;
    size_t V = c->p->V, at = c->first + i, y = c->b->owner[at];
    float *z = c->logits + i * V, part[ROW_BLOCK];
    double d = c->p->d_logp[y], k = c->p->d_kl[y];
    row_softmax_known(z, V, c->p->lse[at], k - d);
    z[c->b->target[at]] += (float)d;
    for (size_t v = 0; v < V && c->ref && k != 0; v += ROW_BLOCK) {
        size_t n = V - v < ROW_BLOCK ? V - v : ROW_BLOCK;
        row_exp(part, c->ref + i * V + v, n, 0);
        for (size_t j = 0; j < n; j++) z[v + j] -= (float)k * part[j];
    }
}

static void pref_grad(void *self, const struct batch *b, size_t first, size_t count,
                      float *logits) {
    struct preference *p = self;
    struct rows c = {p, b, first, NULL, ask_reference(p, b, first, count), logits};
    parallel_for(count, grad_row, &c);
}

static double pref_end_step(void *self, struct metrics *m) {
    struct preference *p = self;
    double mean[TALLIES];
    for (int k = 0; k < TALLIES; k++) mean[k] = tally_end(&p->tally[k]) * p->scale;
    metrics_value(m, "reward_chosen", mean[REWARD_CHOSEN]);
    metrics_value(m, "reward_rejected", mean[REWARD_REJECTED]);
    metrics_value(m, "reward_accuracy", mean[ACCURACY]);
    metrics_value(m, "reward_margin", mean[REWARD_CHOSEN] - mean[REWARD_REJECTED]);
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
    struct preference *p = xcalloc(1, sizeof *p);
    p->o = *o;
    p->V = vocab;
    return (struct objective){.self = p,
                              .vocab = vocab,
                              .begin_step = pref_begin_step,
                              .begin = pref_begin,
                              .look = pref_look,
                              .between = pref_between,
                              .grad = pref_grad,
                              .end_step = pref_end_step,
                              .release = pref_release};
}

#include "common/method/policy.h"
#include "common/base/mem.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <stdlib.h>

enum { TOP = 64 };

// ---- one position ----

struct normal { // logits and the logarithm of their sum
    const float *z;
    float lse;
};

static struct normal normal(const float *z, size_t V) {
    return (struct normal){z, z ? (float)row_lse(z, V) : 0};
}

// out (n) = log-probabilities from `at` on
static void load_logp(const struct normal *x, size_t at, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = x->z[at + i] - x->lse;
}

struct position_logits { // all of them normalised
    struct normal student, dpo, negative, base, ref;
    float least; // of the base's logits that count as plausible
};

// log p_dpo - log p_neg of a token, as the teacher has it: 0 of padding
static float difference(const struct position_logits *p, size_t v) {
    float d = (p->dpo.z[v] - p->dpo.lse) - (p->negative.z[v] - p->negative.lse);
    return isfinite(d) ? d : 0;
}

static bool plausible(const struct position_logits *p, size_t v) {
    return p->base.z[v] >= p->least;
}

// sum of p (l - m) over a block, where p is more than 0: padding has logarithms of -INFINITY
static double excess(const float *p, const float *l, const float *m, size_t n) {
    float term[ROW_BLOCK];
    for (size_t i = 0; i < n; i++) {
        float d = l[i] - m[i];
        term[i] = p[i] > 0 ? p[i] * d : 0;
    }
    return row_sum(term, n);
}

static void add_block(const struct position_logits *w, const float *star, size_t at, size_t n,
                      struct policy_position *out) {
    float p[ROW_BLOCK], l[ROW_BLOCK], m[ROW_BLOCK], zero[ROW_BLOCK] = {0};
    load_logp(&w->student, at, n, l);
    row_exp(p, l, n, 0);
    out->entropy -= excess(p, l, zero, n);
    load_logp(&w->dpo, at, n, m);
    out->kl_dpo += excess(p, l, m, n);
    load_logp(&w->base, at, n, m);
    out->kl_base += excess(p, l, m, n);
    if (w->ref.z) {
        load_logp(&w->ref, at, n, m);
        out->kl_ref += excess(p, l, m, n);
    }
    load_logp(&(struct normal){star, 0}, at, n, m);
    out->kl_star += excess(p, l, m, n);
    for (size_t i = 0; i < n; i++) m[i] = difference(w, at + i);
    out->reward += excess(p, m, zero, n);
    for (size_t i = 0; i < n; i++) m[i] = plausible(w, at + i) ? m[i] : 0;
    out->gain += excess(p, m, zero, n);
}

double policy_moved(const float *base, const float *star, size_t V) {
    struct teacher_entry top[TOP];
    if (V <= TOP) return 0;
    double moved = 0, lse = row_lse(base, V);
    size_t n = teacher_top(base, V, TOP, top);
    for (size_t i = 0; i < n; i++)
        moved += exp((double)top[i].logp - lse) - exp((double)star[top[i].id]);
    return moved;
}

void policy_measure(const struct teacher_rule *rule, const struct policy_logits *z, int32_t token,
                    struct policy_position *out) {
    struct position_logits w = {normal(z->student, z->V),  normal(z->dpo, z->V),
                                normal(z->negative, z->V), normal(z->base, z->V),
                                normal(z->ref, z->V),      -INFINITY};
    if (rule->plausible > 0)
        w.least = (float)((double)row_max(z->base, z->V) + log(rule->plausible));
    *out = (struct policy_position){.alpha = out->alpha, .tvd = out->tvd};
    for (size_t at = 0; at < z->V; at += ROW_BLOCK)
        add_block(&w, z->star, at, z->V - at < ROW_BLOCK ? z->V - at : ROW_BLOCK, out);
    size_t y = (size_t)token;
    float logp, base;
    load_logp(&w.student, y, 1, &logp);
    load_logp(&w.base, y, 1, &base);
    out->logp = (double)logp;
    out->token =
        (plausible(&w, y) ? out->alpha * (double)difference(&w, y) : 0) - (double)(logp - base);
    out->outside = policy_moved(z->base, z->star, z->V);
}

// ---- the step ----

static double scale(const struct policy_step *s, const struct policy_position *p) {
    return s->inverse_alpha ? s->reward_beta / p->alpha : 1;
}

static double token_value(const struct policy_step *s, size_t at) {
    return scale(s, &s->position[at]) * s->position[at].token;
}

static void token_weights(const struct policy_step *s, float *weight) {
    size_t n = s->first[s->responses];
    double sum = 0;
    for (size_t at = 0; at < n; at++) sum += token_value(s, at);
    for (size_t at = 0; at < n; at++) weight[at] = (float)(token_value(s, at) - sum / (double)n);
}

// Mean of the others, given the sum of all.
static double others(const struct policy_step *s, double sum, double own) {
    return s->responses > 1 ? (sum - own) / (double)(s->responses - 1) : 0;
}

static void response_weights(const struct policy_step *s, float *weight) {
    double *whole = xcalloc(s->responses, sizeof *whole), sum = 0;
    for (size_t i = 0; i < s->responses; i++) {
        for (size_t at = s->first[i]; at < s->first[i + 1]; at++) whole[i] += token_value(s, at);
        sum += whole[i];
    }
    for (size_t i = 0; i < s->responses; i++)
        for (size_t at = s->first[i]; at < s->first[i + 1]; at++)
            weight[at] = (float)(whole[i] - others(s, sum, whole[i]));
    free(whole);
}

static size_t longest(const struct policy_step *s) {
    size_t most = 0;
    for (size_t i = 0; i < s->responses; i++)
        if (s->first[i + 1] - s->first[i] > most) most = s->first[i + 1] - s->first[i];
    return most;
}

static void exact_weights(const struct policy_step *s, float *weight) {
    double *later = xcalloc(s->first[s->responses] + 1, sizeof *later);
    double *sum = xcalloc(longest(s) + 1, sizeof *sum); // over responses, at each place
    for (size_t i = 0; i < s->responses; i++) {
        double to_go = 0;
        for (size_t at = s->first[i + 1]; at-- > s->first[i];) {
            const struct policy_position *p = &s->position[at];
            later[at] = to_go;
            sum[at - s->first[i]] += to_go;
            to_go += scale(s, p) * (p->alpha * p->gain - p->kl_base);
        }
    }
    for (size_t i = 0; i < s->responses; i++)
        for (size_t at = s->first[i]; at < s->first[i + 1]; at++)
            weight[at] = (float)(later[at] - others(s, sum[at - s->first[i]], later[at]));
    free(later);
    free(sum);
}

void policy_weights(const struct policy_step *s, float *weight) {
    if (s->level == REWARD_TOKEN)
        token_weights(s, weight);
    else if (s->level == REWARD_RESPONSE)
        response_weights(s, weight);
    else
        exact_weights(s, weight);
}

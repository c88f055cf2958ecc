// The teacher of AlignDistil (METHOD.md section 3): composition of p* from full-vocabulary logits,
// the token-adaptive alpha_t, and truncation to a support with an exact tail.
#pragma once
#include "common/engine/batch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;

enum teacher_alpha { ALPHA_FIXED, ALPHA_DAMPED, ALPHA_TVD, ALPHA_KL };

struct teacher_rule {
    bool base_dpo;         // base logits: the DPO model (else the reference)
    bool negative_reverse; // negative: the reverse DPO model (else the reference)
    enum teacher_alpha alpha;
    double strength;  // S; K, above 0, of ALPHA_KL
    double plausible; // E; 0 = off
};

struct teacher_models { // what it is composed of; NULL: not needed
    const struct model *dpo, *reverse, *ref;
};

struct teacher_cut {
    size_t top_k;        // most entries chosen by mass
    double mass;         // smallest set holding this much of p*
    int32_t eos;         // always kept (-1: none), as is the realised token
    double least;        // entries chosen by mass are at least this likely (the first one apart)
    const int32_t *must; // (n_must) always kept too
    size_t n_must;
};

// TVD_t = 1/2 sum_v |p_dpo - p_neg| from logits a, b (V).
double teacher_tvd(const float *dpo, const float *negative, size_t V);
// Not of ALPHA_KL, whose alpha does not follow from TVD_t: teacher_star finds it.
double teacher_alpha(const struct teacher_rule *rule, double tvd);
// out (V) = log p*: log softmax(base + alpha (dpo - negative)), with the plausibility rule.
// Inputs may be the same array; out may be one of them. Entries of -INFINITY (padding) stay.
void teacher_compose(const struct teacher_rule *rule, double alpha, const float *base,
                     const float *dpo, const float *negative, size_t V, float *out);
// The same for each of n alphas: out (n,V), none of the inputs.
void teacher_compose_each(const struct teacher_rule *rule, const double *alpha, size_t n,
                          const float *base, const float *dpo, const float *negative, size_t V,
                          float *out);
// All of it: out (V) = log p* with the rule's own alpha_t, which it returns; *tvd = TVD_t.
double teacher_star(const struct teacher_rule *rule, const float *base, const float *dpo,
                    const float *negative, size_t V, float *out, double *tvd);

struct teacher_composed { // log p* of a position, and the exponentials that it was made with
    float *logp;          // (V), none of the logits
    float *p;             // (V) p* times `sum`; room for (2,V)
    double sum;
    const float *next; // (V) logits that are read after it, fetched meanwhile; NULL: none
};
// The same into a row of its own.
double teacher_star_row(const struct teacher_rule *rule, const float *base, const float *dpo,
                        const float *negative, size_t V, struct teacher_composed *to, double *tvd);

struct teacher_entry {
    int32_t id;
    float logp;
};
// Entries (n), in the order of their ids, to the order of their ranks: descending, ties by id.
void teacher_rank(struct teacher_entry *entries, size_t n);
// Truncates logp (V) to entries in rank order (descending log p*, ties by id): the smallest set of
// mass `cut->mass` capped at top_k, without what is less likely than `least`; then realised, eos
// and `must` where not yet in, placed by rank, each with its own log p* however small it is.
// Returns the count (<= top_k + 2 + n_must); *log_tail = log of the exact mass outside, log 1e-30
// where that is less or there is no complement. entries needs room for top_k + 2 + n_must.
size_t teacher_truncate(const struct teacher_cut *cut, const float *logp, size_t V,
                        int32_t realised, struct teacher_entry *entries, double *log_tail);
// The k that rank first (all, where V is less). entries: (k).
size_t teacher_top(const float *logp, size_t V, size_t k, struct teacher_entry *entries);

struct teacher_rest {
    double log_tail, entropy; // of the mass outside, as above; of the whole row, nats
    float log_most;           // as teacher_most
};
// teacher_truncate of what teacher_star_row composed, and what else is kept of a row, from its own
// exponentials: those of the entries become 0.
size_t teacher_truncate_row(const struct teacher_cut *cut, struct teacher_composed *row, size_t V,
                            int32_t realised, struct teacher_entry *entries,
                            struct teacher_rest *rest);
// The same for tokens that were chosen already: ids (n), no two the same, and the two of `also`
// (-1: none). entries needs room for n + 2.
size_t teacher_take_row(const int32_t *ids, size_t n, const int32_t also[2],
                        struct teacher_composed *row, size_t V, struct teacher_entry *entries,
                        struct teacher_rest *rest);
// log of the mass of logp (V) outside ids (n, ascending); log 1e-30 where that is less.
double teacher_tail(const float *logp, size_t V, const int32_t *ids, size_t n);
// The largest of logp (V) outside entries (n, in any order); log 1e-30 where that is less or there
// is no complement.
float teacher_most(const float *logp, size_t V, struct teacher_entry *entries, size_t n);
// How many of the first of `entries` (n, in rank order) the cut takes by mass, top_k and least.
size_t teacher_enough(const struct teacher_cut *cut, const struct teacher_entry *entries, size_t n);
// -sum p log p of logp (V)
double teacher_entropy(const float *logp, size_t V);

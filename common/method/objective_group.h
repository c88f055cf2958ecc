// Group-relative policy optimisation (GRPO; Shao et al. 2024, arXiv 2402.03300) on the student's
// own samples, G of each prompt. With A the response's score standardised in its group, rho the
// ratio of the token's probability to that at sampling and d = log p_ref(y_t) - log p(y_t), a
// position's loss is
//
//   - min(rho A, clip(rho, 1 - c, 1 + c) A) + kl (exp(d) - d - 1)
//
// A is the batch's `weight`, log p at sampling its `behaviour` (NaN: the student has not moved
// since, rho = 1), log p_ref its `reference`. Only p has a gradient.
#pragma once
#include "common/method/objective.h"

struct group_numbers {       // of a step's samples, for the log; the source fills them in
    double score, deviation; // mean; mean standard deviation within a group
    double idle;             // share of groups whose scores are all equal: they teach nothing
    double length;           // tokens of a response
};
struct group_options {
    double clip, kl; // c; weight of the KL to the reference
    enum distill_normalise normalise;
    const struct group_numbers *numbers;
    // May be NULL: given log p of every target as the backward pass meets it; called in parallel,
    // once for each position.
    void (*record)(void *ctx, const struct batch *b, size_t position, double logp);
    void *record_ctx;
};
struct objective objective_group_new(const struct group_options *o, size_t vocab);

// A of a group: (score - mean) / (sample deviation + 1e-4); all 0 where the scores are equal. n
// >= 2.
void group_advantages(const double *score, size_t n, double *advantage);

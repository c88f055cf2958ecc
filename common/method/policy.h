// What training on the student's own samples needs besides a divergence (METHOD.md section 3): the
// numbers of one position under student and teachers, and the weights of the score-function term,
// which are made once the whole step is known.
//
// Values are per unit of the KL penalty b_t = b0 / alpha_t, in nats:
//   d(v)  = log p_dpo(v) - log p_neg(v), 0 for tokens that are not plausible
//   value = E_{v~p}[alpha_t d(v) - log(p(v) / p_base(v))] = log Z(s_t) - KL(p || p*)
//   token = the same of the sampled token alone
// and are multiplied by the token weight (1, or b_t = b0 / alpha_t with inverse-alpha).
#pragma once
#include "common/method/teacher.h"

enum reward_level { REWARD_DISTRIBUTION, REWARD_TOKEN, REWARD_RESPONSE };

struct policy_position {
    double alpha, tvd;
    double reward;                  // E_{v~p}[log p_dpo - log p_neg]; times b0: expected reward
    double gain;                    // E_{v~p} d(v): the same without implausible tokens
    double kl_base, kl_dpo, kl_ref; // KL(p || .); kl_ref is 0 where there is no reference
    double kl_star;                 // KL(p || p*)
    double entropy;                 // of p
    double outside;     // mass that p* has moved out of the base's 64 most likely tokens
    double logp, token; // log p(y_t); alpha_t d(y_t) - log(p(y_t) / p_base(y_t))
};

struct policy_logits { // (V) each, at one position; ref may be NULL
    const float *student, *dpo, *negative, *base, *ref;
    const float *star; // log p*
    size_t V;
};
// Mass that p* (V), log-probabilities, has moved out of the 64 most likely tokens of the base (V),
// logits.
double policy_moved(const float *base, const float *star, size_t V);
// alpha and tvd are the caller's; everything else is filled in.
void policy_measure(const struct teacher_rule *rule, const struct policy_logits *z, int32_t token,
                    struct policy_position *out);

struct policy_step {
    size_t responses;
    const size_t *first; // (responses + 1): response i has positions first[i] .. first[i+1]-1
    const struct policy_position *position;
    enum reward_level level; // distribution: the weights of --exact
    bool inverse_alpha;
    double reward_beta;
};
// weight (positions): the A of the term -A log p(y_t), constant under the gradient.
//   token         the token's own value less its mean over the step
//   response      their sum over the response, less the mean of the step's other responses
//   distribution  return to go: sum of the values of later positions, less the mean of the other
//                 responses' at the same place (0 after their end)
void policy_weights(const struct policy_step *s, float *weight);

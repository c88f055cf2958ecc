// Group-relative policy optimisation as distill runs it: a source of the training loop whose rows
// are prompts with G responses each, sampled by the student before a step (temperature 1), scored,
// and kept for K inner steps; the objective is common/method/objective_group.h. A sample's key is
// (draw * batch size + row, sample), so that it depends on seed, draw and student alone.
#pragma once
#include "common/engine/sample.h"
#include "common/method/objective_group.h"
#include "common/training/train.h"
#include "stages/shared/scorer.h"
#include "formats/tokens/tokens.h"

struct group_policy_options {
    int64_t samples, inner_steps; // G, K
    double clip, kl;
    struct scorer scorer;
};
void group_policy_rows(struct options *o, struct group_policy_options *p);
// Dies, exit 2, where one of them is given without --reward-level group.
void group_policy_refuse(const struct options *o);

struct group_policy {
    // the caller's, before group_policy_source
    const struct model *student, *reference, *dpo; // dpo: scores by its implicit reward, or NULL
    double reward_beta;                            // of dpo
    const struct tokens *prompts; // kind prompt, or sft, whose responses are left out
    int32_t eos;                  // -1: none
    uint64_t seed;
    const struct train_options *train;
    size_t max_new, slots;
    struct group_policy_options *options;
    struct group_numbers numbers;
    // internal
    struct source source;
    struct sampler sampler;
    struct decoder *decoder;
    struct net *reference_net, *dpo_net;
    struct batch batch;
    struct sample_job *jobs; // (batch size x G)
    size_t n, *place;        // jobs of the draw; place (rows): of a row in it, SIZE_MAX: not in it
    uint64_t draw;           // which these samples are of; UINT64_MAX: none
    bool first;              // the draw's first step: the student is as it was when it sampled
    bool whole;              // that step is done, so that behaviour is known
    int32_t *ids;            // (jobs, max_new)
    size_t *count;           // (jobs) tokens, for checkpoints
    float *behaviour, *reference_logp; // (jobs, max_new)
    double *advantage, *score, *logp;
    int32_t *text; // (jobs, longest): prompt and response one behind the other
    size_t logp_capacity;
};
// Fills *s. False, EXIT_BADDATA: a prompt that is empty or leaves no room for a response.
bool group_policy_source(struct group_policy *p, struct source *s, struct fail *f);
size_t group_policy_plan(const struct group_policy *p); // bytes beside the training's own
void group_policy_open(struct group_policy *p);
void group_policy_close(struct group_policy *p);
// For objective_group: record, with the struct group_policy.
void group_policy_record(void *self, const struct batch *b, size_t position, double logp);
// Hooks: a draw's samples are in a checkpoint that stands between two inner steps.
bool group_policy_after_step(void *self, uint64_t step, bool *end, struct fail *f);
void group_policy_keep(void *self, struct str *extra);
bool group_policy_restore(void *self, const struct str *extra);

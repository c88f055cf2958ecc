// Live teachers: the DPO, reverse DPO and reference models run on the training loop's own
// micro-batches, and give the full-vocabulary log-probabilities that objectives ask for: p*
// composed from them, or the reference's.
#pragma once
#include "common/engine/net.h"
#include "common/method/policy.h"

struct live_models { // NULL: not needed
    const struct model *dpo, *reverse, *ref;
};
struct live;
// limits: of the micro-batches (train_limits or score_limits); the models are only read
struct live *live_new(const struct live_models *m, const struct teacher_rule *rule,
                      const struct net_limits *limits);
size_t live_plan(const struct live_models *m, const struct net_limits *limits); // arena bytes
void live_free(struct live *l);

// logp (count,V) = log p* of positions first ..; info (count): alpha and tvd. For
// objective_distill.
void live_teacher(void *live, const struct batch *b, size_t first, size_t count, float *logp,
                  struct teacher_position *info);
// The models' own logits (count,V) there; they live until the next call. ref: NULL where none runs.
struct live_logits {
    const float *dpo, *negative, *base, *ref;
};
struct live_logits live_logits(struct live *l, const struct batch *b, size_t first, size_t count);
// What the student says beside the teachers (common/method/policy.h) at the positions that live_teacher
// was last asked for: student (count,V) its logits, logp and info what live_teacher gave.
void live_measure(struct live *l, const struct batch *b, size_t first, size_t count,
                  const float *student, const float *logp, const struct teacher_position *info,
                  struct policy_position *out);
// logp (count,V) = the reference's log-probabilities. For tdpo.
void live_reference(void *live, const struct batch *b, size_t first, size_t count, float *logp);

// Online teachers: the DPO, reverse DPO and reference models run on the training loop's own
// micro-batches, and give the full-vocabulary log-probabilities that objectives ask for: p*
// composed from them, or the reference's.
#pragma once
#include "common/engine/net.h"
#include "common/method/policy.h"
#include "common/method/teacher.h"

struct online_teachers;
// limits: of the micro-batches (train_limits or score_limits); the models are only read
struct online_teachers *online_teachers_new(const struct teacher_models *m,
                                            const struct teacher_rule *rule,
                                            const struct net_limits *limits);
size_t online_teachers_plan(const struct teacher_models *m,
                            const struct net_limits *limits); // arena bytes
void online_teachers_free(struct online_teachers *l);

// logp (count,V) = log p* of positions first ..; info (count): alpha and tvd. For
// objective_distill.
void online_teachers_compose(void *teachers, const struct batch *b, size_t first, size_t count,
                             float *logp, struct teacher_position *info);
// The models' own logits (count,V) there; they live until the next call. ref: NULL where none runs.
struct online_logits {
    const float *dpo, *negative, *base, *ref;
};
struct online_logits online_teachers_logits(struct online_teachers *l, const struct batch *b,
                                            size_t first, size_t count);
// What the student gives in comparison with the teachers (common/method/policy.h) at the positions
// that online_teachers_compose was last asked for: student (count,V) its logits, logp and info what
// online_teachers_compose gave.
void online_teachers_measure(struct online_teachers *l, const struct batch *b, size_t first,
                             size_t count, const float *student, const float *logp,
                             const struct teacher_position *info, struct policy_position *out);
// logp (count,V) = the reference's log-probabilities. For tdpo.
void online_teachers_reference(void *teachers, const struct batch *b, size_t first, size_t count,
                               float *logp);

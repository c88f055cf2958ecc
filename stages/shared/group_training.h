// distill --reward-level group: the options, models and hooks around stages/shared/group_policy.h.
// Prompts, --dpo, --ref, --max-new and --slots are those of on-policy training. Dies on bad input,
// like stages/shared/training.h.
#pragma once
#include "stages/shared/group_policy.h"
#include "stages/shared/policy_training.h"

struct group_training {
    struct group_policy_options options;
    // internal
    struct tokens prompts;
    struct model_file reference, dpo;
    struct group_policy policy;
    struct group_options objective;
};
void group_training_rows(struct options *o, struct group_training *g);
// Exit 2 where options do not go together; `group`: --reward-level group was asked for.
void group_training_check(const struct group_training *g, const struct policy_training *p,
                          const struct options *o, bool group);
// Loads the prompts, the reference (--ref, or the start model `path` again) and what scores; adds
// their hashes to the parents. beta: of --dpo's reward, 0: the one it recorded.
void group_training_load(struct group_training *g, struct policy_training *p, const char *path,
                         const struct model_file *student, double beta, struct training *t);
// Makes the prompts the source of t. Returns the objective.
struct objective group_training_start(struct group_training *g, struct policy_training *p,
                                      struct model_file *student, enum distill_normalise normalise,
                                      struct training *t);
void group_training_close(struct group_training *g);

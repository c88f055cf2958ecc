// Training on the student's own samples as a stage runs it: the options of online teachers, their
// files and the prompts, the on-policy source, the hooks that watch for a run that runs away. Dies
// on bad input, like the rest of stages/shared/training.h.
#pragma once
#include "common/method/recipe.h"
#include "common/training/runaway.h"
#include "stages/shared/kept_samples.h"
#include "stages/shared/on_policy.h"
#include "stages/shared/teachers.h"
#include "stages/shared/training.h"

struct policy_training {
    struct opt_list data; // --data: prompts
    struct teachers teachers;
    struct teacher_options rule;
    struct on_policy_options options;
    struct kept_samples kept; // --keep-samples, of groups too
    // internal
    struct tokens prompts;
    struct on_policy policy;
    struct distill_numbers numbers;
    struct runaway runaway;
};
void policy_training_inputs(struct options *o,
                            struct policy_training *p);                  // the models, the prompts
void policy_training_rows(struct options *o, struct policy_training *p); // the rule, the levels
// Dies, exit 2, where one of these options but the rule's and the models is given without
// --on-policy; clears them.
void policy_training_refuse(struct policy_training *p, const struct options *o);
// Loads teachers and prompts, adds their hashes to the parents.
void policy_training_load(struct policy_training *p, const char *recipe, const struct options *o,
                          struct training *t);
// Makes the prompts the source of t and puts hooks into t and into d,
// which is settled but for them. dry_run: takes no memory.
void policy_training_start(struct policy_training *p, struct model_file *student,
                           struct distill_options *d, struct training *t);
void policy_training_close(struct policy_training *p);

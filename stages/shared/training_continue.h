// --continue: a run that was stopped or is finished goes on with more --epochs (or --steps). What
// it began with is OUT.ckpt, or else OUT, of the same lineage but for these two. What comes out:
//
//   from OUT.ckpt at step S   the run whose first S steps had the learning rates of the run that
//   was
//                             stopped, and the others those of a run of the new length
//   from OUT after S steps    the same, with the moments of Adam set to zero after step S
//
// So with --schedule constant and a warm-up of a number of steps, a run that was stopped gives the
// bytes of one that was longer from the start. The output records S as `continued`.
#pragma once
#include "stages/shared/training.h"

// When the lineage is known. Dies where there is nothing to continue, or it is another run's.
void training_continue(struct training *t);
// The weights of OUT into the model, where that is what the run continues. False: it is not.
bool training_continue_output(struct training *t, uint64_t *step);
// What the learning rate does, before the first step.
void training_continue_tell(const struct training *t, uint64_t step, uint64_t steps);

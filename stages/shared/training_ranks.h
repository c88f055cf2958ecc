// What several ranks (common/base/ranks.h) settle around a training: lanes, that all have the same
// command and inputs, and what a plan says of each.
#pragma once
#include "stages/shared/training.h"

// --lanes where it was not given; dies (exit 2) where so many ranks cannot share them out.
void training_ranks_lanes(struct training *t);
// Dies where options, or parents that are known so far, are not those of rank 0; once.
void training_ranks_agree(struct training *t);
// Dies where the checkpoint's step (UINT64_MAX: there is none) is not that of rank 0; warns where a
// rank's kernels give other bits.
void training_ranks_resume(const struct training *t, uint64_t step);
// What was sent and waited for, with -v.
void training_ranks_sum_up(const struct training *t);
// Whether each rank keeps its share of the optimiser's state.
bool training_ranks_sharded(const struct training *t);
// Of the plan: bytes of a rank's optimiser, gradients and messages; the lines for each rank, if
// there are several. other: bytes that every rank needs besides; first_more: that rank 0 does.
double training_ranks_memory(const struct training *t, int rank);
void training_ranks_plan(const struct training *t, double other, double first_more);

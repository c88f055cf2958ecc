// The dry run of a training: what it would do, and the memory, disk and time that it would take
// (stages/shared/plan.h), all trained and by an adapter, on one rank and on several.
#pragma once
#include "stages/shared/training.h"

void training_plan_print(struct training *t);
// Tokens of all rows of a source, by a sample of them.
double training_plan_tokens(const struct source *s);
// Bytes of the passes: those of the training, and when these are over those of its outcome.
size_t training_plan_passes(struct training *t, const struct model *m);

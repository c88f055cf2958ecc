// The end of a training as the stages report it: common/training/outcome.h as a hook of
// stages/shared/training.h, with the distance to the start model, which is read again for it once
// the gradients' memory is free. What came out goes into the output as its record, and into the
// closing line.
#pragma once
#include "common/training/outcome.h"
#include "stages/shared/training.h"

struct training_outcome {
    struct training *training;
    struct outcome outcome, best; // best: as it was at the training's best_step
    double start;                 // seconds, of the clock
    char *record;
};
// Adds the hook, which must be the last: other hooks may put other weights into the model.
void training_outcome_start(struct training_outcome *r, struct training *t);
// Bytes that the distance takes besides the weights, when the training's passes are over.
size_t training_outcome_plan(struct training *t, const struct model *m);
// What rank 0 has beside that: the start model, for which sharded gradients make no room.
size_t training_outcome_start_bytes(struct training *t, const struct model *m);
// The closing line of a run that ended.
void training_outcome_tell(struct training_outcome *r);
void training_outcome_close(struct training_outcome *r);

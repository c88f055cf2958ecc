// Whether a cache says of each position what belongs to the token before or after it: how well
// log p* of the tokens that stand there, at distance -1, 0 and 1, correlate with what a model that
// has read the same text gives them. A cache in its place has its best at 0, whichever teacher and
// student they are, as long as both have learnt anything.
#pragma once
#include "common/engine/model.h"
#include "common/training/train.h"

struct teacher_shift {
    size_t positions;      // compared; the first and last ones of a response are not
    size_t strangers;      // whose support lacks the token that stands there
    double correlation[3]; // with the token one before, in place, one after
};
// Over the source's first rows, some `tokens` of them. Runs the model. False: f has the reason.
bool teacher_shift_look(struct source *s, const struct model *m, size_t tokens,
                        struct teacher_shift *out, struct fail *f);
// -1, 1: the cache clearly fits the token before, after (a correlation of 0.75, and 0.25 above the
// one in place: models that have learnt next to nothing reach 0.5 by chance); 0: it does not.
int teacher_shift_found(const struct teacher_shift *x);

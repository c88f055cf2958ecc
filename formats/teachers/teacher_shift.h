// Whether a cache is shifted by one position. log p* of the tokens in the data, at distance -1, 0
// and 1, is correlated with the log-probabilities that a model gives the same tokens. A cache that
// is not shifted has its highest correlation at 0, whatever teacher and student are, if both have
// learnt anything.
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

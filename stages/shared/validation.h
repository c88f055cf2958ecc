// Validation while training: the mean loss of held-out rows every so many steps, an early stop when
// it no longer falls, and the best weights. The state, best weights included, goes into the
// checkpoint, so that a run that was cut ends in the same bytes as one that was not. A validation
// in progress is finished before a stop is obeyed, since the step it belongs to is done.
#pragma once
#include "common/base/options.h"
#include "common/training/train.h"
#include "formats/tokens/tokens.h"

struct validation_options {
    struct opt_list data; // empty: no validation
    int64_t every, patience;
    bool save_best;
};
void validation_rows(struct options *o, struct validation_options *v);
// EXIT_USAGE where there is --patience, --save-best or --valid-every without --valid.
bool validation_check(const struct validation_options *v, struct fail *f);

struct validation {
    const struct validation_options *options;
    struct model *model;
    struct parameters trained;
    struct source source;
    size_t micro_tokens;
    uint64_t every, steps; // of the whole run; every: steps between validations
    struct net *net;
    struct batch batch;
    double *logp;                // (positions)
    double loss, best;           // of the last validation, of the best one; NaN: none yet
    uint64_t best_step, in_vain; // in_vain: validations since the best one
    float *weights;              // (trained.n) of the best one, with --save-best
};
// `source`: rows of tokens, the caller's; `rows`: the training data's.
void validation_open(struct validation *v, const struct validation_options *o, struct model *m,
                     const struct source *source, const struct train_options *train, size_t rows);
size_t validation_plan(const struct validation *v); // bytes; needs options, model and source alone
// After `step` steps: validates if it is time. True: it did. *end: patience is at its end.
bool validation_step(struct validation *v, uint64_t step, bool *end);
void validation_take_best(struct validation *v); // into the model, with --save-best
void validation_keep(const struct validation *v, struct str *extra);
bool validation_restore(struct validation *v, const struct str *extra);
void validation_close(struct validation *v);

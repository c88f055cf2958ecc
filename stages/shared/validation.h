// Validation while training: the mean loss of held-out rows every so many steps, an early stop when
// it no longer falls, and the best weights. The loss is the stage's own, by an objective of its
// own: of tokens, of pairs (with accuracy and margin of the rewards), of a teacher's cache. The
// state, best weights included, goes into the checkpoint, so that a run that was cut ends in the
// same bytes as one that was not. A validation in progress is finished before a stop is obeyed,
// since the step it belongs to is done.
#pragma once
#include "common/base/options.h"
#include "stages/shared/training.h"

struct validation_options {
    struct opt_list data; // empty: no validation
    int64_t every, patience;
    bool save_best;
};
void validation_rows(struct options *o, struct validation_options *v, const char *what);
// EXIT_USAGE where there is --patience, --save-best or --valid-every without --valid.
bool validation_check(const struct validation_options *v, struct fail *f);

enum { VALIDATION_NUMBERS = 2 };

struct validation { // zero-initialise; validation_close
    const struct validation_options *options;
    struct training *training;
    struct parameters trained;
    struct source source;
    struct objective objective;
    const char
        *name[VALIDATION_NUMBERS]; // of the objective's numbers that are reported; NULL: none
    uint64_t every, steps;         // of the whole run; every: steps between validations
    struct net *net;
    struct metrics *metrics;           // the objective's numbers
    double loss, best;                 // of the last validation, of the best one; NaN: none yet
    double number[VALIDATION_NUMBERS]; // of the last one
    uint64_t best_step, in_vain;       // in_vain: validations since the best one
    float *weights;                    // (trained.n) of the best one, with --save-best
};
// Before the run, when t has its model and source: adds a hook and what it takes to t. `source`:
// the held-out rows, the caller's; `objective` is released by validation_close. name: see above.
void validation_start(struct validation *v, const struct validation_options *o,
                      const struct source *source, struct objective objective,
                      const char *const name[VALIDATION_NUMBERS], struct training *t);
void validation_close(struct validation *v);

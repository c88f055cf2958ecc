// A cache of held-out rows to validate a distillation on: the mean loss of the student against it,
// by the objective that trains it. Dies on bad input, like stages/shared/training.h.
#pragma once
#include "formats/teachers/sources.h"
#include "stages/shared/validation.h"

struct held_out_cache {                // zero-initialise
    struct validation_options options; // its rows are declared by the stage; no data: idle
    // internal
    struct teacher_source source;
    struct fail fail; // of its set
    struct validation validation;
};
// Opens the shards, which become parents.
void held_out_cache_open(struct held_out_cache *h, const struct model_file *student,
                         struct parents *parents);
// Composes p* by the alpha that is trained on; a composed cache must be of that one. NULL: unknown.
void held_out_cache_rule(struct held_out_cache *h, const char *alpha);
// Adds the validation to t, which has its model and source; `student` is settled.
void held_out_cache_start(struct held_out_cache *h, const struct distill_options *student,
                          struct training *t);
void held_out_cache_close(struct held_out_cache *h);

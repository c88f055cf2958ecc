// The data sets as sources of the training loop (common/training/train.h), and batches of them for
// scoring.
#pragma once
#include "common/training/train.h"
#include "formats/teachers/cache_prefetch.h"
#include "formats/tokens/tokens.h"

// One response per row; its targets are the tokens with mask 1.
void source_tokens(struct source *s, struct tokens *t);

struct pair_source {
    struct pairs *pairs;
    const double *chosen, *rejected; // (rows) reference log-probabilities, or NULL
    bool scored;                     // for a reward model: batch_scored
};
// Two responses per row, chosen first; they share their prompt's rows of the batch.
void source_pairs(struct source *s, struct pair_source *p);

struct teacher_source {
    struct teacher_set *set;
    size_t first, rows; // of the set: the rows to train on; rows 0: all from `first` on
    size_t vocab;       // of the student: mass of ids from here on goes to the tail; 0: any
    bool divided;       // the loss divides by alpha_t: a row where it is 0 is refused
    // internal
    struct teacher_row row; // the one read last
    size_t current;
    struct cache_prefetch *prefetch;
    uint64_t steps, epoch_steps;
};
// One response per row, with teacher positions; a lost row measures 0.
void source_teacher(struct source *s, struct teacher_source *t);
// Starts reading the set ahead of a run of train_run with these options, until _stop
// (formats/teachers/cache_prefetch.h).
void source_teacher_start(struct teacher_source *t, const struct train_options *o);
struct teacher_set_numbers source_teacher_stop(struct teacher_source *t);

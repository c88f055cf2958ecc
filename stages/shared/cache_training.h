// Training from a cache of teacher distributions as a stage runs it: its shards, the choice of
// rows, the shards of a stream as parents, the warnings of what the cache turns out to have, and
// the monitor. The counterpart of stages/shared/policy_training.h; dies on bad input, like
// stages/shared/training.h.
#pragma once
#include "formats/teachers/sources.h"
#include "stages/shared/monitor.h"
#include "stages/shared/training.h"

struct cache_training {
    struct opt_list teacher;   // --teacher
    const char *rows, *on_bad; // --rows --on-bad
    int64_t max_positions;     // --max-positions
    struct monitor monitor;    // its rows are declared by the stage
    // internal
    const struct model_file *student;
    const char *output;
    const struct train_options *train;
    struct teacher_source source;
    struct fail fail;                  // of its set
    struct teacher_set_numbers warned; // what was warned of
    struct log *log;
};
void cache_training_rows(struct options *o, struct cache_training *c);
// Dies, exit 2, where one of these options is given without a cache.
void cache_training_refuse(const struct options *o);
// Opens the shards. Returns the info of the cache named first.
const struct teacher_info *cache_training_open(struct cache_training *c,
                                               const struct model_file *student);
// After `student` is settled: its rows become the source of t, and where `watched` has a DPO model
// the monitor's models are loaded. alpha: the strength that p* is composed with.
void cache_training_choose(struct cache_training *c, const struct options *o, const char *alpha,
                           const struct distill_options *student, struct teachers *watched,
                           struct training *t);
// Names the shards as parents. False: those of a stream will be known after the last step only.
bool cache_training_parents(struct cache_training *c, struct training *t);
// Puts the hooks into t, and the monitor into d. Not for a dry run.
void cache_training_start(struct cache_training *c, struct distill_options *d, struct training *t);
void cache_training_sum_up(struct cache_training *c, struct training *t); // after the run
void cache_training_close(struct cache_training *c);

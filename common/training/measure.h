// Models side by side over a data set, without training: the rows in order, each a unit of its own,
// so that a row's numbers do not depend on its neighbours. All models see the same micro-batch and
// give the logits of the same positions, a chunk at a time; what is made of them is the caller's.
#pragma once
#include "common/base/log.h"
#include "common/training/score.h"

enum { MEASURE_MODELS = 3 };

struct measure {
    size_t models;                             // 1 .. MEASURE_MODELS, of one vocabulary
    const struct model *model[MEASURE_MODELS]; // only read
    struct source *source;                     // of tokens or pairs
    size_t tokens;                             // of a micro-batch; one row may have more
    struct log *log;                           // progress; may be NULL
    void *self;
    // logits[k] (c.count,V) of model k at positions c.first ..; scratch that may be written to
    void (*chunk)(void *self, const struct batch *b, struct chunk c, float *const *logits);
    // after the chunks of a micro-batch; rows come in order. False: stop, with f set
    bool (*batch)(void *self, const struct batch *b, struct fail *f);
};

size_t measure_positions(const struct measure *m); // most positions of a micro-batch
size_t measure_plan(const struct measure *m);      // bytes besides the weights
// False: f holds what went wrong.
bool measure_run(const struct measure *m, struct fail *f);

// Index in its data row of the token that position p predicts, in a batch of token rows.
size_t measure_index(const struct batch *b, size_t p);
// KL(softmax(a) || softmax(b)) in nats of logits (V) at one position, over the full vocabulary.
double measure_kl(const float *a, const float *b, size_t V);
// Mean of sum / count over independent clusters: sum_i sum[i] / sum_i count[i], and its standard
// error, which allows for the dependence inside a cluster (tokens of one response). NaN for n < 2.
double measure_ratio(const double *sum, const double *count, size_t n, double *standard_error);

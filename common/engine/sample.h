// Sampling responses: many prompts over the slots of one decoder (or of several, whose logits a
// callback composes), finished sequences replaced by waiting ones. A sample depends on seed, row,
// sample and position alone.
#pragma once
#include "common/engine/decoder.h"
#include "common/base/options.h"

struct sample_options {
    double temperature; // 0: greedy, the lowest id among equals
    int64_t top_k;      // 0: all
    double top_p;       // 1: all
    int64_t max_new;    // most tokens of a response, its end included
};
void sample_options_rows(struct options *o, struct sample_options *s);

struct sample_job {
    const int32_t *prompt;
    size_t n;
    uint64_t row, sample;
    int32_t *ids;  // out: (max_new), the caller's
    size_t count;  // out: tokens sampled, end-of-sequence included
    bool finished; // out: ended by itself
    bool broken;   // out: the last token stands for logits that were not finite
};

// The row of a job that is over: its prompt and response into ids, 0 and 1 of them into mask, which
// have room for it. Returns its length.
size_t sample_job_row(const struct sample_job *j, int32_t *ids, uint8_t *mask);

struct sampler {
    size_t decoders;
    struct decoder **decoder;
    size_t slots, length; // of each decoder
    // z[k] (V) of each decoder -> logits to sample from, in z[0]; NULL with one decoder
    void (*compose)(void *self, float **z, size_t V);
    void *self;
    struct sample_options options;
    uint64_t seed;
    size_t n_eos;
    const int32_t *eos;
};
struct sample_queue { // jobs as they come and go
    void *self;
    struct sample_job *(*next)(void *self);         // to be begun; NULL: none for now
    bool (*over)(void *self, struct sample_job *j); // it is complete. False: go no further
};
// Bytes that it takes besides the decoders: the logits of V tokens.
size_t sample_plan(size_t decoders, size_t slots, size_t V);
// Until there is no job. False: asked to stop, or `over` said so; the current jobs are incomplete.
bool sample_queue_run(const struct sampler *s, const struct sample_queue *q);
bool sample_run(const struct sampler *s, struct sample_job *jobs, size_t n); // of an array
// The same by all ranks together, each of which draws a share and learns of the others'. The ids of
// the jobs lie one behind the other, (n, max_new). False on all where one was asked to stop.
bool sample_run_together(const struct sampler *s, struct sample_job *jobs, size_t n);
// One draw from logits (V), which are used as scratch. u in [0,1). -1: they are not finite.
int32_t sample_token(const struct sample_options *o, float *logits, size_t V, double u);

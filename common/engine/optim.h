// AdamW with decoupled decay on matrices only, bias correction and global-norm clipping, over the
// flat buffers of the tensor table; the learning-rate schedule. Fixed tiles: same bits on any
// number of threads.
#pragma once
#include "common/engine/model.h"
#include "common/base/options.h"

struct optim_options {
    double lr, min_lr, warmup, beta1, beta2, epsilon, weight_decay, clip;
    const char *schedule; // cosine | linear | constant
};
// The optimiser's rows of the option table, all RESULT; `lr` is the stage's default.
void optim_options_rows(struct options *o, struct optim_options *s, const char *lr);

struct optim {
    struct parameters trained; // of the model
    float *grads, *m, *v;      // (trained.n) each
    size_t tiles;
    struct optim_tile *tile;
    double *partial; // (tiles)
};
struct optim *optim_new(const struct model *m);
void optim_free(struct optim *o);
void optim_zero(struct optim *o); // the gradients
// Learning rate of 0-based `step` of `steps`: lr at the end of the warm-up, min_lr lr at the last
// step. warmup below 1 is a share of the steps, else steps.
double optim_rate(const struct optim_options *s, uint64_t step, uint64_t steps);
// Updates what is trained; returns the gradients' norm before clipping (not finite: nothing was
// changed).
double optim_step(struct optim *o, const struct optim_options *s, uint64_t step, uint64_t steps);

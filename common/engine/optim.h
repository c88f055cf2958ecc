// AdamW with decoupled decay on matrices only, bias correction and global-norm clipping, over the
// flat buffers of the tensor table; the learning-rate schedule. Fixed tiles: same bits on any
// number of threads.
//
// Several ranks (common/base/ranks.h) share the buffers out by buckets, which are consecutive whole
// tiles: bucket i belongs to rank i modulo their number. Sharded (ZeRO-1, Rajbhandari et al. 2020),
// a rank holds the moments of its own buckets only and updates these; the bits are the same.
#pragma once
#include "common/engine/model.h"
#include "common/base/options.h"

struct optim_options {
    double lr, min_lr, warmup, beta1, beta2, epsilon, weight_decay, clip;
    const char *schedule; // cosine | linear | constant
};
// The optimiser's rows of the option table, all RESULT; --lr has no default here.
void optim_options_rows(struct options *o, struct optim_options *s, const char *lr_help);

struct optim_tile {
    size_t first, count; // numbers of the flat buffer
    size_t moment;       // where its moments are in m and v
    bool decay, own;     // own: this rank updates it
};
struct optim_bucket {
    size_t first, end; // numbers of the flat buffer
    size_t moment;     // of the first one, on its rank
    int rank;
};

struct optim {
    struct parameters trained; // of the model
    float *grads;              // (trained.n)
    bool sharded;
    size_t moments; // trained.n, or of own buckets
    float *m, *v;   // (moments)
    size_t tiles, buckets;
    struct optim_tile *tile;
    struct optim_bucket *bucket; // they cover the buffer; as many as there are tiles at most
    double *partial;             // (tiles)
};
struct optim *optim_new(const struct model *m);
struct optim *optim_new_sharded(const struct model *m);
// For a plan: numbers of each moment that `rank` of `ranks` holds, and of the largest bucket.
struct optim_share {
    size_t moments, largest;
};
struct optim_share optim_share(const struct model *m, bool sharded, int rank, int ranks);
void optim_free(struct optim *o);
void optim_drop_grads(struct optim *o);         // after the last step, for their memory
void optim_zero(struct optim *o, float *grads); // o->grads, or a buffer like it
// Learning rate of 0-based `step` of `steps`: lr at the end of the warm-up, min_lr lr at the last
// step. warmup below 1 is a share of the steps, else steps.
double optim_rate(const struct optim_options *s, uint64_t step, uint64_t steps);
// Updates what is trained; returns the gradients' norm before clipping (not finite: nothing was
// changed). Gradients: whole sums; sharded, those of own buckets, and values too are new in these
// only.
double optim_step(struct optim *o, const struct optim_options *s, uint64_t step, uint64_t steps);

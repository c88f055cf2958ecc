// The one training loop. A trainer is options + a source of rows + an objective: sft, dpo-train and
// distill differ in nothing else.
//
// A step takes --batch-size rows in the seeded order, cuts them into units of --unit-tokens (which
// fix the bits) and runs micro-batches of whole units (--micro-tokens, which bound the memory).
// Losses are normalised by the totals of the whole step. State is saved at step boundaries only.
//
// Several ranks (common/base/ranks.h) run this loop together, each on its own lanes (lanes.h) of
// every step; what is agreed on at a boundary is agreed on by all. Sources know all rows of a step
// on every rank.
#pragma once
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/engine/exchange.h"
#include "common/engine/net.h"
#include "common/method/objective.h"
#include "common/engine/optim.h"
#include "common/base/options.h"
#include "common/training/learning_rate.h"

struct train_options {
    int64_t batch_size, epochs, steps, unit_tokens, micro_tokens, snapshot_every, window;
    int64_t lanes, ranks; // ranks: --dry-run plans for
    double stop_after;
    bool recompute, longer, shard_optimizer;
    uint64_t repeat; // set by the stage: steps in a row that take the same rows; 0: 1
    struct opt_every checkpoint_every;
    struct optim_options optim;
    char rate_help[3 * RATE_HELP]; // of --lr
};
// kind: of the default learning rate, which the stage settles when it knows the model
void train_options_rows(struct options *o, struct train_options *t, enum rate_kind kind,
                        const char *batch_size);

struct source { // what the loop trains on; rows are numbered over the whole set
    void *self;
    size_t rows, parts;
    size_t longest; // most tokens a row can take in a unit
    size_t span;    // most tokens one of its sequences has
    size_t (*part_rows)(void *self, size_t part);
    // before a step: on-policy sources sample here; may be NULL
    bool (*prepare)(void *self, uint64_t step, const size_t *rows, size_t n, struct fail *f);
    // tokens the row takes in a unit; adds its positions and responses to *totals. 0: the row is
    // lost, and the step goes without it
    size_t (*measure)(void *self, size_t row, struct step_totals *totals);
    bool (*add)(void *self, struct batch *b, size_t row, struct fail *f);
    // may be NULL: a thread of the source's leaves libhdf5 alone meanwhile; around saving
    void (*quiet)(void *self, bool on);
};

struct train_hooks {
    void *self;
    bool (*save)(void *self, uint64_t step, struct fail *f);     // checkpoint at a boundary
    bool (*snapshot)(void *self, uint64_t step, struct fail *f); // --snapshot-every
    // may be NULL: after every step, before its row of the log is written; the loss of step 0
    // before its update. *end: the run is over, as if this were its last step
    bool (*after_step)(void *self, uint64_t step, bool *end, struct fail *f);
    bool (*first_loss)(void *self, double loss, struct fail *f);
};

struct train {
    struct model *model;
    struct optim *optim;
    struct exchange *exchange;
    struct objective *objective;
    struct source *source;
    const struct train_options *options;
    uint64_t seed, step; // step: the first one to do (a checkpoint's)
    struct train_hooks hooks;
    struct metrics *metrics;
    struct log *log;
};

// Most rows of a step: no more than there are.
size_t train_batch(const struct train_options *o, size_t rows);
uint64_t train_steps(const struct train_options *o, size_t rows);
struct net_limits train_limits(const struct train_options *o, const struct source *s);
// Of the order of the rows; parts are taken to have as many rows each.
size_t train_order_bytes(const struct train_options *o, const struct source *s);
// EXIT_DONE, EXIT_STOPPED (state saved) or the code in f.
int train_run(struct train *t, struct fail *f);

// What the training stages share around the loop of common/training/train.h: the lineage, the
// "up to date" rule, the checkpoint and snapshots, the finished model.
#pragma once
#include "common/training/train.h"
#include "formats/store/artefact.h"
#include "formats/models/adapter_file.h"

struct training_hook { // what a part of the stage does around the loop; functions may be NULL
    void *self;
    void (*begin)(void *self); // before the first step, when a checkpoint was read
    bool (*after_step)(void *self, uint64_t step, bool *end, struct fail *f);
    bool (*first_loss)(void *self, double loss, struct fail *f); // of an unresumed run
    // after the last step: parents that were not known before, or other weights in the model
    bool (*finish)(void *self, struct parents *rest, struct fail *f);
    // its state in checkpoints, in any form. restore: false where it makes no sense, dies where it
    // is another run's; text[length] is NUL
    void (*keep)(void *self, struct str *extra);
    bool (*restore)(void *self, const struct str *extra);
};
enum { TRAINING_HOOKS = 7 };

struct training {
    const char *stage, *output;
    const char *start; // the path of the start model
    const struct options *options;
    const struct common_options *common;
    struct train_options *train;
    struct log *log;
    // Parents are added by the stage. `lineage` names what is known at the start (it goes into
    // checkpoints and snapshots); `rest` are further parents, which a stream knows at its end only.
    struct lineage lineage;
    struct parents rest;
    char *options_json, *checkpoint_path;
    struct model_file *model; // start weights in, trained weights (or the adapter on them) out
    struct source source;
    struct objective *objective;
    size_t n_hooks;
    struct training_hook hook[TRAINING_HOOKS]; // called in order
    const struct fail *read_fail; // may be NULL: of what the source reads, for the plan
    // For the plan of --dry-run: models that run online and the like; forward passes of a model
    // over the rows of each step beside the training's own, sampling being one of two; tokens of
    // all forward passes that no step has (a reference's, validations').
    size_t more_bytes;
    double more_passes, more_tokens;
    double checkpoint_more; // bytes of a checkpoint for each trained number, beside 12
    double reward_beta;     // recorded in the output, 0: none
    bool reversed;
    struct str about;     // members of the record's JSON: ,"recipe":"adaptive"
    bool own_samples;     // the rows are the student's own samples
    const char *kl_start; // then: the metric that is the KL to the start, NULL: there is none
    // --continue (training_continue.h): steps at which it was, "160" or "160,320", NULL: nowhere;
    // the options of what it continues, NULL: of this very command
    char *continued, *continue_options;
    bool continue_output; // its weights are those of the finished output
    uint64_t continue_step;
    double tokens_before;    // that it was trained on
    char *rate_note;         // how --lr was chosen; NULL: it was given
    uint64_t best_step;      // --save-best: whose weights are kept so far; 0: the last step's
    struct metrics *metrics; // of the current run, for hooks: give every step the same names
    // internal
    struct optim *optim;
    struct exchange *exchange;
    bool agreed; // the ranks, on inputs and options
};

// Threads, signals, log. Before anything is read.
void training_begin(struct training *t);
void training_add_hook(struct training *t, struct training_hook hook);
// Records the result options again, after a recipe has changed them.
void training_options(struct training *t);
// What the record in the output says of the stage besides the numbers.
void training_about(struct training *t, const char *name, const char *text);
// Where --lr was not given: the default of the kind for the loaded model (the base of an adapter),
// which is recorded; what was chosen is said when the run begins. o: t->train.
void training_rate(struct training *t, struct train_options *o, enum rate_kind kind,
                   const struct model *m, bool adapter);
// After the parents are known. True: the output is up to date, and its path was printed.
bool training_current(struct training *t);
// Whether the output exists with this run's options and the parents that are known so far; dies
// if it is another's and --no-clobber was given. A stream then waits for its end to be sure.
bool training_may_be_current(const struct training *t);
// Resumes or starts, trains, saves; or prints the plan (--dry-run). Returns the exit code.
int training_run(struct training *t);
// Frees what training_begin and the parents took; closes the log.
void training_end(struct training *t);

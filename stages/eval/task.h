// What the subcommands that run models share: their common options, loading models and data with
// the checks that they belong together, the plan of --dry-run. All of it ends the program on
// failure: 2 for usage, 3 for bad data.
#pragma once
#include "common/training/measure.h"
#include "common/base/options.h"
#include "formats/models/model_shelf.h"
#include "formats/tokens/tokens.h"

struct task {
    struct opt_list data;
    const char *output, *summary; // -o, --summary
    int64_t micro_tokens;
    const char *shard; // --shard I/N
    size_t first_row;  // of the data: the first one of the share, which the rows' numbers begin at
    const char *dtype, *precision; // --frozen-dtype, --precision
    struct model_shelf shelf;      // --base-model
    struct common_options common;
    struct log *log;
    struct measure measure;        // models are added by task_model
    double more_bytes, more_flops; // of what runs beside it, for --dry-run
};

void task_options(struct options *o, struct task *t, const char *data_help,
                  const char *output_help);
// Parses; then threads, log, and the output's name.
void task_begin(struct task *t, struct options *o, int argc, char **argv);
// Dies where --per-token and the table would share stdout.
void task_per_token(const struct task *t, bool per_token);
// Loads one more model; of the same vocabulary and tokenizer as `like`, unless that is NULL.
void task_model(struct task *t, const char *path, struct model_file *m,
                const struct model_file *like);
// --data as tokens or pairs that suit the model: the rows of --shard.
void task_tokens(struct task *t, struct tokens *tokens, const struct model_file *m);
void task_pairs(struct task *t, struct pairs *pairs, const struct model_file *m);
// Sets the source, after the models; returns the most positions of a micro-batch.
size_t task_source(struct task *t, struct source *s);
// Runs the measure over it; with --dry-run it prints the plan and returns false.
bool task_run(struct task *t);
void task_end(struct task *t, struct options *o);
// Refuses outputs that end neither in .csv nor in .json, or exist with --no-clobber.
void task_check_outputs(const struct common_options *c, const char *output, const char *summary);
void task_summary_row(struct options *o, const char **summary); // --summary FILE

// A dump as teacher-dump runs it: its options, what they come to, its inputs, the run. The stage
// declares the options and calls these in order. They die on bad input, like
// stages/shared/training.h.
#pragma once
#include "common/method/recipe.h"
#include "stages/shared/target_kl.h"
#include "stages/shared/teacher_dump.h"
#include "stages/shared/teachers.h"

struct dump_job {
    const char *output, *student, *recipe, *responses, *layout, *grid, *shard, *bits_text;
    struct opt_list data;
    struct teacher_options teacher;
    struct target_kl_options target;
    const struct options *options;
    char *json, *alpha;           // what options and --target-kl came to
    struct target_kl_trial found; // by --target-kl
    double stop_after;
    struct opt_every checkpoint_every;
    int64_t rows_per_shard, micro_tokens, zstd_level, student_k;
    double error_budget;
    struct common_options common;
    struct teachers teachers;
    struct model_file student_model;
    struct tokens tokens;
    size_t pairs_bytes; // of the pairs they were made from
    struct teacher_dump run;
    struct lineage lineage;
    struct columns_plan plan;
    struct log *log;
};

// ---- dump_inputs.c
// Whether the support is chosen by --error-budget, or by the options that cut it.
void dump_settle_budget(struct dump_job *d);
void dump_load_models(struct dump_job *d);  // the teachers
void dump_load_student(struct dump_job *d); // the model to be trained, whose tokens are kept
void dump_load_data(struct dump_job *d);
size_t dump_positions(const struct tokens *t, size_t row); // that have a target

// ---- dump_settings.c
void dump_settle_layout(struct dump_job *d); // --target-kl may still change the strength
void dump_plan_shards(struct dump_job *d);
void dump_check_room(const struct dump_job *d); // exit 2 where a position may keep too many tokens
// The lineage's options: the result options and, with --error-budget, by which rule it chooses.
// free() it.
char *dump_options(const struct dump_job *d);
// All shards of this run's share are up to date: they are printed.
bool dump_current(struct dump_job *d);
// The strength that --target-kl asks for: what a finished output of this very command states, or a
// search. True: there is such an output.
bool dump_settle_strength(struct dump_job *d);
struct target_kl dump_search(struct dump_job *d);

// ---- dump_run.c
void dump_print_plan(struct dump_job *d); // dumps a sample into nothing, says what all will take
int dump_run(struct dump_job *d);         // EXIT_DONE or EXIT_STOPPED

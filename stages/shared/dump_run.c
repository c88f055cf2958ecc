// The dump itself, and its plan; see dump_job.h.
#include "stages/shared/dump_job.h"
#include "common/base/clock.h"
#include "stages/shared/plan.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct teacher_writer *open_writer(struct dump_job *d, const struct columns_plan *plan,
                                          struct fail *f) {
    char *rule = recipe_rule_json(&d->teacher, d->found.kl, d->found.error);
    struct teacher_info info = {.vocab = d->teachers.dpo_model.model.config.vocab_used,
                                .max_length = d->tokens.longest,
                                .tokenizer = d->teachers.dpo_model.tokenizer,
                                .tokenizer_json = d->teachers.dpo_model.tokenizer_json,
                                .reference = d->teachers.ref_model.content,
                                .reward_beta = d->teachers.dpo_model.reward_beta,
                                .recipe = d->recipe,
                                .rule = rule,
                                .error_budget = d->error_budget,
                                .bits = atoi(d->bits_text),
                                .grid = d->run.grid,
                                .eos = d->teachers.dpo_model.eos};
    const struct tokens *t = &d->tokens;
    int32_t *common = teacher_codec_common(t->ids, t->first[t->rows], info.vocab,
                                           d->teachers.dpo_model.eos, &info.n_common);
    info.common = common;
    struct teacher_writer *w = teacher_writer_open(d->output, &d->lineage, &info, plan, f);
    free(common);
    free(rule);
    return w;
}

// What the budget's errors are compared with, from a few rows.
static int settle_typical(struct dump_job *d) {
    struct fail f = {0};
    int code = d->error_budget > 0 ? teacher_dump_typical(&d->run, &f) : EXIT_DONE;
    die_if(&f);
    return code;
}

// Bytes at the peak: the program, the models, the data, and what is beside them: the pairs that
// the data is made from, or what the search for a strength or the dump takes.
static size_t plan_memory(struct dump_job *d) {
    const struct model *models[] = {&d->teachers.dpo_model.model, &d->teachers.reverse_model.model,
                                    &d->teachers.ref_model.model, &d->student_model.model};
    struct target_kl search = dump_search(d);
    struct fail f = {0};
    size_t weights = models_bytes(4, models), most = d->pairs_bytes,
           dumping = teacher_dump_plan(&d->run);
    size_t searching = d->target.kl > 0 ? target_kl_plan(&search, &f) : 0;
    die_if(&f);
    if (searching > most) most = searching;
    if (dumping > most) most = dumping;
    return MEM_PROGRAM + weights + tokens_bytes(&d->tokens) + most;
}

// Dumps the sample into nothing, and says what the whole will take.
void dump_print_plan(struct dump_job *d) {
    struct fail f = {0};
    struct tokens sample = teacher_dump_sample(&d->tokens), *all = &d->tokens;
    struct columns_counted counted = {0};
    struct columns_plan plan = {
        .rows_total = sample.rows, .zstd_level = (int)d->zstd_level, .counted = &counted};
    struct teacher_dump trial = d->run;
    size_t positions = 0, seen = 0, end = d->run.first + d->run.count;
    for (size_t i = d->run.first; i < end; i++) positions += dump_positions(all, i);
    for (size_t i = 0; i < sample.rows; i++) seen += dump_positions(&sample, i);
    trial.tokens = &sample;
    trial.first = 0;
    trial.count = sample.rows;
    trial.log = NULL;
    settle_typical(d);
    memcpy(trial.typical, d->run.typical, sizeof trial.typical);
    trial.typical_weight = d->run.typical_weight;
    trial.writer = open_writer(d, &plan, &f);
    double start = clock_seconds();
    teacher_dump_run(&trial, &f);
    die_if(&f);
    double tokens = (double)(all->first[end] - all->first[d->run.first]);
    double share = tokens / (double)sample.first[sample.rows], per = (double)d->rows_per_shard;
    double files = per > 0 ? ceil((double)d->run.count / per) : 1;
    print_result("rows\t%zu", d->run.count);
    print_result("positions\t%zu", positions);
    print_result("bytes_per_position\t%.1f", seen ? (double)counted.columns / (double)seen : 0);
    struct plan p = {.memory = (double)plan_memory(d),
                     .disk = (double)counted.columns * share + files * (double)counted.blobs,
                     .seconds = (clock_seconds() - start) * share,
                     .output = d->output};
    plan_print(d->log, &p);
    tokens_release(&sample);
}

int dump_run(struct dump_job *d) {
    struct fail f = {0};
    if (!d->run.count) {
        log_note(d->log, "share %s of the shards is empty; nothing to do", d->shard);
        return EXIT_DONE;
    }
    whole_file_prepare_state(d->output, &f);
    die_if(&f);
    struct teacher_dump *r = &d->run;
    if (settle_typical(d) == EXIT_STOPPED) return EXIT_STOPPED;
    r->writer = open_writer(d, &d->plan, &f);
    die_if(&f);
    size_t done = columns_rows(teacher_writer_columns(r->writer));
    if (done) log_note(d->log, "continuing at row %zu of %zu", done, r->count);
    int code = teacher_dump_run(r, &f);
    die_if(&f);
    if (code == EXIT_STOPPED) {
        char *spool = columns_spool_name(d->output, &d->plan);
        log_note(d->log,
                 "stopped; the rows so far are in '%s': run the same command again to continue",
                 spool);
        free(spool);
    }
    return code;
}

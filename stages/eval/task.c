#include "stages/eval/task.h"
#include "common/engine/linear.h"
#include "common/base/parallel.h"
#include "common/base/path.h"
#include "common/base/value.h"
#include "common/engine/kernels.h"
#include "stages/shared/data_check.h"
#include "stages/shared/plan.h"
#include "stages/eval/table.h"
#include <stdio.h>
#include <unistd.h>

void task_options(struct options *o, struct task *t, const char *data_help,
                  const char *output_help) {
    const struct opt_row rows[] = {
        {"data", OPT_LIST, OPT_INPUT, &t->data, .metavar = "FILE...", .help = data_help,
         .required = true, .paths = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &t->output, .letter = 'o', .metavar = "FILE",
         .help = output_help},
        {"micro-tokens", OPT_INT, OPT_EXEC, &t->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N", .help = "tokens computed at once; more need more memory"},
        {"shard", OPT_TEXT, OPT_EXEC, &t->shard, .metavar = "I/N",
         .help =
             "only share I of N of the rows, 0 <= I < N: the rows of the shares' CSV files are, "
             "one file after the other, those of all; tables are of the share"},
    };
    options_add(o, rows, 2);
    task_summary_row(o, &t->summary);
    options_add(o, rows + 2, 2);
    precision_row(o, &t->precision);
    model_shelf_row(o, &t->shelf);
    frozen_dtype_row(o, &t->dtype,
                     "precision of the models: bf16 halves their memory and rounds their weights");
    common_kernels_row(o, &t->common);
    common_options_rows(o, &t->common);
}

void task_summary_row(struct options *o, const char **summary) {
    const struct opt_row row = {
        "summary",         OPT_TEXT,
        OPT_OUTPUT,        summary,
        .metavar = "FILE", .help = "also write the table here, with all digits (.csv or .json)"};
    options_add(o, &row, 1);
}

static void check_output(const char *path, bool no_clobber) {
    if (!table_output_ok(path))
        die(EXIT_USAGE, "output '%s' ends neither in .csv nor in .json; name it so", path);
    struct fail f = {0};
    if (path && no_clobber && path_is_there(path, &f))
        die(EXIT_FAILED, "'%s' exists; leave --no-clobber out to replace it", path);
    die_if(&f);
}

void task_check_outputs(const struct common_options *c, const char *output, const char *summary) {
    check_output(output, c->no_clobber);
    check_output(summary, c->no_clobber);
}

void task_begin(struct task *t, struct options *o, int argc, char **argv) {
    options_parse(o, argc, argv, NULL);
    task_check_outputs(&t->common, t->output, t->summary);
    parallel_init((int)t->common.threads);
    kernels_choose(t->common.kernels);
    t->log = log_open(t->common.progress, t->common.quiet, t->common.verbose);
}

void task_per_token(const struct task *t, bool per_token) {
    if (per_token && t->summary && !t->output)
        die(EXIT_USAGE, "--per-token takes stdout; give it -o FILE to have the --summary too");
}

void task_model(struct task *t, const char *path, struct model_file *m,
                const struct model_file *like) {
    struct fail f = {0};
    model_shelf_load(&t->shelf, path, frozen_is_bf16(t->dtype), m, &f);
    m->model.rounded = precision_is_bf16(t->precision);
    die_if(&f);
    if (like && (m->model.config.vocab_used != like->model.config.vocab_used ||
                 !hash_equal(m->tokenizer, like->tokenizer)))
        die(EXIT_BADDATA,
            "'%s' has another vocabulary or tokenizer; the models must come from one "
            "base model",
            path);
    linear_pack(&m->model);
    t->measure.model[t->measure.models++] = &m->model;
}

// Of n rows: how many are this share's, from t->first_row on.
static size_t share_of(struct task *t, size_t n) {
    size_t i = 0, shares = 1;
    if (t->shard && (!value_share(t->shard, &i, &shares) || shares > n))
        die(EXIT_USAGE, "--shard '%s' is not I/N with 0 <= I < N, and N at most the %zu rows",
            t->shard, n);
    t->first_row = n * i / shares;
    return n * (i + 1) / shares - t->first_row;
}

void task_tokens(struct task *t, struct tokens *tokens, const struct model_file *m) {
    struct fail f = {0};
    tokens_load(tokens, t->data.n, t->data.items, &f);
    die_if(&f);
    data_check(m, tokens->tokenizer, tokens->top, tokens->longest, tokens->rows, t->data.items[0]);
    size_t targets = 0;
    for (size_t row = 0; row < tokens->rows; row++)
        for (size_t i = tokens->first[row] + 1; i < tokens->first[row + 1]; i++)
            targets += tokens->mask[i] != 0;
    if (!targets)
        die(EXIT_BADDATA, "'%s' has no tokens to predict; tokenize with --kind text or sft",
            t->data.items[0]);
    size_t own = share_of(t, tokens->rows);
    tokens_keep_rows(tokens, t->first_row, own);
}

void task_pairs(struct task *t, struct pairs *pairs, const struct model_file *m) {
    struct fail f = {0};
    pairs_load(pairs, t->data.n, t->data.items, &f);
    die_if(&f);
    data_check(m, pairs->tokenizer, pairs->top, pairs->longest, pairs->rows, t->data.items[0]);
    size_t own = share_of(t, pairs->rows);
    pairs_keep_rows(pairs, t->first_row, own);
}

size_t task_source(struct task *t, struct source *s) {
    t->measure.source = s;
    t->measure.tokens = (size_t)t->micro_tokens;
    t->measure.log = t->log;
    return measure_positions(&t->measure);
}

bool task_run(struct task *t) {
    struct fail f = {0};
    const struct measure *m = &t->measure;
    if (t->common.dry_run) {
        size_t bytes = MEM_PROGRAM + measure_plan(m);
        bytes += models_bytes(m->models, m->model) + (size_t)t->more_bytes;
        struct step_totals totals = {0};
        double tokens = 0, work = 0;
        for (size_t i = 0; i < m->source->rows; i++)
            tokens += (double)m->source->measure(m->source->self, i, &totals);
        for (size_t k = 0; k < m->models; k++) work += 2 * (double)model_count(m->model[k]);
        print_result("rows\t%zu", m->source->rows);
        double rate = plan_product_rate(precision_is_bf16(t->precision));
        struct plan plan = {
            .memory = (double)bytes, .disk = -1, .seconds = (work * tokens + t->more_flops) / rate};
        plan_print(t->log, &plan);
        return false;
    }
    measure_run(m, &f);
    die_if(&f);
    return true;
}

void task_end(struct task *t, struct options *o) {
    model_shelf_release(&t->shelf);
    log_close(t->log);
    finish_stdout();
    options_release(o);
}

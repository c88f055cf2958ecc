// eval kl: how far a model has moved from its base, on given responses.
#include "common/base/parallel.h"
#include "common/base/stats.h"
#include "formats/teachers/sources.h"
#include "stages/eval/eval.h"
#include "stages/eval/rows.h"
#include "stages/eval/table.h"
#include "stages/eval/task.h"
#include <math.h>
#include <stdlib.h>

struct kl {
    const char *model, *base;
    bool per_token;
    struct task task;
    struct model_file file[2]; // the model, its base
    struct tokens tokens;
    double *kl;          // of a micro-batch
    double *sum, *count; // (rows)
    struct rows *rows;   // with --per-token
};

static void declare(struct options *o, struct kl *k) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &k->model, .metavar = "FILE", .help = "the model",
         .required = true},
        {"base", OPT_TEXT, OPT_INPUT, &k->base, .metavar = "FILE",
         .help = "the model it is compared with", .required = true},
        {"per-token", OPT_FLAG, OPT_RESULT, &k->per_token,
         .help = "write a row for each response token instead of the table: row,position,token,kl"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    task_options(o, &k->task, "tokens with responses, as generate writes them",
                 "a row for each response: row,tokens,kl (.csv or .json)");
}

struct job {
    const struct kl *k;
    size_t first, V;
    const float *model, *base;
};

static void kl_position(void *self, size_t i) {
    const struct job *j = self;
    j->k->kl[j->first + i] = measure_kl(j->model + i * j->V, j->base + i * j->V, j->V);
}

static void chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct kl *k = self;
    (void)b;
    struct job j = {k, c.first, k->file[0].model.config.vocab_used, logits[0], logits[1]};
    parallel_for(c.count, kl_position, &j);
}

static bool batch(void *self, const struct batch *b, struct fail *f) {
    struct kl *k = self;
    for (size_t p = 0; p < b->positions; p++) {
        size_t row = b->response[b->owner[p]].row;
        k->sum[row] += k->kl[p];
        k->count[row]++;
        if (!isfinite(k->kl[p]))
            return fail_set(f, EXIT_FAILED,
                            "the KL at a token of row %zu is not finite; are the weights sound?",
                            k->task.first_row + row);
        if (!k->rows) continue;
        rows_number(k->rows, (double)(k->task.first_row + row));
        rows_number(k->rows, (double)measure_index(b, p));
        rows_number(k->rows, b->target[p]);
        rows_number(k->rows, k->kl[p]);
    }
    return true;
}

static void write_responses(const struct kl *k) {
    static const char *const names[] = {"row", "tokens", "kl"};
    struct fail f = {0};
    struct rows *r = rows_new(3, names, k->task.output);
    for (size_t row = 0; row < k->tokens.rows; row++) {
        rows_number(r, (double)(k->task.first_row + row));
        rows_number(r, k->count[row]);
        rows_number(r, k->sum[row]);
    }
    rows_finish(r, &f);
    die_if(&f);
}

static void print_summary(const struct kl *k) {
    static const char *const names[] = {"responses",   "tokens",          "kl_per_token",
                                        "token_error", "kl_per_response", "response_error"};
    struct fail f = {0};
    size_t n = k->tokens.rows;
    double error, tokens = 0, per_token = measure_ratio(k->sum, k->count, n, &error);
    for (size_t i = 0; i < n; i++) tokens += k->count[i];
    struct table *t = table_new(sizeof names / sizeof *names, names);
    table_number(t, (double)n, 0);
    table_number(t, tokens, 0);
    table_number(t, per_token, 6);
    table_number(t, error, 6);
    table_number(t, stats_mean(k->sum, n), 4);
    table_number(t, stats_standard_error(k->sum, n), 4);
    table_finish(t, k->task.summary, &f);
    die_if(&f);
}

static void run(struct kl *k) {
    static const char *const names[] = {"row", "position", "token", "kl"};
    struct fail f = {0};
    struct source source;
    source_tokens(&source, &k->tokens);
    k->kl = xmalloc(task_source(&k->task, &source) * sizeof *k->kl);
    k->sum = xcalloc(k->tokens.rows, sizeof *k->sum);
    k->count = xcalloc(k->tokens.rows, sizeof *k->count);
    if (k->per_token) k->rows = rows_new(4, names, k->task.output);
    if (!task_run(&k->task)) return;
    rows_finish(k->rows, &f);
    die_if(&f);
    if (k->task.output && !k->per_token) write_responses(k);
    if (k->task.output || !k->per_token) print_summary(k);
}

int eval_kl(int argc, char **argv) {
    struct kl k = {0};
    struct options o = {.program = "eval kl",
                        .usage = "--model FILE --base FILE --data TOKENS... [options]",
                        .summary =
                            "KL(model || base) in nats over the full vocabulary at every response "
                            "position: the mean per token, and the mean over responses of their "
                            "sums. Standard errors treat responses as independent."};
    declare(&o, &k);
    k.task.measure.self = &k;
    k.task.measure.chunk = chunk;
    k.task.measure.batch = batch;
    task_begin(&k.task, &o, argc, argv);
    task_per_token(&k.task, k.per_token);
    model_shelf_offer(&k.task.shelf, k.base);
    task_model(&k.task, k.model, &k.file[0], NULL);
    task_model(&k.task, k.base, &k.file[1], &k.file[0]);
    task_tokens(&k.task, &k.tokens, &k.file[0]);
    run(&k);
    tokens_release(&k.tokens);
    for (int i = 0; i < 2; i++) model_file_release(&k.file[i]);
    free(k.kl);
    free(k.sum);
    free(k.count);
    task_end(&k.task, &o);
    return EXIT_DONE;
}

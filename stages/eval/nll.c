// eval nll: how well a model predicts given tokens.
#include "formats/teachers/sources.h"
#include "stages/eval/eval.h"
#include "stages/eval/rows.h"
#include "stages/eval/table.h"
#include "stages/eval/task.h"
#include <math.h>
#include <stdlib.h>

struct nll {
    const char *model;
    bool per_token;
    struct task task;
    struct model_file file;
    struct tokens tokens;
    double *logp;        // of a micro-batch
    double *sum, *count; // (rows) nll and targets
    struct rows *rows;   // with --per-token
};

static void declare(struct options *o, struct nll *n) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &n->model, .metavar = "FILE", .help = "the model",
         .required = true},
        {"per-token", OPT_FLAG, OPT_RESULT, &n->per_token,
         .help =
             "write a row for each predicted token instead of the table: row,position,token,nll"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    task_options(o, &n->task, "tokens whose targets are predicted",
                 "the table, or with --per-token its rows (.csv or .json)");
}

static void chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct nll *n = self;
    score_chunk(b, c, logits[0], n->file.model.config.vocab_used, n->logp);
}

static bool batch(void *self, const struct batch *b, struct fail *f) {
    struct nll *n = self;
    for (size_t p = 0; p < b->positions; p++) {
        size_t row = b->response[b->owner[p]].row;
        n->sum[row] -= n->logp[p];
        n->count[row]++;
        if (!isfinite(n->logp[p]))
            return fail_set(f, EXIT_FAILED,
                            "the model gives a token of row %zu a log-probability that is not "
                            "finite; are its weights sound?",
                            n->task.first_row + row);
        if (!n->rows) continue;
        rows_number(n->rows, (double)(n->task.first_row + row));
        rows_number(n->rows, (double)measure_index(b, p));
        rows_number(n->rows, b->target[p]);
        rows_number(n->rows, -n->logp[p]);
    }
    return true;
}

static void print_summary(const struct nll *n, const char *output) {
    static const char *const names[] = {"rows", "tokens", "nll", "standard_error", "perplexity"};
    struct fail f = {0};
    double error, tokens = 0;
    double nll = measure_ratio(n->sum, n->count, n->tokens.rows, &error);
    for (size_t i = 0; i < n->tokens.rows; i++) tokens += n->count[i];
    struct table *t = table_new(sizeof names / sizeof *names, names);
    table_number(t, (double)n->tokens.rows, 0);
    table_number(t, tokens, 0);
    table_number(t, nll, 6);
    table_number(t, error, 6);
    table_number(t, exp(nll), 4);
    table_finish(t, output ? output : n->task.summary, &f);
    die_if(&f);
}

static void run(struct nll *n) {
    static const char *const names[] = {"row", "position", "token", "nll"};
    struct fail f = {0};
    struct source source;
    const char *output = n->task.output;
    source_tokens(&source, &n->tokens);
    n->logp = xmalloc(task_source(&n->task, &source) * sizeof *n->logp);
    n->sum = xcalloc(n->tokens.rows, sizeof *n->sum);
    n->count = xcalloc(n->tokens.rows, sizeof *n->count);
    if (n->per_token) n->rows = rows_new(4, names, output);
    if (!task_run(&n->task)) return;
    rows_finish(n->rows, &f);
    die_if(&f);
    if (!n->per_token || output) print_summary(n, n->per_token ? n->task.summary : output);
}

int eval_nll(int argc, char **argv) {
    struct nll n = {0};
    struct options o = {.program = "eval nll",
                        .usage = "--model FILE --data TOKENS... [options]",
                        .summary = "Mean negative log-likelihood (nats per token) and perplexity; "
                                   "the standard error treats rows as independent."};
    declare(&o, &n);
    n.task.measure.self = &n;
    n.task.measure.chunk = chunk;
    n.task.measure.batch = batch;
    task_begin(&n.task, &o, argc, argv);
    task_per_token(&n.task, n.per_token);
    if (n.task.output && n.task.summary && !n.per_token)
        die(EXIT_USAGE, "without --per-token, -o is the summary; give one of the two");
    task_model(&n.task, n.model, &n.file, NULL);
    task_tokens(&n.task, &n.tokens, &n.file);
    run(&n);
    tokens_release(&n.tokens);
    model_file_release(&n.file);
    free(n.logp);
    free(n.sum);
    free(n.count);
    task_end(&n.task, &o);
    return EXIT_DONE;
}

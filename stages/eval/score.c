// eval score: the numbers that a command gives to responses.
#include "common/base/jsonout.h"
#include "common/base/pump.h"
#include "common/base/stats.h"
#include "common/base/stop.h"
#include "formats/records/responses.h"
#include "formats/records/verdicts.h"
#include "stages/eval/eval.h"
#include "stages/eval/rows.h"
#include "stages/eval/table.h"
#include "stages/eval/task.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct score {
    const char *scorer, *output, *summary, *verdicts;
    struct opt_list input;
    double timeout;
    struct common_options common;
    struct log *log;
    struct responses responses; // of the current input
    double *score;              // (responses.n)
    struct verdicts *log_of_scores;
    size_t *pending, n_pending; // responses to ask for
    struct rows *rows;
};

static void declare(struct options *o, struct score *s) {
    const struct opt_row rows[] = {
        {"scorer", OPT_TEXT, OPT_RESULT, &s->scorer, .metavar = "COMMAND",
         .help = "command for sh -c: reads a line {\"prompt\", \"response\"} for each response, "
                 "prints one number per line, at any pace",
         .required = true},
        {"input", OPT_LIST, OPT_INPUT, &s->input, .metavar = "FILE...",
         .help = "responses with columns prompt and response (JSONL, CSV)", .required = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "FILE",
         .help = "a row for each response: input,row,sample,score (.csv or .json)"},
        {"verdicts", OPT_TEXT, OPT_OUTPUT, &s->verdicts, .metavar = "FILE",
         .help = "log of scores (JSONL): what it holds is not asked again, what is new is added"},
        {"timeout", OPT_TIME, OPT_EXEC, &s->timeout, .value = "0", .metavar = "T",
         .help = "give up when the scorer is silent this long, 0 = never"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    task_summary_row(o, &s->summary);
    common_options_rows(o, &s->common);
}

static struct hash128 key(const struct score *s, size_t i) {
    return verdicts_key(&s->responses.items[i], &s->responses.items[i]);
}

// Whether the score of a response is known, from the log or from now.
static bool is_known(struct score *s, size_t i) {
    const char *reply = verdicts_reply(s->log_of_scores, key(s, i));
    return reply && pump_number(reply, &s->score[i]);
}

// Without a log each response is asked for; with one, those of equal text once.
static void find_pending(struct score *s) {
    s->n_pending = 0;
    for (size_t i = 0; i < s->responses.n; i++)
        if (!s->verdicts || (!is_known(s, i) && verdicts_claim(s->log_of_scores, key(s, i))))
            s->pending[s->n_pending++] = i;
}

static void ask(void *self, size_t i, struct str *line) {
    const struct score *s = self;
    const struct response_text *t = &s->responses.items[s->pending[i]];
    str_puts(line, "{\"prompt\": ");
    jsonout_bytes(line, t->prompt, t->prompt_bytes);
    str_puts(line, ", \"response\": ");
    jsonout_bytes(line, t->response, t->response_bytes);
    str_puts(line, "}\n");
}

static bool answer(void *self, size_t i, const char *line, struct fail *f) {
    struct score *s = self;
    char excerpt[PUMP_EXCERPT];
    pump_excerpt(line, excerpt);
    double *score = &s->score[s->pending[i]];
    if (!pump_number(line, score))
        return fail_set(f, EXIT_BADDATA,
                        "the scorer's line %zu is '%s', not a number; it must print one per line",
                        i + 1, excerpt);
    log_progress(s->log, "response", i + 1, s->n_pending, NULL);
    if (!s->verdicts) return true;
    struct str text = {0};
    jsonout_number(&text, *score);
    bool ok = verdicts_add_reply(s->log_of_scores, key(s, s->pending[i]), text.text, f);
    str_release(&text);
    return ok;
}

static void score_input(struct score *s, const char *path, struct table *t) {
    struct fail f = {0};
    responses_load(&s->responses, path, &f);
    die_if(&f);
    size_t n = s->responses.n;
    s->score = xmalloc(n * sizeof *s->score);
    s->pending = xmalloc(n * sizeof *s->pending);
    find_pending(s);
    struct pump pump = {.name = "scorer",
                        .command = s->scorer,
                        .questions = s->n_pending,
                        .timeout = s->timeout,
                        .self = s,
                        .ask = ask,
                        .answer = answer};
    stop_init(0);
    if (s->n_pending) pump_run(&pump, &f);
    log_end_progress(s->log);
    die_if(&f);
    for (size_t i = 0; i < n && s->verdicts; i++) is_known(s, i);
    table_text(t, path);
    table_number(t, (double)n, 0);
    table_number(t, stats_mean(s->score, n), 6);
    table_number(t, stats_deviation(s->score, n), 6);
    table_number(t, stats_standard_error(s->score, n), 6);
    for (size_t i = 0; i < n && s->rows; i++) {
        rows_text(s->rows, path, strlen(path));
        rows_number(s->rows, (double)s->responses.items[i].row);
        rows_number(s->rows, (double)s->responses.items[i].sample);
        rows_number(s->rows, s->score[i]);
    }
    free(s->score);
    free(s->pending);
    responses_release(&s->responses);
}

// --dry-run: every input is read, nothing is run
static void check_input(const char *path) {
    struct fail f = {0};
    struct responses r;
    responses_load(&r, path, &f);
    die_if(&f);
    print_result("responses\t%zu\t%s", r.n, path);
    responses_release(&r);
}

static void run(struct score *s) {
    static const char *const names[] = {"input", "responses", "mean", "sd", "standard_error"};
    static const char *const row_names[] = {"input", "row", "sample", "score"};
    struct fail f = {0};
    struct table *t = table_new(sizeof names / sizeof *names, names);
    s->log_of_scores = verdicts_open(s->verdicts, s->scorer, &f);
    die_if(&f);
    const char *other = verdicts_other_judge(s->log_of_scores);
    if (other) warn("'%s' holds scores of another scorer, '%s'; they are kept", s->verdicts, other);
    if (s->output) s->rows = rows_new(4, row_names, s->output);
    for (size_t i = 0; i < s->input.n; i++) score_input(s, s->input.items[i], t);
    verdicts_close(s->log_of_scores);
    rows_finish(s->rows, &f);
    die_if(&f);
    table_finish(t, s->summary, &f);
    die_if(&f);
}

int eval_score(int argc, char **argv) {
    struct score s = {0};
    struct options o = {.program = "eval score",
                        .usage = "--scorer COMMAND --input FILE... [options]",
                        .summary = "Mean, standard deviation and standard error of a scorer's "
                                   "numbers, one line for each input."};
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    task_check_outputs(&s.common, s.output, s.summary);
    s.log = log_open(s.common.progress, s.common.quiet, s.common.verbose);
    if (s.common.dry_run)
        for (size_t i = 0; i < s.input.n; i++) check_input(s.input.items[i]);
    else
        run(&s);
    log_close(s.log);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

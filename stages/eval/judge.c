// eval judge: responses A against B by the preferences of a command, asked in both orders.
#include "common/base/jsonout.h"
#include "common/base/pump.h"
#include "common/method/winrate.h"
#include "common/base/stop.h"
#include "formats/records/responses.h"
#include "formats/records/verdicts.h"
#include "stages/eval/eval.h"
#include "stages/eval/protocol.h"
#include "stages/eval/rows.h"
#include "stages/eval/table.h"
#include "stages/eval/task.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct judge {
    const char *command, *verdicts, *output, *summary, *path[2];
    double timeout;
    struct common_options common;
    struct log *log;
    struct responses side[2]; // A, B
    size_t n;                 // of each
    struct verdicts *log_of_verdicts;
    size_t *pending, n_pending; // questions to ask: 2 i: A first, 2 i + 1: B first
    struct protocol_run protocol;
    double *preference, *shown[2]; // (n) for A; as answered with A first and with B first
};

static void declare(struct options *o, struct judge *j) {
    const struct opt_row rows[] = {
        {"a", OPT_TEXT, OPT_INPUT, &j->path[0], .metavar = "FILE",
         .help = "responses A, with columns prompt and response (JSONL, CSV)"},
        {"b", OPT_TEXT, OPT_INPUT, &j->path[1], .metavar = "FILE",
         .help = "responses B, the baseline, to the same prompts in the same order"},
        {"judge", OPT_TEXT, OPT_RESULT, &j->command, .metavar = "COMMAND",
         .help = "run by sh -c; reads lines {\"prompt\", \"response_a\", \"response_b\"} on stdin, "
                 "prints for each one number from 0 to 1 a line, at any pace: 1 = response_a is "
                 "better, 0 = response_b is, 0.5 = a draw"},
        {"verdicts", OPT_TEXT, OPT_OUTPUT, &j->verdicts, .metavar = "FILE",
         .help =
             "log of verdicts (JSONL): what it holds is not asked again, new verdicts are added"},
        {"output", OPT_TEXT, OPT_OUTPUT, &j->output, .letter = 'o', .metavar = "FILE",
         .help = "a row for each pair of responses (.csv or .json)"},
        {"timeout", OPT_TIME, OPT_EXEC, &j->timeout, .value = "0", .metavar = "T",
         .help = "give up when the judge is silent this long, 0 = never"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    protocol_rows(o, &j->protocol);
    task_summary_row(o, &j->summary);
    common_options_rows(o, &j->common);
}

static void load_responses(struct judge *j) {
    struct fail f = {0};
    for (int s = 0; s < 2; s++) {
        responses_load(&j->side[s], j->path[s], &f);
        die_if(&f);
    }
    j->n = j->side[0].n;
    if (j->n != j->side[1].n)
        die(EXIT_BADDATA,
            "'%s' has %zu responses and '%s' has %zu; give responses to the same prompts",
            j->path[0], j->n, j->path[1], j->side[1].n);
    for (size_t i = 0; i < j->n; i++) {
        const struct response_text *a = &j->side[0].items[i], *b = &j->side[1].items[i];
        if (a->prompt_bytes != b->prompt_bytes || memcmp(a->prompt, b->prompt, a->prompt_bytes))
            die(EXIT_BADDATA,
                "'%s' line %zu and '%s' line %zu answer different prompts; give both in "
                "the same order",
                j->path[0], a->line, j->path[1], b->line);
    }
}

// Question 2 i shows A as response_a, question 2 i + 1 shows B.
static const struct response_text *shown(const struct judge *j, size_t question, int place) {
    return &j->side[(question + (size_t)place) % 2].items[question / 2];
}

static struct hash128 key(const struct judge *j, size_t question) {
    return verdicts_key(shown(j, question, 0), shown(j, question, 1));
}

static void ask(void *self, size_t i, struct str *line) {
    const struct judge *j = self;
    const struct response_text *a = shown(j, j->pending[i], 0), *b = shown(j, j->pending[i], 1);
    str_puts(line, "{\"prompt\": ");
    jsonout_bytes(line, a->prompt, a->prompt_bytes);
    str_puts(line, ", \"response_a\": ");
    jsonout_bytes(line, a->response, a->response_bytes);
    str_puts(line, ", \"response_b\": ");
    jsonout_bytes(line, b->response, b->response_bytes);
    str_puts(line, "}\n");
}

static bool answer(void *self, size_t i, const char *line, struct fail *f) {
    struct judge *j = self;
    char excerpt[PUMP_EXCERPT];
    double p;
    pump_excerpt(line, excerpt);
    if (!pump_number(line, &p) || p < 0 || p > 1)
        return fail_set(f, EXIT_BADDATA,
                        "the judge's line %zu is '%s', not a number from 0 to 1; it must print one "
                        "a line",
                        i + 1, excerpt);
    log_progress(j->log, "verdict", i + 1, j->n_pending, NULL);
    return verdicts_add(j->log_of_verdicts, key(j, j->pending[i]), p, f);
}

static void find_pending(struct judge *j) {
    struct fail f = {0};
    j->log_of_verdicts = verdicts_open(j->verdicts, j->command, &f);
    die_if(&f);
    j->pending = xmalloc(2 * j->n * sizeof *j->pending);
    for (size_t q = 0; q < 2 * j->n; q++)
        if (verdicts_claim(j->log_of_verdicts, key(j, q))) j->pending[j->n_pending++] = q;
}

static void ask_judge(struct judge *j) {
    struct fail f = {0};
    const char *other = j->command ? verdicts_other_judge(j->log_of_verdicts) : NULL;
    if (other)
        warn("'%s' holds verdicts of another judge, '%s'; they are kept", j->verdicts, other);
    if (!j->n_pending) return;
    if (!j->command)
        die(EXIT_USAGE,
            "%zu of %zu verdicts are not known; give --judge COMMAND, or a --verdicts "
            "log that holds them",
            j->n_pending, 2 * j->n);
    struct pump pump = {.name = "judge",
                        .command = j->command,
                        .questions = j->n_pending,
                        .timeout = j->timeout,
                        .self = j,
                        .ask = ask,
                        .answer = answer};
    stop_init(0);
    pump_run(&pump, &f);
    log_end_progress(j->log);
    die_if(&f);
}

static void collect(struct judge *j) {
    for (int s = 0; s < 2; s++) j->shown[s] = xmalloc(j->n * sizeof *j->shown[s]);
    j->preference = xmalloc(j->n * sizeof *j->preference);
    for (size_t i = 0; i < j->n; i++) {
        for (size_t s = 0; s < 2; s++)
            j->shown[s][i] = verdicts_find(j->log_of_verdicts, key(j, 2 * i + s));
        j->preference[i] = 0.5 * (j->shown[0][i] + (1 - j->shown[1][i]));
    }
}

static double length(const struct response_text *t) {
    return (double)responses_characters(t->response, t->response_bytes);
}

static void write_rows(const struct judge *j) {
    static const char *const names[] = {"row",     "sample",   "preference", "a_first",
                                        "b_first", "length_a", "length_b"};
    struct fail f = {0};
    struct rows *r = rows_new(sizeof names / sizeof *names, names, j->output);
    for (size_t i = 0; i < j->n; i++) {
        const struct response_text *a = &j->side[0].items[i], *b = &j->side[1].items[i];
        const double cells[] = {(double)a->row, (double)a->sample, j->preference[i], j->shown[0][i],
                                j->shown[1][i], length(a),         length(b)};
        for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) rows_number(r, cells[c]);
    }
    rows_finish(r, &f);
    die_if(&f);
}

struct measured {
    struct win_rate win;
    struct length_control controlled;
    double length[2], first; // mean characters; mean answer: 0.5 where the order does not matter
};

static struct measured compute(const struct judge *j) {
    struct measured m = {.win = winrate_plain(j->preference, j->n)};
    double *difference = xmalloc(j->n * sizeof *difference), *hard = xmalloc(j->n * sizeof *hard);
    bool difficulty = true;
    for (size_t i = 0; i < j->n; i++) {
        double a = length(&j->side[0].items[i]), b = length(&j->side[1].items[i]);
        m.length[0] += a / (double)j->n;
        m.length[1] += b / (double)j->n;
        m.first += 0.5 * (j->shown[0][i] + j->shown[1][i]) / (double)j->n;
        difference[i] = b - a;
        hard[i] = j->side[0].items[i].difficulty;
        difficulty = difficulty && !isnan(hard[i]);
    }
    m.controlled =
        winrate_length_control(j->preference, difference, difficulty ? hard : NULL, j->n, NULL);
    free(difference);
    free(hard);
    return m;
}

static void print_summary(const struct judge *j) {
    static const struct {
        const char *name;
        int decimals;
    } columns[] = {{"win_rate", 3},
                   {"standard_error", 3},
                   {"n_wins", 0},
                   {"n_wins_base", 0},
                   {"n_draws", 0},
                   {"n_total", 0},
                   {"discrete_win_rate", 3},
                   {"length_controlled_winrate", 3},
                   {"lc_standard_error", 3},
                   {"lc_fit_error", 3},
                   {"avg_length", 1},
                   {"avg_length_base", 1},
                   {"shown_first", 3}};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    const char *names[COLUMNS];
    struct fail f = {0};
    struct measured m = compute(j);
    const double cells[COLUMNS] = {100 * m.win.rate,
                                   100 * m.win.standard_error,
                                   (double)m.win.wins,
                                   (double)m.win.losses,
                                   (double)m.win.draws,
                                   (double)m.win.total,
                                   100 * m.win.discrete,
                                   100 * m.controlled.rate,
                                   100 * m.controlled.standard_error,
                                   100 * m.controlled.fit_error,
                                   m.length[0],
                                   m.length[1],
                                   100 * m.first};
    for (int c = 0; c < COLUMNS; c++) names[c] = columns[c].name;
    struct table *t = table_new(COLUMNS, names);
    for (int c = 0; c < COLUMNS; c++) table_number(t, cells[c], columns[c].decimals);
    table_finish(t, j->summary, &f);
    die_if(&f);
}

static void release(struct judge *j) {
    verdicts_close(j->log_of_verdicts);
    for (int s = 0; s < 2; s++) {
        responses_release(&j->side[s]);
        free(j->shown[s]);
    }
    free(j->pending);
    free(j->preference);
}

static void judge_protocol(struct judge *j, struct options *o) {
    struct protocol_run *p = &j->protocol;
    p->command = j->command;
    p->verdicts = j->verdicts;
    p->output = j->output;
    p->timeout = j->timeout;
    p->seed = (uint64_t)j->common.seed;
    p->log = j->log;
    protocol_main(o, p, j->common.dry_run, j->summary);
}

static void judge_pairs(struct judge *j, const struct options *o) {
    options_refuse(o, "questions|answers|baseline|prompts|references|order|retries",
                   "goes with --protocol mtbench, arenahard or alpacaeval");
    if (!j->path[0] || !j->path[1]) die(EXIT_USAGE, "give the responses --a and --b");
    load_responses(j);
    find_pending(j);
    if (j->common.dry_run) {
        print_result("pairs\t%zu\nquestions\t%zu", j->n, j->n_pending);
        return;
    }
    ask_judge(j);
    collect(j);
    if (j->output) write_rows(j);
    print_summary(j);
}

int eval_judge(int argc, char **argv) {
    struct judge j = {0};
    struct options o = {
        .program = "eval judge",
        .usage = "--a FILE --b FILE --judge COMMAND [--verdicts FILE] [options]",
        .summary =
            "Win rates of A over B in percent, as AlpacaEval defines them. Each pair is shown "
            "in both orders; its preference is the mean. Lengths are in characters; "
            "shown_first is the rate at which the response shown first is preferred."};
    declare(&o, &j);
    options_parse(&o, argc, argv, NULL);
    bool pairs = !strcmp(j.protocol.name, "pairs");
    task_check_outputs(&j.common, pairs ? j.output : NULL, j.summary);
    if (!j.command && !j.verdicts)
        die(EXIT_USAGE, "give --judge COMMAND, or a --verdicts log to replay");
    j.log = log_open(j.common.progress, j.common.quiet, j.common.verbose);
    if (pairs)
        judge_pairs(&j, &o);
    else
        judge_protocol(&j, &o);
    release(&j);
    log_close(j.log);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

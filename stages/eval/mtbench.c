// eval mtbench: the numbers of MT-Bench from ratings of a judge, as FastChat's show_result has
// them: the mean rating of each turn and of both, ratings of -1 (no verdict) left out. Standard
// errors are over questions.
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/base/stats.h"
#include "formats/records/benchmark.h"
#include "formats/records/judgments.h"
#include "stages/eval/eval.h"
#include "stages/eval/table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mtbench {
    struct opt_list judgments;
    const char *questions_path, *output;
    struct judgments j;
    struct benchmark_questions questions;
};

static void declare(struct options *o, struct mtbench *m) {
    const struct opt_row rows[] = {
        {"judgments", OPT_LIST, OPT_INPUT, &m->judgments, .metavar = "FILE...", .required = true,
         .help = "ratings of one or more models: eval judge --protocol mtbench, or FastChat's"},
        {"questions", OPT_TEXT, OPT_INPUT, &m->questions_path, .metavar = "FILE",
         .help = "MT-Bench's questions: adds a row for each category"},
        {"output", OPT_TEXT, OPT_OUTPUT, &m->output, .letter = 'o', .metavar = "FILE",
         .help = "also write the table here (.csv or .json)"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static const char *category_of(const struct mtbench *m, const char *id) {
    for (size_t i = 0; i < m->questions.n; i++)
        if (!strcmp(m->questions.items[i].id, id)) return m->questions.items[i].category;
    die(EXIT_BADDATA, "'%s' has no question '%s'; give the questions that were judged",
        m->questions_path, id);
}

struct ratings {         // of the questions of a row
    size_t n;            // questions with a rating
    double *sum, *count; // (n) of the turns of one
    const char **id;
    double turn_sum[2], turn_count[2];
};

static void add_rating(struct ratings *r, const struct judgment *g) {
    size_t i = 0;
    while (i < r->n && strcmp(r->id[i], g->id) != 0) i++;
    if (i == r->n) {
        r->id[i] = g->id;
        r->sum[i] = r->count[i] = 0;
        r->n++;
    }
    r->sum[i] += g->score;
    r->count[i]++;
    r->turn_sum[g->turn - 1] += g->score;
    r->turn_count[g->turn - 1]++;
}

// category NULL: all of them
static void add_row(struct table *t, const struct mtbench *m, const char *model,
                    const char *category) {
    struct ratings r = {0};
    r.sum = xmalloc(m->j.n * sizeof *r.sum);
    r.count = xmalloc(m->j.n * sizeof *r.count);
    r.id = xmalloc(m->j.n * sizeof *r.id);
    size_t missing = 0;
    for (size_t i = 0; i < m->j.n; i++) {
        const struct judgment *g = &m->j.items[i];
        if (strcmp(g->model, model) || (category && strcmp(category, category_of(m, g->id))))
            continue;
        missing += g->score == -1;
        if (g->score != -1) add_rating(&r, g);
    }
    double total = r.turn_count[0] + r.turn_count[1];
    table_text(t, model);
    table_text(t, category ? category : "all");
    table_number(t, (double)r.n, 0);
    for (int turn = 0; turn < 2; turn++)
        table_number(t, r.turn_count[turn] > 0 ? r.turn_sum[turn] / r.turn_count[turn] : NAN, 4);
    table_number(t, total > 0 ? (r.turn_sum[0] + r.turn_sum[1]) / total : NAN, 4);
    for (size_t i = 0; i < r.n; i++) r.sum[i] /= r.count[i];
    table_number(t, stats_standard_error(r.sum, r.n), 4);
    table_number(t, (double)missing, 0);
    free(r.sum);
    free(r.count);
    free(r.id);
}

static bool is_first(const struct benchmark_questions *q, size_t i) {
    for (size_t before = 0; before < i; before++)
        if (!strcmp(q->items[before].category, q->items[i].category)) return false;
    return true;
}

int eval_mtbench(int argc, char **argv) {
    static const char *const columns[] = {"model",  "category", "questions",      "turn_1",
                                          "turn_2", "score",    "standard_error", "missing"};
    struct mtbench m = {0};
    struct fail f = {0};
    struct options o = {.program = "eval mtbench",
                        .usage = "--judgments FILE... [--questions FILE] [options]",
                        .summary = "MT-Bench's mean ratings by turn and category."};
    declare(&o, &m);
    options_parse(&o, argc, argv, NULL);
    if (!table_output_ok(m.output))
        die(EXIT_USAGE, "-o '%s' ends neither in .csv nor in .json; name it so", m.output);
    judgments_load(&m.j, m.judgments.n, m.judgments.items, &f);
    if (!f.code && m.questions_path) benchmark_questions_load(&m.questions, m.questions_path, &f);
    die_if(&f);
    if (m.j.games)
        die(EXIT_BADDATA, "'%s' holds games of Arena-Hard; see eval arenahard",
            m.judgments.items[0]);
    struct table *t = table_new(sizeof columns / sizeof *columns, columns);
    for (size_t k = 0; k < m.j.models; k++) {
        add_row(t, &m, m.j.model[k], NULL);
        for (size_t i = 0; i < m.questions.n; i++)
            if (is_first(&m.questions, i))
                add_row(t, &m, m.j.model[k], m.questions.items[i].category);
    }
    table_finish(t, m.output, &f);
    die_if(&f);
    judgments_release(&m.j);
    benchmark_questions_release(&m.questions);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

// eval agreement: how often two judges say the same about the same questions.
#include "common/base/log.h"
#include "common/base/stats.h"
#include "common/base/options.h"
#include "common/method/arena.h"
#include "formats/records/judgments.h"
#include "stages/eval/eval.h"
#include "stages/eval/table.h"
#include <math.h>
#include <string.h>

struct agreement {
    const char *path[2], *output;
    struct judgments side[2];
};

struct verdicts_compared {
    struct paired_sums values;
    double same, exact;
};

static void add_verdict(struct verdicts_compared *s, double x, double y, bool exact) {
    stats_pair(&s->values, x, y);
    s->same += (x > 0) - (x < 0) == (y > 0) - (y < 0);
    s->exact += exact;
}

static void add_games(struct verdicts_compared *s, const struct judgment *a,
                      const struct judgment *b) {
    for (int i = 0; i < 2; i++) {
        double x, y;
        bool strong;
        if (arena_label(a->game[i], &x, &strong) && arena_label(b->game[i], &y, &strong))
            add_verdict(s, x - 0.5, y - 0.5, !strcmp(a->game[i], b->game[i]));
    }
}

static struct verdicts_compared compare(const struct agreement *a) {
    struct verdicts_compared s = {0};
    for (size_t i = 0; i < a->side[0].n; i++)
        for (size_t k = 0; k < a->side[1].n; k++) {
            const struct judgment *x = &a->side[0].items[i], *y = &a->side[1].items[k];
            if (strcmp(x->id, y->id) || strcmp(x->model, y->model) || x->turn != y->turn) continue;
            if (a->side[0].games)
                add_games(&s, x, y);
            else if (x->score != -1 && y->score != -1)
                add_verdict(&s, x->score, y->score, x->score == y->score);
        }
    return s;
}

int eval_agreement(int argc, char **argv) {
    static const char *const columns[] = {"verdicts", "same_verdict", "same_winner", "correlation"};
    struct agreement a = {0};
    struct fail f = {0};
    struct options o = {.program = "eval agreement",
                        .usage = "--a FILE --b FILE [options]",
                        .summary = "How often two judges of the same answers agree, in percent."};
    const struct opt_row rows[] = {
        {"a", OPT_TEXT, OPT_INPUT, &a.path[0], .metavar = "FILE", .required = true,
         .help = "judgments of one judge (MT-Bench or Arena-Hard)"},
        {"b", OPT_TEXT, OPT_INPUT, &a.path[1], .metavar = "FILE", .required = true,
         .help = "judgments of the other"},
        {"output", OPT_TEXT, OPT_OUTPUT, &a.output, .letter = 'o', .metavar = "FILE",
         .help = "also write the table here (.csv or .json)"},
    };
    options_add(&o, rows, sizeof rows / sizeof *rows);
    options_parse(&o, argc, argv, NULL);
    if (!table_output_ok(a.output))
        die(EXIT_USAGE, "-o '%s' ends neither in .csv nor in .json; name it so", a.output);
    for (int i = 0; i < 2 && !f.code; i++) judgments_load(&a.side[i], 1, &a.path[i], &f);
    die_if(&f);
    if (a.side[0].games != a.side[1].games)
        die(EXIT_BADDATA, "'%s' and '%s' are of different benchmarks", a.path[0], a.path[1]);
    struct verdicts_compared s = compare(&a);
    if (s.values.n == 0)
        die(EXIT_BADDATA, "'%s' and '%s' have no verdict on the same answer", a.path[0], a.path[1]);
    struct table *t = table_new(sizeof columns / sizeof *columns, columns);
    table_number(t, s.values.n, 0);
    table_number(t, 100 * s.exact / s.values.n, 1);
    table_number(t, a.side[0].games ? 100 * s.same / s.values.n : NAN, 1);
    table_number(t, stats_correlation(&s.values), 4);
    table_finish(t, a.output, &f);
    die_if(&f);
    for (int i = 0; i < 2; i++) judgments_release(&a.side[i]);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

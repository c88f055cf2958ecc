// eval agreement: how often two judges say the same about the same questions.
#include "common/base/log.h"
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

struct sums {
    double n, same, exact, x, y, xx, yy, xy;
};

static void add(struct sums *s, double x, double y, bool exact) {
    s->n++;
    s->same += (x > 0) - (x < 0) == (y > 0) - (y < 0);
    s->exact += exact;
    s->x += x;
    s->y += y;
    s->xx += x * x;
    s->yy += y * y;
    s->xy += x * y;
}

static void add_games(struct sums *s, const struct judgment *a, const struct judgment *b) {
    for (int i = 0; i < 2; i++) {
        double x, y;
        bool strong;
        if (arena_label(a->game[i], &x, &strong) && arena_label(b->game[i], &y, &strong))
            add(s, x - 0.5, y - 0.5, !strcmp(a->game[i], b->game[i]));
    }
}

static struct sums compare(const struct agreement *a) {
    struct sums s = {0};
    for (size_t i = 0; i < a->side[0].n; i++)
        for (size_t k = 0; k < a->side[1].n; k++) {
            const struct judgment *x = &a->side[0].items[i], *y = &a->side[1].items[k];
            if (strcmp(x->id, y->id) || strcmp(x->model, y->model) || x->turn != y->turn) continue;
            if (a->side[0].games)
                add_games(&s, x, y);
            else if (x->score != -1 && y->score != -1)
                add(&s, x->score, y->score, x->score == y->score);
        }
    return s;
}

static double correlation(const struct sums *s) {
    double xy = s->n * s->xy - s->x * s->y;
    return xy / sqrt((s->n * s->xx - s->x * s->x) * (s->n * s->yy - s->y * s->y));
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
    struct sums s = compare(&a);
    if (s.n == 0)
        die(EXIT_BADDATA, "'%s' and '%s' have no verdict on the same answer", a.path[0], a.path[1]);
    struct table *t = table_new(sizeof columns / sizeof *columns, columns);
    table_number(t, s.n, 0);
    table_number(t, 100 * s.exact / s.n, 1);
    table_number(t, a.side[0].games ? 100 * s.same / s.n : NAN, 1);
    table_number(t, correlation(&s), 4);
    table_finish(t, a.output, &f);
    die_if(&f);
    for (int i = 0; i < 2; i++) judgments_release(&a.side[i]);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

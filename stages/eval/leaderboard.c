// eval leaderboard: a model's line among the published ones, by one column.
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/base/value.h"
#include "formats/records/records.h"
#include "stages/eval/eval.h"
#include "stages/eval/table.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    char *model;
    double value;
    bool ours;
};
struct leaderboard {
    struct opt_list rows;
    const char *with, *by, *output;
    int64_t around;
    struct line *line;
    size_t n, capacity;
};

static void declare(struct options *o, struct leaderboard *l) {
    const struct opt_row rows[] = {
        {"row", OPT_LIST, OPT_INPUT, &l->rows, .metavar = "FILE...", .required = true,
         .help = "tables of eval alpaca, mtbench or arenahard -o (.csv)"},
        {"with", OPT_TEXT, OPT_INPUT, &l->with, .metavar = "FILE", .required = true,
         .help = "the published leaderboard (.csv)"},
        {"by", OPT_TEXT, OPT_RESULT, &l->by, .metavar = "COLUMN", .required = true,
         .help = "the column to sort by, in both: length_controlled_winrate, win_rate, score"},
        {"around", OPT_INT, OPT_RESULT, &l->around, .value = "3", .low = 0, .high = 1e6,
         .metavar = "N", .help = "published lines shown above and below each of ours; 0: all"},
        {"output", OPT_TEXT, OPT_OUTPUT, &l->output, .letter = 'o', .metavar = "FILE",
         .help = "also write the table here (.csv or .json)"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static double number(const struct record *r, const char *name) {
    char word[64];
    double v;
    size_t n;
    const char *text = record_text(r, name, &n);
    if (!text || n >= sizeof word) return NAN;
    memcpy(word, text, n);
    word[n] = 0;
    return value_real(word, &v) && isfinite(v) ? v : NAN;
}

// The model's name: of a column `model`, else of the first one.
static char *model_of(const struct record *r) {
    size_t n;
    const char *name = record_text(r, "model", &n);
    if (!name) name = r->cells.n ? csv_field(&r->cells, 0, &n) : NULL;
    return name ? xasprintf("%.*s", (int)n, name) : xstrdup("");
}

// Of our own tables only computed lines of all categories.
static bool is_total(const struct record *r) {
    size_t n;
    const char *category = record_text(r, "category", &n), *source = record_text(r, "source", &n);
    if (category && strncmp(category, "all", 3) != 0) return false;
    return !source || !strncmp(source, "computed", 8);
}

static void read_lines(struct leaderboard *l, const char *path, bool ours) {
    struct fail f = {0};
    struct record r = {0};
    size_t before = l->n;
    struct records *in = records_open(1, &path, SYNTAX_CSV, &f);
    while (in && records_next(in, &r)) {
        double v = number(&r, l->by);
        if (!record_has(&r, l->by))
            die(EXIT_BADDATA, "'%s' has no column '%s'; name one that it has by --by", path, l->by);
        if (isnan(v) || (ours && !is_total(&r))) continue;
        grow(&l->line, &l->capacity, l->n + 1, sizeof *l->line);
        l->line[l->n++] = (struct line){model_of(&r), v, ours};
    }
    record_release(&r);
    if (in) records_close(in);
    die_if(&f);
    if (l->n == before) die(EXIT_BADDATA, "'%s' has no number in column '%s'", path, l->by);
}

static int descending(const void *a, const void *b) {
    const struct line *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? 1 : -1;
    return strcmp(x->model, y->model);
}

static bool near_ours(const struct leaderboard *l, size_t i) {
    if (!l->around) return true;
    for (size_t k = 0; k < l->n; k++)
        if (l->line[k].ours && i + (size_t)l->around >= k && i <= k + (size_t)l->around)
            return true;
    return false;
}

int eval_leaderboard(int argc, char **argv) {
    struct leaderboard l = {0};
    struct fail f = {0};
    struct options o = {.program = "eval leaderboard",
                        .usage = "--row FILE... --with FILE --by COLUMN [options]",
                        .summary = "A model's line among the published ones."};
    declare(&o, &l);
    options_parse(&o, argc, argv, NULL);
    if (!table_output_ok(l.output))
        die(EXIT_USAGE, "-o '%s' ends neither in .csv nor in .json; name it so", l.output);
    for (size_t i = 0; i < l.rows.n; i++) read_lines(&l, l.rows.items[i], true);
    read_lines(&l, l.with, false);
    qsort(l.line, l.n, sizeof *l.line, descending);
    const char *const columns[] = {"rank", "model", l.by, "source"};
    struct table *t = table_new(sizeof columns / sizeof *columns, columns);
    for (size_t i = 0; i < l.n; i++) {
        if (!near_ours(&l, i)) continue;
        table_number(t, (double)i + 1, 0);
        table_text(t, l.line[i].model);
        table_number(t, l.line[i].value, 2);
        table_text(t, l.line[i].ours ? "computed" : "published");
    }
    table_finish(t, l.output, &f);
    die_if(&f);
    for (size_t i = 0; i < l.n; i++) free(l.line[i].model);
    free(l.line);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

// eval alpaca: the metrics of AlpacaEval 2.0 from its own annotation files. A preference of 2 is
// the model's win, 1 the baseline's, 0 or 1.5 a draw. Lengths are in characters.
//
// The published length-controlled win rate also uses instruction difficulties and annotations of
// two "gamed" baselines that are not in AlpacaEval's repository. Estimates of both can be given;
// without them the regression is on length alone. lc_standard_error is AlpacaEval's, how much the
// predictions of the instructions differ; lc_fit_error is how well their mean is known.
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/method/winrate.h"
#include "common/base/value.h"
#include "formats/records/records.h"
#include "formats/bytes/slurp.h"
#include "stages/eval/eval.h"
#include "stages/eval/table.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct alpaca {
    struct opt_list annotations;
    const char *leaderboard, *difficulty, *gamed, *output;
    double *difficulties; // by the order of the instructions; NULL: not given
    size_t n_difficulties;
    struct gamed_moments moments;
};

struct annotations { // of one model, in the order of the file
    size_t n, capacity, kept, dropped;
    double *preference, *length_difference, *difficulty; // kept ones first to last
    double characters;                                   // of the model's outputs
    char model[200];
};

enum { METRICS = 11 };
static const char *const columns[METRICS + 2] = {"model",
                                                 "source",
                                                 "win_rate",
                                                 "standard_error",
                                                 "n_wins",
                                                 "n_wins_base",
                                                 "n_draws",
                                                 "n_total",
                                                 "discrete_win_rate",
                                                 "avg_length",
                                                 "length_controlled_winrate",
                                                 "lc_standard_error",
                                                 "lc_fit_error"};
static const int decimals[METRICS] = {6, 6, 0, 0, 0, 0, 6, 0, 3, 3, 3};

static void declare(struct options *o, struct alpaca *a) {
    const struct opt_row rows[] = {
        {"annotations", OPT_LIST, OPT_INPUT, &a->annotations, .metavar = "FILE...",
         .help = "annotations of one model each (JSON; gzip or plain)", .required = true},
        {"leaderboard", OPT_TEXT, OPT_INPUT, &a->leaderboard, .metavar = "FILE",
         .help = "published leaderboard (CSV): print its row and the difference"},
        {"difficulty", OPT_TEXT, OPT_INPUT, &a->difficulty, .metavar = "FILE",
         .help = "CSV, second column: difficulty of each instruction in order"},
        {"gamed", OPT_TEXT, OPT_INPUT, &a->gamed, .metavar = "FILE",
         .help =
             "JSON {\"T1\", \"T2\", \"lam\"}: moments of the gamed baselines; needs --difficulty"},
        {"output", OPT_TEXT, OPT_OUTPUT, &a->output, .letter = 'o', .metavar = "FILE",
         .help = "also write the table here (.csv or .json)"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static double number(const char *text, size_t n) { // NaN: none, or not a finite number
    char word[64];
    double v;
    if (!text || n >= sizeof word) return NAN;
    memcpy(word, text, n);
    word[n] = 0;
    return value_real(word, &v) && isfinite(v) ? v : NAN;
}

static void read_difficulty(struct alpaca *a, struct fail *f) {
    struct record r = {0};
    struct records *in = records_open(1, &a->difficulty, SYNTAX_CSV, f);
    size_t capacity = 0;
    while (in && records_next(in, &r)) {
        size_t n;
        const char *cell = r.cells.n > 1 ? csv_field(&r.cells, 1, &n) : NULL;
        double v = cell ? number(cell, n) : NAN;
        if (isnan(v))
            die(EXIT_BADDATA,
                "'%s' line %zu: the second column is not a number; give 'index,value'", r.path,
                r.line);
        grow(&a->difficulties, &capacity, a->n_difficulties + 1, sizeof v);
        a->difficulties[a->n_difficulties++] = v;
    }
    record_release(&r);
    records_close(in);
    die_if(f);
}

static void read_gamed(struct alpaca *a, struct fail *f) {
    size_t n;
    char *text = slurp(a->gamed, 1 << 16, &n, f);
    struct json *v = text ? json_parse(text, n, a->gamed, f) : NULL;
    die_if(f);
    const char *const names[] = {"T1", "T2", "lam"};
    for (int i = 0; i < 3; i++)
        if (json_type(json_get(v, names[i])) != JSON_NUMBER)
            die(EXIT_BADDATA, "'%s': no number '%s'; give {\"T1\", \"T2\", \"lam\"}", a->gamed,
                names[i]);
    a->moments.length = json_number(json_get(v, "T1"));
    a->moments.difficulty = json_number(json_get(v, "T2"));
    a->moments.lambda = json_number(json_get(v, "lam"));
    json_free(v);
    free(text);
}

static size_t characters(const struct record *r, const char *name) { // code points of UTF-8
    size_t n, count = 0;
    const char *text = record_text(r, name, &n);
    if (!text)
        die(EXIT_BADDATA, "'%s' line %zu: no text '%s'; is this an AlpacaEval annotation file?",
            r->path, r->line, name);
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static void add_annotation(struct annotations *x, const struct record *r, const struct alpaca *a) {
    size_t model = characters(r, "output_2"), baseline = characters(r, "output_1");
    const struct json *v = record_json(r, "preference");
    double p = json_type(v) == JSON_NUMBER ? json_number(v) : NAN;
    if (p == 0) p = 1.5;
    size_t n;
    const char *name = record_text(r, "generator_2", &n);
    if (!x->n && name) snprintf(x->model, sizeof x->model, "%s", name);
    if (name && strcmp(name, x->model))
        die(EXIT_BADDATA, "'%s' line %zu: the model is '%s' after '%s'; give one model per file",
            r->path, r->line, name, x->model);
    if (a->difficulty && x->n >= a->n_difficulties)
        die(EXIT_BADDATA, "'%s' has more than the %zu instructions of '%s'; give theirs", r->path,
            a->n_difficulties, a->difficulty);
    size_t old = x->capacity;
    grow(&x->preference, &x->capacity, x->n + 1, sizeof p);
    if (x->capacity > old) {
        x->length_difference = xrealloc(x->length_difference, x->capacity * sizeof p);
        x->difficulty = xrealloc(x->difficulty, x->capacity * sizeof p);
    }
    x->characters += (double)model;
    bool good = p >= 1 && p <= 2;
    x->dropped += !good;
    if (good) {
        x->preference[x->kept] = p - 1;
        x->length_difference[x->kept] = (double)baseline - (double)model;
        x->difficulty[x->kept] = a->difficulty ? a->difficulties[x->n] : 0;
        x->kept++;
    }
    x->n++;
}

static void read_annotations(struct annotations *x, const struct alpaca *a, const char *path,
                             struct fail *f) {
    struct record r = {0};
    struct records *in = records_open(1, &path, SYNTAX_AUTO, f);
    while (in && records_next(in, &r)) {
        if (!record_parse(&r)) die_if(&r.bad);
        add_annotation(x, &r, a);
    }
    record_release(&r);
    records_close(in);
    die_if(f);
    if (!x->kept) die(EXIT_BADDATA, "'%s' has no preferences; give an annotation file", path);
    if (x->dropped)
        warn("'%s': %zu annotations without a preference from 1 to 2 left out", path, x->dropped);
}

static void measure(const struct annotations *x, const struct alpaca *a, double m[METRICS]) {
    struct win_rate w = winrate_plain(x->preference, x->kept);
    struct length_control c = winrate_length_control(x->preference, x->length_difference,
                                                     a->difficulty ? x->difficulty : NULL, x->kept,
                                                     a->gamed ? &a->moments : NULL);
    const double all[METRICS] = {100 * w.rate,
                                 100 * w.standard_error,
                                 (double)w.wins,
                                 (double)w.losses,
                                 (double)w.draws,
                                 (double)w.total,
                                 100 * w.discrete,
                                 floor(x->characters / (double)x->n), // as the leaderboard has it
                                 100 * c.rate,
                                 100 * c.standard_error,
                                 100 * c.fit_error};
    memcpy(m, all, sizeof all);
}

static bool published(const struct alpaca *a, const char *model, double m[METRICS],
                      struct fail *f) {
    struct record r = {0};
    bool found = false;
    struct records *in = records_open(1, &a->leaderboard, SYNTAX_CSV, f);
    while (in && !found && records_next(in, &r)) {
        size_t n;
        const char *name = r.cells.n ? csv_field(&r.cells, 0, &n) : NULL;
        found = name && n == strlen(model) && !memcmp(name, model, n);
        for (int i = 0; found && i < METRICS; i++) {
            const char *cell = record_text(&r, columns[i + 2], &n);
            m[i] = cell ? number(cell, n) : NAN;
        }
    }
    record_release(&r);
    records_close(in);
    die_if(f);
    return found;
}

static void add_row(struct table *t, const char *model, const char *source,
                    const double m[METRICS]) {
    table_text(t, model);
    table_text(t, source);
    for (int i = 0; i < METRICS; i++) table_number(t, m[i], decimals[i]);
}

static void one_model(struct table *t, const struct alpaca *a, const char *path, struct fail *f) {
    struct annotations x = {0};
    double m[METRICS], there[METRICS];
    read_annotations(&x, a, path, f);
    measure(&x, a, m);
    add_row(t, x.model, "computed", m);
    if (a->leaderboard) {
        if (published(a, x.model, there, f)) {
            add_row(t, x.model, "published", there);
            for (int i = 0; i < METRICS; i++) m[i] -= there[i];
            add_row(t, x.model, "difference", m);
        } else {
            warn("'%s' has no row '%s'", a->leaderboard, x.model);
        }
    }
    free(x.preference);
    free(x.length_difference);
    free(x.difficulty);
}

int eval_alpaca(int argc, char **argv) {
    struct alpaca a = {0};
    struct fail f = {0};
    struct options o = {.program = "eval alpaca",
                        .usage = "--annotations FILE... [--leaderboard FILE] [options]",
                        .summary = "Win rates of AlpacaEval annotations, beside the leaderboard."};
    declare(&o, &a);
    options_parse(&o, argc, argv, NULL);
    if (a.gamed && !a.difficulty)
        die(EXIT_USAGE, "--gamed needs --difficulty: its rows are the same instructions");
    if (!table_output_ok(a.output))
        die(EXIT_USAGE, "-o '%s' ends neither in .csv nor in .json; name it so", a.output);
    if (!a.difficulty)
        warn("without --difficulty length_controlled_winrate controls for length alone: it is not "
             "the published statistic, which also knows how hard each instruction is");
    if (a.difficulty) read_difficulty(&a, &f);
    if (a.gamed) read_gamed(&a, &f);
    struct table *t = table_new(METRICS + 2, columns);
    for (size_t i = 0; i < a.annotations.n; i++) one_model(t, &a, a.annotations.items[i], &f);
    table_finish(t, a.output, &f);
    die_if(&f);
    finish_stdout();
    free(a.difficulties);
    options_release(&o);
    return EXIT_DONE;
}

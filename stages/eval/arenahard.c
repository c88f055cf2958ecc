// eval arenahard: the scores of Arena-Hard from the verdicts of a judge, beside how often a verdict
// changes with the order of the answers; see common/method/arena.h for the two versions.
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/method/winrate.h"
#include "common/method/arena.h"
#include "formats/records/benchmark.h"
#include "formats/records/judgments.h"
#include "stages/eval/eval.h"
#include "stages/eval/table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct arenahard {
    struct opt_list judgments, answers;
    const char *baseline_path, *version, *style, *output;
    int64_t weight, rounds, seed;
    struct arena_rules rules;
    struct judgments j;
    struct benchmark_answers baseline, *model; // model (j.models); without --answers NULL
};

static void declare(struct options *o, struct arenahard *a) {
    const struct opt_row rows[] = {
        {"judgments", OPT_LIST, OPT_INPUT, &a->judgments, .metavar = "FILE...", .required = true,
         .help = "verdicts on one or more models: eval judge --protocol arenahard, or the "
                 "benchmark's own"},
        {"rules", OPT_CHOICE, OPT_RESULT, &a->version, .value = "auto", .choices = "auto|v0.1|v2",
         .help = "v0.1: Bradley-Terry; v2: mean scores; auto: v2 where the file has uids"},
        {"weight", OPT_INT, OPT_RESULT, &a->weight, .value = "3", .low = 1, .high = 100,
         .metavar = "N", .help = "battles that a strong verdict counts for"},
        {"rounds", OPT_INT, OPT_RESULT, &a->rounds, .value = "100", .low = 0, .high = 1e6,
         .metavar = "N", .help = "rounds of the bootstrap"},
        {"seed", OPT_INT, OPT_RESULT, &a->seed, .value = "42", .low = 0, .high = 9e15,
         .metavar = "N", .help = "random seed of the bootstrap"},
        {"style", OPT_CHOICE, OPT_RESULT, &a->style, .value = "none",
         .choices = "none|length|markdown|both",
         .help = "control style: tokens; headers, list items and bold texts; needs --answers and "
                 "--baseline"},
        {"answers", OPT_LIST, OPT_INPUT, &a->answers, .metavar = "FILE...",
         .help = "the models' answers with their counts, for --style and the tokens' mean"},
        {"baseline", OPT_TEXT, OPT_INPUT, &a->baseline_path, .metavar = "FILE",
         .help = "the baseline's answers, for --style"},
        {"output", OPT_TEXT, OPT_OUTPUT, &a->output, .letter = 'o', .metavar = "FILE",
         .help = "also write the table here (.csv or .json)"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static void set_rules(struct arenahard *a) {
    bool v2 = choice_is(a->version, "v2") || (choice_is(a->version, "auto") && a->j.v2);
    a->rules = (struct arena_rules){.version = v2 ? ARENA_V2 : ARENA_V01,
                                    .length = !strcmp(a->style, "length"),
                                    .markdown = !strcmp(a->style, "markdown"),
                                    .rounds = (size_t)a->rounds,
                                    .seed = (uint64_t)a->seed};
    if (!strcmp(a->style, "both")) a->rules.length = a->rules.markdown = true;
    if (strcmp(a->style, "none") && (!a->answers.n || !a->baseline_path))
        die(EXIT_USAGE, "--style %s needs --answers and --baseline, which hold the counts",
            a->style);
    if (a->j.models + 1 + ARENA_STYLES > WINRATE_FEATURES)
        die(EXIT_USAGE, "%zu models at once are too many; give %d at most", a->j.models,
            WINRATE_FEATURES - 1 - ARENA_STYLES);
}

static void load_verdicts(struct arenahard *a) {
    struct fail f = {0};
    judgments_load(&a->j, a->judgments.n, a->judgments.items, &f);
    die_if(&f);
    if (!a->j.games)
        die(EXIT_BADDATA, "'%s' holds ratings of MT-Bench; see eval mtbench",
            a->judgments.items[0]);
    set_rules(a);
    if (a->baseline_path) benchmark_answers_load(&a->baseline, a->baseline_path, &f);
    if (a->answers.n) a->model = xcalloc(a->j.models, sizeof *a->model);
    for (size_t i = 0; i < a->answers.n && !f.code; i++) {
        struct benchmark_answers one;
        if (!benchmark_answers_load(&one, a->answers.items[i], &f)) break;
        size_t m = judgments_model(&a->j, one.model);
        if (m == a->j.models)
            die(EXIT_BADDATA, "'%s' is of model '%s', which no verdict is about", one.path,
                one.model);
        a->model[m] = one;
    }
    die_if(&f);
    for (size_t m = 0; a->model && m < a->j.models; m++)
        if (!a->model[m].n) die(EXIT_BADDATA, "--answers has none of model '%s'", a->j.model[m]);
}

static void set_counts(double counts[ARENA_STYLES], const struct benchmark_answers *a,
                       const char *id) {
    const struct benchmark_answer *one = benchmark_answer(a, id);
    if (!one) die(EXIT_BADDATA, "'%s' has no answer to question '%s'", a->path, id);
    for (size_t s = 0; s < ARENA_STYLES; s++) {
        counts[s] = one->count[s];
        if (isnan(counts[s]))
            die(EXIT_BADDATA, "'%s' does not count tokens and markdown for question '%s'", a->path,
                id);
    }
}

// The battles of one row of verdicts; the second version takes a row only where both are known.
static void add_battles(const struct arenahard *a, const struct judgment *g,
                        struct arena_battle **battle, size_t *n, size_t *capacity) {
    struct arena_battle b = {.model = judgments_model(&a->j, g->model)};
    double outcome[2];
    bool strong[2], known[2];
    for (int i = 0; i < 2; i++) known[i] = arena_label(g->game[i], &outcome[i], &strong[i]);
    if (a->rules.version == ARENA_V2 && !(known[0] && known[1])) return;
    if (a->rules.length || a->rules.markdown) {
        set_counts(b.ours, &a->model[b.model], g->id);
        set_counts(b.baseline, &a->baseline, g->id);
    }
    for (int i = 0; i < 2; i++) {
        b.outcome = i ? 1 - outcome[i] : outcome[i];
        for (int64_t times = 0; known[i] && times < (strong[i] ? a->weight : 1); times++) {
            grow(battle, capacity, *n + 1, sizeof b);
            (*battle)[(*n)++] = b;
        }
    }
}

struct position { // of verdicts in both orders
    size_t pairs, flips, first, decided;
};

static struct position position_bias(const struct arenahard *a, const char *model,
                                     const char *category) {
    struct position p = {0};
    for (size_t i = 0; i < a->j.n; i++) {
        const struct judgment *g = &a->j.items[i];
        double outcome[2];
        bool strong;
        if (strcmp(g->model, model) || (category && strcmp(category, g->category))) continue;
        if (!arena_label(g->game[0], &outcome[0], &strong) ||
            !arena_label(g->game[1], &outcome[1], &strong))
            continue;
        p.pairs++;
        p.flips += outcome[0] != 1 - outcome[1];
        for (int k = 0; k < 2; k++) { // an outcome of 0: the answer shown first was preferred
            p.first += outcome[k] == 0;
            p.decided += outcome[k] != 0.5;
        }
    }
    return p;
}

static double mean_tokens(const struct arenahard *a, size_t m) {
    double sum = 0;
    if (!a->model) return NAN;
    for (size_t i = 0; i < a->model[m].n; i++) sum += a->model[m].items[i].count[0];
    return sum / (double)a->model[m].n;
}

static double share(size_t part, size_t of) {
    return of ? 100 * (double)part / (double)of : NAN;
}

static void add_rows(struct table *t, const struct arenahard *a, const char *category) {
    struct arena_battle *battle = NULL;
    size_t n = 0, capacity = 0;
    for (size_t i = 0; i < a->j.n; i++)
        if (!category || !strcmp(category, a->j.items[i].category))
            add_battles(a, &a->j.items[i], &battle, &n, &capacity);
    struct arena_score *score = xcalloc(a->j.models, sizeof *score);
    double style[ARENA_STYLES];
    if (!n) die(EXIT_BADDATA, "'%s' holds no verdict", a->judgments.items[0]);
    arena_scores(battle, n, a->j.models, &a->rules, score, style);
    for (size_t m = 0; m < a->j.models; m++) {
        struct position p = position_bias(a, a->j.model[m], category);
        table_text(t, a->j.model[m]);
        table_text(t, category ? category : "all");
        table_number(t, 100 * score[m].score, 2);
        table_number(t, 100 * score[m].lower, 2);
        table_number(t, 100 * score[m].upper, 2);
        table_number(t, mean_tokens(a, m), 0);
        table_number(t, (double)p.pairs, 0);
        table_number(t, share(p.flips, p.pairs), 1);
        table_number(t, share(p.first, p.decided), 1);
        for (size_t s = 0; s < ARENA_STYLES; s++) table_number(t, style[s], 4);
    }
    free(score);
    free(battle);
}

static bool first_of_category(const struct judgments *j, size_t i) {
    for (size_t before = 0; before < i; before++)
        if (!strcmp(j->items[before].category, j->items[i].category)) return false;
    return true;
}

int eval_arenahard(int argc, char **argv) {
    static const char *const columns[] = {
        "model",       "category",    "score",    "lower",     "upper",   "avg_tokens", "questions",
        "order_flips", "shown_first", "b_tokens", "b_headers", "b_lists", "b_bold"};
    struct arenahard a = {0};
    struct fail f = {0};
    struct options o = {
        .program = "eval arenahard",
        .usage = "--judgments FILE... [--style both --answers FILE... --baseline FILE] [options]",
        .summary =
            "Arena-Hard's scores in percent, with intervals. order_flips: how many verdicts "
            "change with the order of the answers; shown_first: how many of the decided ones "
            "prefer the answer shown first; b_: coefficients of the style."};
    declare(&o, &a);
    options_parse(&o, argc, argv, NULL);
    if (!table_output_ok(a.output))
        die(EXIT_USAGE, "-o '%s' ends neither in .csv nor in .json; name it so", a.output);
    load_verdicts(&a);
    struct table *t = table_new(sizeof columns / sizeof *columns, columns);
    size_t categories = 0;
    for (size_t i = 0; i < a.j.n; i++) categories += first_of_category(&a.j, i);
    add_rows(t, &a, NULL);
    for (size_t i = 0; i < a.j.n && categories > 1; i++)
        if (first_of_category(&a.j, i)) add_rows(t, &a, a.j.items[i].category);
    table_finish(t, a.output, &f);
    die_if(&f);
    for (size_t m = 0; a.model && m < a.j.models; m++) benchmark_answers_release(&a.model[m]);
    free(a.model);
    benchmark_answers_release(&a.baseline);
    judgments_release(&a.j);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}

// eval pairs: log-probabilities of chosen and rejected responses, and how often the implicit
// rewards, or those of a reward model, prefer the chosen one.
#include "common/base/stats.h"
#include "common/training/reward_score.h"
#include "formats/teachers/sources.h"
#include "stages/eval/eval.h"
#include "stages/eval/rows.h"
#include "stages/eval/table.h"
#include "stages/eval/task.h"
#include "stages/shared/data_check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DPO, REF, REVERSE, SCORER, MODELS }; // SCORER: the reward model
enum { CHOSEN, REJECTED, SIDES };

struct reward { // log-probabilities (SCORER: scores) of `plus` less those of `minus` (-1: none)
    const char *name;
    int plus, minus;
};
static const struct reward rewards[] = {
    {"dpo_logp", DPO, -1},        {"ref_logp", REF, -1},     {"reverse_logp", REVERSE, -1},
    {"forward", DPO, REF},        {"reverse", REF, REVERSE}, {"contrastive", DPO, REVERSE},
    {"reward_model", SCORER, -1},
};
enum { REWARDS = sizeof rewards / sizeof *rewards };

struct pairs_eval {
    const char *path[MODELS];
    struct task task;
    struct model_file file[MODELS];
    struct pairs pairs;
    double *logp[MODELS];       // of a micro-batch
    double *sum[MODELS][SIDES]; // (rows)
    int slot[MODELS];           // of a model in the measure, -1: not given
};

static void declare(struct options *o, struct pairs_eval *e) {
    const struct opt_row rows[] = {
        {"dpo", OPT_TEXT, OPT_INPUT, &e->path[DPO], .metavar = "FILE", .help = "DPO model"},
        {"reverse", OPT_TEXT, OPT_INPUT, &e->path[REVERSE], .metavar = "FILE",
         .help = "reverse DPO model: adds the contrastive reward, dpo - reverse"},
        {"ref", OPT_TEXT, OPT_INPUT, &e->path[REF], .metavar = "FILE",
         .help = "reference model: adds the forward reward, dpo - ref, and ref - reverse"},
    };
    const struct opt_row scorer[] = {
        {"reward-model", OPT_TEXT, OPT_INPUT, &e->path[SCORER], .metavar = "FILE",
         .help = "reward model (dpo-train --loss reward): adds its own reward"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    options_add(o, scorer, sizeof scorer / sizeof *scorer);
    task_options(o, &e->task, "preference pairs", "a row for each pair (.csv or .json)");
}

static void load_inputs(struct pairs_eval *e) {
    struct fail f = {0};
    if (!e->path[DPO] && (!e->path[SCORER] || e->path[REF] || e->path[REVERSE]))
        die(EXIT_USAGE, "give --dpo with its companions, --reward-model, or both");
    for (int k = 0; k < SCORER; k++) model_shelf_offer(&e->task.shelf, e->path[k]);
    for (int k = 0; k < SCORER; k++) {
        e->slot[k] = e->path[k] ? (int)e->task.measure.models : -1;
        if (e->path[k])
            task_model(&e->task, e->path[k], &e->file[k], k == DPO ? NULL : &e->file[DPO]);
    }
    e->slot[SCORER] = -1;
    struct model_file *scorer = &e->file[SCORER];
    if (e->path[SCORER])
        model_file_load_as(e->path[SCORER], MODEL_REWARD, frozen_is_bf16(e->task.dtype), scorer,
                           &f);
    die_if(&f);
    scorer->model.rounded = precision_is_bf16(e->task.precision);
    task_pairs(&e->task, &e->pairs, e->path[DPO] ? &e->file[DPO] : scorer);
    if (e->path[DPO] && e->path[SCORER])
        data_check(scorer, e->pairs.tokenizer, e->pairs.vocab, e->pairs.longest, e->pairs.rows,
                   e->task.data.items[0]);
}

static void chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct pairs_eval *e = self;
    for (int k = 0; k < MODELS; k++)
        if (e->slot[k] >= 0)
            score_chunk(b, c, logits[e->slot[k]], e->file[DPO].model.config.vocab_used, e->logp[k]);
}

static bool batch(void *self, const struct batch *b, struct fail *f) {
    struct pairs_eval *e = self;
    for (size_t i = 0; i < b->responses; i++) {
        const struct response *r = &b->response[i];
        int side = r->role == RESPONSE_CHOSEN ? CHOSEN : REJECTED;
        for (int k = 0; k < MODELS; k++) {
            if (e->slot[k] < 0) continue;
            double sum = 0;
            for (size_t p = r->first; p < r->first + r->count; p++) sum += e->logp[k][p];
            e->sum[k][side][r->row] = sum;
            if (!isfinite(sum))
                return fail_set(f, EXIT_FAILED,
                                "'%s' gives a response of row %zu a log-probability that is not "
                                "finite; are its weights sound?",
                                e->path[k], e->task.first_row + r->row);
        }
    }
    return true;
}

static void score_side(struct pairs_eval *e, int side) {
    const struct pairs *p = &e->pairs;
    struct reward_text *text = xmalloc(p->rows * sizeof *text);
    const size_t *first = side == CHOSEN ? p->chosen_first : p->rejected_first;
    const int32_t *ids = side == CHOSEN ? p->chosen : p->rejected;
    for (size_t i = 0; i < p->rows; i++)
        text[i] = (struct reward_text){.prompt = p->prompt + p->prompt_first[i],
                                       .prompt_tokens = p->prompt_first[i + 1] - p->prompt_first[i],
                                       .response = ids + first[i],
                                       .response_tokens = first[i + 1] - first[i]};
    reward_score(&e->file[SCORER].model, text, p->rows, (size_t)e->task.micro_tokens,
                 e->sum[SCORER][side]);
    free(text);
}

// Each response is read with its prompt.
static void plan_scorer(struct pairs_eval *e) {
    const struct pairs *p = &e->pairs;
    const struct model *m = &e->file[SCORER].model;
    size_t n = p->rows, tokens = 2 * p->prompt_first[n] + p->chosen_first[n] + p->rejected_first[n];
    size_t arena = reward_score_plan(m, p->longest, (size_t)e->task.micro_tokens);
    e->task.more_bytes = (double)(model_bytes(m) + arena);
    e->task.more_flops = 2 * (double)model_count(m) * (double)tokens;
}

static bool available(const struct pairs_eval *e, const struct reward *r) {
    return e->path[r->plus] && (r->minus < 0 || e->path[r->minus]);
}

static double reward(const struct pairs_eval *e, const struct reward *r, int side, size_t row) {
    return e->sum[r->plus][side][row] - (r->minus < 0 ? 0 : e->sum[r->minus][side][row]);
}

static void add_reward(const struct pairs_eval *e, const struct reward *r, struct table *t) {
    size_t n = e->pairs.rows;
    double *value[SIDES], *margin = xmalloc(n * sizeof *margin),
                          *right = xmalloc(n * sizeof *right);
    for (int side = 0; side < SIDES; side++) {
        value[side] = xmalloc(n * sizeof *value[side]);
        for (size_t i = 0; i < n; i++) value[side][i] = reward(e, r, side, i);
    }
    for (size_t i = 0; i < n; i++) {
        margin[i] = value[CHOSEN][i] - value[REJECTED][i];
        right[i] = margin[i] > 0;
    }
    table_text(t, r->name);
    table_number(t, (double)n, 0);
    table_number(t, stats_mean(right, n), 4);
    table_number(t, stats_standard_error(right, n), 4);
    table_number(t, stats_mean(margin, n), 4);
    table_number(t, stats_standard_error(margin, n), 4);
    for (int side = 0; side < SIDES; side++) {
        table_number(t, stats_mean(value[side], n), 4);
        free(value[side]);
    }
    free(margin);
    free(right);
}

static void print_summary(const struct pairs_eval *e) {
    static const char *const names[] = {"reward", "pairs",        "accuracy", "accuracy_error",
                                        "margin", "margin_error", "chosen",   "rejected"};
    struct fail f = {0};
    struct table *t = table_new(sizeof names / sizeof *names, names);
    for (int i = 0; i < REWARDS; i++)
        if (available(e, &rewards[i])) add_reward(e, &rewards[i], t);
    table_finish(t, e->task.summary, &f);
    die_if(&f);
}

// A row per pair: tokens of both responses, then chosen and rejected of each available reward.
static void write_rows(const struct pairs_eval *e) {
    struct fail f = {0};
    const struct pairs *p = &e->pairs;
    const char *names[3 + 3 * REWARDS] = {"row", "chosen_tokens", "rejected_tokens"};
    char *own[3 * REWARDS];
    size_t n = 0;
    for (int i = 0; i < REWARDS; i++) {
        if (!available(e, &rewards[i])) continue;
        own[n++] = xasprintf("%s_chosen", rewards[i].name);
        own[n++] = xasprintf("%s_rejected", rewards[i].name);
        own[n++] = xasprintf("%s_margin", rewards[i].name);
    }
    memcpy(names + 3, own, n * sizeof *own);
    struct rows *r = rows_new(3 + n, names, e->task.output);
    for (size_t row = 0; row < p->rows; row++) {
        rows_number(r, (double)(e->task.first_row + row));
        rows_number(r, (double)(p->chosen_first[row + 1] - p->chosen_first[row]));
        rows_number(r, (double)(p->rejected_first[row + 1] - p->rejected_first[row]));
        for (int i = 0; i < REWARDS; i++) {
            if (!available(e, &rewards[i])) continue;
            double chosen = reward(e, &rewards[i], CHOSEN, row);
            double rejected = reward(e, &rewards[i], REJECTED, row);
            rows_number(r, chosen);
            rows_number(r, rejected);
            rows_number(r, chosen - rejected);
        }
    }
    rows_finish(r, &f);
    die_if(&f);
    for (size_t i = 0; i < n; i++) free(own[i]);
}

static void release(struct pairs_eval *e) {
    for (int k = 0; k < MODELS; k++) {
        if (e->path[k]) model_file_release(&e->file[k]);
        free(e->logp[k]);
        for (int side = 0; side < SIDES; side++) free(e->sum[k][side]);
    }
    pairs_release(&e->pairs);
}

int eval_pairs(int argc, char **argv) {
    struct pairs_eval e = {0};
    struct options o = {
        .program = "eval pairs",
        .usage = "--data PAIRS... [--dpo FILE [--reverse FILE] [--ref FILE]] [--reward-model FILE] "
                 "[options]",
        .summary = "Log-probabilities of chosen and rejected responses, margins and "
                   "accuracy of the implicit rewards, in nats per response (not scaled "
                   "by beta)."};
    declare(&o, &e);
    e.task.measure.self = &e;
    e.task.measure.chunk = chunk;
    e.task.measure.batch = batch;
    task_begin(&e.task, &o, argc, argv);
    load_inputs(&e);
    struct source source;
    struct pair_source pairs = {.pairs = &e.pairs};
    source_pairs(&source, &pairs);
    size_t positions = task_source(&e.task, &source);
    if (e.path[SCORER]) plan_scorer(&e);
    for (int k = 0; k < MODELS; k++) {
        e.logp[k] = xmalloc(positions * sizeof *e.logp[k]);
        for (int side = 0; side < SIDES; side++)
            e.sum[k][side] = xcalloc(e.pairs.rows, sizeof *e.sum[k][side]);
    }
    if ((!e.path[DPO] && !e.task.common.dry_run) || task_run(&e.task)) {
        for (int side = 0; side < SIDES && e.path[SCORER]; side++) score_side(&e, side);
        if (e.task.output) write_rows(&e);
        print_summary(&e);
    }
    release(&e);
    task_end(&e.task, &o);
    return EXIT_DONE;
}

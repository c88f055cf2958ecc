// eval tokens: what the method sees at each token of given responses: the reward, the strength
// alpha_t, the distance TVD_t of the two models, the entropy of the composed teacher p*, and how
// far p* is from the reference.
#include "common/text/bpe.h"
#include "common/base/parallel.h"
#include "common/method/recipe.h"
#include "common/base/stats.h"
#include "common/base/unicode.h"
#include "formats/teachers/sources.h"
#include "formats/models/tokenizer_json.h"
#include "stages/eval/eval.h"
#include "stages/eval/rows.h"
#include "stages/eval/table.h"
#include "stages/eval/task.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DPO, REVERSE, REF, MODELS };
enum { REWARD, ALPHA, TVD, ENTROPY, KL, VALUES }; // KL(p* || ref): with --ref only

struct tokens_eval {
    const char *path[MODELS], *recipe;
    bool text;
    double reward_beta;
    struct teacher_options teacher;
    struct teacher_rule rule;
    struct task task;
    struct model_file file[MODELS];
    int slot[MODELS], negative, base; // places in the measure; -1: not there
    struct tokens tokens;
    struct tokenizer *tokenizer; // with --text
    double *logp[2];             // of a micro-batch: DPO model, negative
    double *value[VALUES];       // of a micro-batch
    double *sum[VALUES], *count; // (rows)
    struct rows *rows;
};

static void declare(struct options *o, struct tokens_eval *e) {
    const struct opt_row rows[] = {
        {"dpo", OPT_TEXT, OPT_INPUT, &e->path[DPO], .metavar = "FILE", .help = "DPO model",
         .required = true},
        {"reverse", OPT_TEXT, OPT_INPUT, &e->path[REVERSE], .metavar = "FILE",
         .help = "reverse DPO model (with --negative reverse)"},
        {"ref", OPT_TEXT, OPT_INPUT, &e->path[REF], .metavar = "FILE",
         .help =
             "reference model (--base ref, --negative ref; without --reverse it is the negative): "
             "adds KL(p* || ref)"},
        {"text", OPT_FLAG, OPT_RESULT, &e->text, .help = "add a column with the token's text"},
        {"reward-beta", OPT_REAL, OPT_RESULT, &e->reward_beta, .value = "0", .low = 0, .high = 1e6,
         .metavar = "B",
         .help = "b0 of the reward b0 (log p_dpo - log p_negative), 0 = as the DPO model records"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    recipe_row(o, &e->recipe);
    teacher_options_rows(o, &e->teacher);
    task_options(o, &e->task, "tokens with responses",
                 "the rows (.csv or .json) in place of stdout, which then has their means");
}

static void settle_rule(struct tokens_eval *e, const struct options *o) {
    recipe_teacher(e->recipe, o, false, &e->teacher, &e->rule);
    if (e->rule.alpha == ALPHA_KL && !(e->rule.strength > 0))
        die(EXIT_USAGE, "--alpha kl:K takes a K above 0 nats, not %g", e->rule.strength);
    if (!e->path[REVERSE] && !options_given(o, "negative")) e->rule.negative_reverse = false;
    if (e->rule.negative_reverse && !e->path[REVERSE])
        die(EXIT_USAGE, "--negative reverse needs --reverse MODEL; or give --negative ref");
    if ((!e->rule.negative_reverse || !e->rule.base_dpo) && !e->path[REF])
        die(EXIT_USAGE, "give --reverse MODEL, or --ref MODEL for the reward without contrast");
}

static void load_inputs(struct tokens_eval *e) {
    bool needed[MODELS] = {true, e->rule.negative_reverse, e->path[REF] != NULL};
    for (int k = 0; k < MODELS; k++) model_shelf_offer(&e->task.shelf, e->path[k]);
    for (int k = 0; k < MODELS; k++) {
        e->slot[k] = needed[k] ? (int)e->task.measure.models : -1;
        if (needed[k])
            task_model(&e->task, e->path[k], &e->file[k], k == DPO ? NULL : &e->file[DPO]);
    }
    e->negative = e->rule.negative_reverse ? e->slot[REVERSE] : e->slot[REF];
    e->base = e->rule.base_dpo ? e->slot[DPO] : e->slot[REF];
    const struct model_file *dpo = &e->file[DPO];
    if (e->reward_beta == 0) e->reward_beta = dpo->reward_beta > 0 ? dpo->reward_beta : 1;
    task_tokens(&e->task, &e->tokens, dpo);
    if (!e->text) return;
    struct fail f = {0};
    if (!dpo->tokenizer_json)
        die(EXIT_BADDATA, "'%s' has no tokenizer; leave --text out", e->path[DPO]);
    e->tokenizer =
        tokenizer_parse(dpo->tokenizer_json, strlen(dpo->tokenizer_json), "tokenizer.json", &f);
    die_if(&f);
}

struct job {
    struct tokens_eval *e;
    size_t first, V;
    float *dpo, *negative, *base, *ref; // ref: NULL where there is none
};

static void one_position(void *self, size_t i) {
    const struct job *j = self;
    struct tokens_eval *e = j->e;
    size_t at = i * j->V, p = j->first + i;
    double tvd, alpha = teacher_star(&e->rule, j->base + at, j->dpo + at, j->negative + at, j->V,
                                     j->dpo + at, &tvd); // log p* in place of the DPO's logits
    e->value[REWARD][p] = e->reward_beta * (e->logp[0][p] - e->logp[1][p]);
    e->value[ALPHA][p] = alpha;
    e->value[TVD][p] = tvd;
    e->value[ENTROPY][p] = teacher_entropy(j->dpo + at, j->V);
    if (j->ref) e->value[KL][p] = measure_kl(j->dpo + at, j->ref + at, j->V);
}

static void chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct tokens_eval *e = self;
    struct job j = {e,
                    c.first,
                    e->file[DPO].model.config.vocab_used,
                    logits[e->slot[DPO]],
                    logits[e->negative],
                    logits[e->base],
                    e->slot[REF] >= 0 ? logits[e->slot[REF]] : NULL};
    score_chunk(b, c, j.dpo, j.V, e->logp[0]);
    score_chunk(b, c, j.negative, j.V, e->logp[1]);
    parallel_for(c.count, one_position, &j);
}

// A token that is a part of a character only stands as <0xE2>...
static void write_text(struct tokens_eval *e, int32_t id) {
    size_t n;
    char *text = tokenizer_piece(e->tokenizer, id, &n);
    struct str hex = {0};
    bool whole = unicode_valid(text, n);
    for (size_t i = 0; i < n && !whole; i++) str_printf(&hex, "<0x%02X>", (unsigned char)text[i]);
    rows_text(e->rows, whole ? text : hex.text, whole ? n : hex.length);
    str_release(&hex);
    free(text);
}

static void write_position(struct tokens_eval *e, const struct batch *b, size_t p) {
    rows_number(e->rows, (double)(e->task.first_row + b->response[b->owner[p]].row));
    rows_number(e->rows, (double)measure_index(b, p));
    rows_number(e->rows, b->target[p]);
    for (int v = 0; v < KL; v++) rows_number(e->rows, e->value[v][p]);
    if (e->text) write_text(e, b->target[p]);
    if (e->slot[REF] >= 0) rows_number(e->rows, e->value[KL][p]);
}

static bool batch(void *self, const struct batch *b, struct fail *f) {
    struct tokens_eval *e = self;
    for (size_t p = 0; p < b->positions; p++) {
        size_t row = b->response[b->owner[p]].row;
        e->count[row]++;
        for (int v = 0; v < VALUES; v++) {
            e->sum[v][row] += e->value[v][p];
            if (!isfinite(e->value[v][p]))
                return fail_set(f, EXIT_FAILED,
                                "the teacher at a token of row %zu is not finite; are the weights "
                                "sound?",
                                e->task.first_row + row);
        }
        write_position(e, b, p);
    }
    return true;
}

static void print_summary(const struct tokens_eval *e) {
    static const char *const names[] = {
        "responses", "tokens",          "reward",         "alpha",           "tvd",
        "entropy",   "response_reward", "response_error", "kl_per_response", "kl_error"};
    struct fail f = {0};
    size_t n = e->tokens.rows;
    double tokens = 0, error;
    for (size_t i = 0; i < n; i++) tokens += e->count[i];
    bool kl = e->slot[REF] >= 0;
    struct table *t = table_new(kl ? 10 : 8, names);
    table_number(t, (double)n, 0);
    table_number(t, tokens, 0);
    for (int v = 0; v < KL; v++) table_number(t, measure_ratio(e->sum[v], e->count, n, &error), 6);
    table_number(t, stats_mean(e->sum[REWARD], n), 6);
    table_number(t, stats_standard_error(e->sum[REWARD], n), 6);
    if (kl) table_number(t, stats_mean(e->sum[KL], n), 4);
    if (kl) table_number(t, stats_standard_error(e->sum[KL], n), 4);
    table_finish(t, e->task.summary, &f);
    die_if(&f);
}

static void run(struct tokens_eval *e) {
    const char *names[9] = {"row", "position", "token", "reward", "alpha", "tvd", "entropy"};
    size_t columns = 7;
    if (e->text) names[columns++] = "text";
    if (e->slot[REF] >= 0) names[columns++] = "kl";
    struct fail f = {0};
    struct source source;
    source_tokens(&source, &e->tokens);
    size_t positions = task_source(&e->task, &source);
    for (int i = 0; i < 2; i++) e->logp[i] = xmalloc(positions * sizeof *e->logp[i]);
    for (int v = 0; v < VALUES; v++) {
        e->value[v] = xcalloc(positions, sizeof *e->value[v]);
        e->sum[v] = xcalloc(e->tokens.rows, sizeof *e->sum[v]);
    }
    e->count = xcalloc(e->tokens.rows, sizeof *e->count);
    e->rows = rows_new(columns, names, e->task.output);
    if (!task_run(&e->task)) return;
    rows_finish(e->rows, &f);
    die_if(&f);
    if (e->task.output) print_summary(e);
}

static void release(struct tokens_eval *e) {
    for (int k = 0; k < MODELS; k++)
        if (e->slot[k] >= 0) model_file_release(&e->file[k]);
    for (int i = 0; i < 2; i++) free(e->logp[i]);
    for (int v = 0; v < VALUES; v++) {
        free(e->value[v]);
        free(e->sum[v]);
    }
    free(e->count);
    tokens_release(&e->tokens);
    if (e->tokenizer) tokenizer_free(e->tokenizer);
}

int eval_tokens(int argc, char **argv) {
    struct tokens_eval e = {0};
    struct options o = {
        .program = "eval tokens",
        .usage = "--dpo FILE [--reverse FILE] [--ref FILE] --data TOKENS... [options]",
        .summary = "Reward, alpha_t, TVD_t and entropy of the teacher p* at each "
                   "response token: row,position,token,reward,alpha,tvd,entropy; with "
                   "--ref also KL(p* || ref)."};
    declare(&o, &e);
    e.task.measure.self = &e;
    e.task.measure.chunk = chunk;
    e.task.measure.batch = batch;
    task_begin(&e.task, &o, argc, argv);
    task_per_token(&e.task, true);
    settle_rule(&e, &o);
    load_inputs(&e);
    run(&e);
    release(&e);
    task_end(&e.task, &o);
    return EXIT_DONE;
}

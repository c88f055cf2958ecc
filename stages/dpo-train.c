// dpo-train: preference training, forward or (--reverse) on swapped pairs.
#include "common/training/online_teachers.h"
#include "stages/shared/reference_pass.h"
#include "formats/teachers/sources.h"
#include "stages/shared/data_check.h"
#include "common/base/path.h"
#include "common/base/ranks.h"
#include "stages/shared/lora_training.h"
#include "stages/shared/training.h"
#include "stages/shared/training_plan.h"
#include "stages/shared/training_ranks.h"
#include "stages/shared/validation.h"
#include "common/training/score.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct referred { // pairs with the reference's log-probabilities
    struct pairs pairs;
    struct pair_source source;
    double *chosen, *rejected;
};

struct dpo {
    char losses[80]; // the names that --loss takes
    const char *model, *ref, *reference, *output, *loss;
    struct opt_list data;
    struct preference_options options;
    struct common_options common;
    struct train_options train;
    struct model_file policy, ref_model;
    const char *dtype, *precision;
    struct lora lora;
    struct model_shelf shelf;
    bool own_ref; // --ref names another model than the start model
    struct referred train_pairs, held_out;
    struct validation_options valid;
    struct validation validation;
    struct online_teachers *online, *online_valid; // tdpo only
};

static void declare(struct options *o, struct dpo *d) {
    preference_names(d->losses, sizeof d->losses);
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &d->model, .metavar = "FILE", .help = "model to start from",
         .required = true},
        {"data", OPT_LIST, OPT_INPUT, &d->data, .metavar = "FILE...", .help = "preference pairs",
         .required = true, .paths = true},
        {"ref", OPT_TEXT, OPT_INPUT, &d->ref, .metavar = "FILE",
         .help = "reference model; if not given, the start model"},
        {"output", OPT_TEXT, OPT_OUTPUT, &d->output, .letter = 'o', .metavar = "FILE",
         .help = "the trained model", .required = true},
        {"reference", OPT_TEXT, OPT_OUTPUT, &d->reference, .metavar = "FILE",
         .help = "keep the reference's log-probabilities here for other runs, and those of --valid "
                 "beside them; if not given, after -o x.h5 in x.h5.reference.h5"},
        {"loss", OPT_CHOICE, OPT_RESULT, &d->loss, .value = "dpo", .choices = d->losses,
         .help = "preference loss"},
        {"reverse", OPT_FLAG, OPT_RESULT, &d->options.reverse,
         .help = "prefer the rejected responses: makes the reverse DPO model"},
        {"beta", OPT_REAL, OPT_RESULT, &d->options.beta, .value = "0.1", .low = 1e-9, .high = 1e6,
         .metavar = "X", .help = "strength of the penalty for leaving the reference"},
        {"label-smoothing", OPT_REAL, OPT_RESULT, &d->options.smoothing, .value = "0", .low = 0,
         .high = 0.5, .metavar = "X",
         .help = "cdpo, robust: share of labels that are taken to be wrong"},
        {"ipo-sum", OPT_FLAG, OPT_RESULT, &d->options.ipo_sum,
         .help = "ipo: use sums of log-probabilities instead of means"},
        {"simpo-gamma", OPT_REAL, OPT_RESULT, &d->options.simpo_gamma, .value = "0.5", .low = 0,
         .high = 1e3, .metavar = "X", .help = "simpo: target margin"},
        {"tdpo-alpha", OPT_REAL, OPT_RESULT, &d->options.tdpo_alpha, .value = "0.5", .low = 0,
         .high = 1e3, .metavar = "X", .help = "tdpo2: weight of the KL difference"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    lora_rows(o, &d->lora, &d->dtype);
    model_shelf_row(o, &d->shelf);
    frozen_dtype_row(o, &d->dtype,
                     "tdpo's reference, or the model below an adapter: bf16 halves its memory and "
                     "rounds its weights; if not given, an adapter's is bf16 where the model was "
                     "imported in it");
    precision_row(o, &d->precision);
    validation_rows(o, &d->valid, "held-out pairs to validate on");
    train_options_rows(o, &d->train, RATE_DPO, "32");
    common_log_row(o, &d->common);
    common_kernels_row(o, &d->common);
    common_options_rows(o, &d->common);
}

static void check_pairs(const struct referred *r, const struct opt_list *data,
                        const struct model_file *m) {
    const struct pairs *p = &r->pairs;
    data_check(m, p->tokenizer, p->top, p->longest, p->rows, data->items[0]);
}

static void load_pairs(struct referred *r, const struct opt_list *data, bool held_out,
                       const struct model_file *m, struct parents *parents) {
    struct fail f = {0};
    pairs_load(&r->pairs, data->n, data->items, &f);
    die_if(&f);
    (held_out ? parents_add_valid : parents_add_all)(parents, &r->pairs.parents);
    check_pairs(r, data, m);
    r->source.pairs = &r->pairs;
}

static void release_pairs(struct referred *r) {
    pairs_release(&r->pairs);
    free(r->chosen);
    free(r->rejected);
}

static void load_inputs(struct dpo *d, struct parents *parents) {
    struct fail f = {0};
    model_shelf_offer(&d->shelf, d->model);
    lora_load(&d->lora, &d->shelf, d->model, &d->policy);
    d->policy.model.rounded = precision_is_bf16(d->precision);
    parents_add(parents, "model", d->policy.content);
    load_pairs(&d->train_pairs, &d->data, false, &d->policy, parents);
    if (d->valid.data.n) load_pairs(&d->held_out, &d->valid.data, true, &d->policy, parents);
    if (!d->ref) return;
    model_shelf_load(&d->shelf, d->ref, d->policy.model.bf16, &d->ref_model, &f);
    d->ref_model.model.rounded = precision_is_bf16(d->precision);
    die_if(&f);
    model_shelf_trim(&d->shelf);
    parents_add(parents, model_file_kind(&d->ref_model), d->ref_model.content);
    check_pairs(&d->train_pairs, &d->data, &d->ref_model);
    if (d->valid.data.n) check_pairs(&d->held_out, &d->valid.data, &d->ref_model);
    d->own_ref = !hash_equal(d->ref_model.content, d->policy.content);
}

static char *reference_path(const struct dpo *d) {
    return d->reference ? xstrdup(d->reference) : xasprintf("%s.reference.h5", d->output);
}

static void sweep_references(const struct dpo *d) {
    const struct model_file *m = d->own_ref ? &d->ref_model : &d->policy;
    char *path = reference_path(d), *valid = path_part(path, "valid");
    reference_sweep(path, m, &d->train_pairs.pairs);
    if (d->valid.data.n) reference_sweep(valid, m, &d->held_out.pairs);
    free(path);
    free(valid);
}

// The reference's log-probabilities, from the file they are kept in or by a pass of the reference.
static int refer(struct dpo *d, struct referred *r, const char *path, struct log *log) {
    struct fail f = {0};
    size_t rows = r->pairs.rows;
    r->source.chosen = r->chosen = xmalloc(rows * sizeof *r->chosen);
    r->source.rejected = r->rejected = xmalloc(rows * sizeof *r->rejected);
    int code = reference_pass(path, d->own_ref ? &d->ref_model : &d->policy, &r->pairs,
                              (size_t)d->train.micro_tokens, log, r->chosen, r->rejected, &f);
    die_if(&f);
    return code;
}

static int find_references(struct dpo *d, struct log *log) {
    struct fail f = {0};
    if (!ranks_self())
        whole_file_prepare(d->output, &f); // an output that cannot be is found before the work
    die_if(&f);
    char *path = reference_path(d), *valid = path_part(path, "valid");
    int code = refer(d, &d->train_pairs, path, log);
    if (code == EXIT_DONE && d->valid.data.n) code = refer(d, &d->held_out, valid, log);
    free(path);
    free(valid);
    return code;
}

// Its weights too, but those that are the policy's own.
static void drop_reference(struct dpo *d) {
    model_file_release(&d->ref_model);
    model_shelf_trim(&d->shelf);
}

// tdpo needs the reference's whole distribution: its network runs beside the policy.
static struct online_teachers *run_beside(struct dpo *d, const struct net_limits *limits,
                                          struct training *t) {
    struct teacher_models m = {.ref = &d->ref_model.model};
    t->more_bytes += online_teachers_plan(&m, limits);
    t->more_passes = 1;
    return online_teachers_new(&m, NULL, limits);
}

static void start_live(struct dpo *d, struct training *t) {
    struct model *ref = &d->ref_model.model;
    struct fail f = {0};
    if (d->lora.rank && !d->ref) {
        model_share(ref, &d->policy.model);
    } else if (!d->lora.rank && frozen_is_bf16(d->dtype)) {
        if (d->ref) drop_reference(d); // float32, of the pass
        model_shelf_load(&d->shelf, d->ref ? d->ref : d->model, true, &d->ref_model, &f);
        die_if(&f);
        ref->rounded = d->policy.model.rounded;
    } else if (!d->ref) {
        model_copy(ref, &d->policy.model);
    }
    struct net_limits limits = train_limits(&d->train, &t->source);
    const struct model *all[] = {&d->policy.model, ref};
    t->more_bytes += models_bytes(2, all) - models_bytes(1, all);
    d->online = run_beside(d, &limits, t);
    d->options.reference = online_teachers_reference;
    d->options.reference_ctx = d->online;
}

// What belongs to other losses.
static void refuse_idle(const struct options *o, enum preference_loss loss, bool adapter) {
    for (size_t i = 0; i < o->n; i++) {
        char whose[64], why[96];
        if (!preference_idle(loss, o->rows[i].name, whose, sizeof whose)) continue;
        snprintf(why, sizeof why, "is for --loss %s", whose);
        options_refuse(o, o->rows[i].name, why);
    }
    if (!preference_needs_reference(loss))
        options_refuse(o, "ref|reference",
                       "is not for --loss simpo and reward, which have no reference");
    if (preference_is_scored(loss))
        options_refuse(o, "beta",
                       "has no use with --loss reward, whose rewards are the head's own");
    if (preference_is_scored(loss) && adapter)
        die(EXIT_USAGE, "--loss reward trains a head, which an adapter has not; leave out "
                        "--lora-rank");
    if (!preference_needs_distribution(loss) && !adapter)
        options_refuse(
            o, "frozen-dtype",
            "is for the reference of tdpo and for --lora-rank; others keep no frozen model");
}

static void check_options(struct dpo *d, const struct options *o) {
    if (!preference_parse(d->loss, &d->options.loss)) die(EXIT_USAGE, "unknown loss '%s'", d->loss);
    if (d->options.loss == PREFERENCE_ROBUST && d->options.smoothing >= 0.5)
        die(EXIT_USAGE,
            "--label-smoothing %g is out of range for the robust loss; give less than "
            "0.5",
            d->options.smoothing);
    lora_check(&d->lora, o, d->model);
    refuse_idle(o, d->options.loss, d->lora.rank > 0);
}

// A reference in bf16 is another model, however close, than one that is trained in float32.
static bool check_start(void *self, double loss, struct fail *f) {
    struct dpo *d = self;
    return d->own_ref || (frozen_is_bf16(d->dtype) && !d->lora.rank) ||
           preference_check_start(&d->options, loss, f);
}

// The language model becomes a reward model whose head starts at zero.
static void make_reward_model(struct dpo *d) {
    struct model reward;
    char why[200];
    if (!model_reward_from(&reward, &d->policy.model, why, sizeof why))
        die(EXIT_BADDATA, "'%s' cannot become a reward model: %s", d->model, why);
    model_release(&d->policy.model);
    d->policy.model = reward;
}

static size_t bytes_of(const struct referred *r) {
    return pairs_bytes(&r->pairs) + r->pairs.rows * 2 * sizeof *r->chosen;
}

static void start_validation(struct dpo *d, struct training *t) {
    static const char *const numbers[VALIDATION_NUMBERS] = {"reward_accuracy", "reward_margin"};
    struct preference_options options = d->options;
    struct source held_out;
    source_pairs(&held_out, &d->held_out.source);
    t->more_bytes += bytes_of(&d->held_out);
    if (d->online) { // of its own, for batches of its own
        struct net_limits limits = score_limits(&held_out, (size_t)d->train.micro_tokens);
        d->online_valid = run_beside(d, &limits, t);
        options.reference_ctx = d->online_valid;
    }
    validation_start(&d->validation, &d->valid, &held_out,
                     objective_preference_new(&options, model_outputs(&d->policy.model.config)),
                     numbers, t);
}

// The memory of the reference's pass: all models that are there, and its network.
static size_t reference_bytes(const struct dpo *d, const struct source *s) {
    const struct model *all[] = {&d->policy.model, &d->ref_model.model};
    struct net_limits limits = score_limits(s, (size_t)d->train.micro_tokens);
    return models_bytes(2, all) + net_plan(all[d->own_ref], &limits);
}

// How much more memory the reference's pass takes, `before`, than the training after it.
static size_t reference_excess(size_t before, struct training *t) {
    const struct model *m = &t->model->model;
    size_t training = models_bytes(1, &m) + training_plan_passes(t, m) + t->objective->bytes +
                      t->more_bytes + (size_t)training_ranks_memory(t, 0);
    return before > training ? before - training : 0;
}

static int run(struct dpo *d, struct training *t) {
    int code = EXIT_DONE;
    size_t before = 0;
    bool scored = preference_is_scored(d->options.loss);
    bool refers = preference_needs_reference(d->options.loss);
    if (scored) make_reward_model(d);
    d->train_pairs.source.scored = d->held_out.source.scored = scored;
    if (refers && !d->common.dry_run) code = find_references(d, t->log);
    source_pairs(&t->source, &d->train_pairs.source);
    t->more_bytes = bytes_of(&d->train_pairs);
    if (d->common.dry_run && refers) {
        t->more_tokens = training_plan_tokens(&t->source);
        before = reference_bytes(d, &t->source) + t->more_bytes;
    }
    if (preference_needs_distribution(d->options.loss))
        start_live(d, t);
    else
        drop_reference(d);
    lora_attach(&d->lora, &d->policy.model, (uint64_t)d->common.seed);
    struct objective objective =
        objective_preference_new(&d->options, model_outputs(&d->policy.model.config));
    t->model = &d->policy;
    t->objective = &objective;
    t->reward_beta = scored ? 0 : d->options.beta;
    t->reversed = d->options.reverse;
    training_add_hook(t, (struct training_hook){.self = d, .first_loss = check_start});
    if (code == EXIT_DONE && d->valid.data.n) start_validation(d, t);
    if (before) t->more_bytes += reference_excess(before, t);
    if (code == EXIT_DONE) code = training_run(t);
    validation_close(&d->validation);
    online_teachers_free(d->online_valid);
    online_teachers_free(d->online);
    objective_free(&objective);
    return code;
}

int main(int argc, char **argv) {
    struct dpo d = {0};
    struct fail f = {0};
    struct options o = {.program = "dpo-train",
                        .usage = "--model FILE --data FILE... -o FILE [options]",
                        .summary = "Train a model on preference pairs, forward or reverse."};
    ranks_begin(argc, argv);
    declare(&o, &d);
    options_parse(&o, argc, argv, NULL);
    check_options(&d, &o);
    validation_check(&d.valid, &f);
    die_if(&f);
    struct training t = {.stage = "dpo-train",
                         .start = d.model,
                         .output = d.output,
                         .options = &o,
                         .common = &d.common,
                         .train = &d.train};
    training_begin(&t);
    t.lineage.kind = lora_kind(&d.lora);
    load_inputs(&d, &t.lineage.parents);
    training_rate(&t, &d.train, preference_is_scored(d.options.loss) ? RATE_REWARD : RATE_DPO,
                  &d.policy.model, d.lora.rank > 0);
    training_about(&t, "objective", d.loss);
    if (d.options.reverse) training_about(&t, "reverse", "chosen and rejected swapped");
    bool current = training_current(&t);
    if (current && !ranks_self()) sweep_references(&d);
    int code = current ? EXIT_DONE : run(&d, &t);
    release_pairs(&d.train_pairs);
    release_pairs(&d.held_out);
    model_file_release(&d.policy);
    model_file_release(&d.ref_model);
    model_shelf_release(&d.shelf);
    training_end(&t);
    options_release(&o);
    return ranks_end(code);
}

// distill: token-level distillation of a student, from a cache of teacher distributions or, on its
// own samples, from online teachers.
#include "stages/shared/cache_rule.h"
#include "stages/shared/cache_training.h"
#include "stages/shared/group_training.h"
#include "stages/shared/held_out_cache.h"
#include "common/base/ranks.h"
#include "stages/shared/lora_training.h"
#include "stages/shared/policy_training.h"
#include <stdlib.h>
#include <string.h>

struct distill {
    const char *model, *output, *recipe;
    char *alpha; // the teacher's, off-policy
    bool on_policy;
    struct student_options student;
    double reward_beta;
    struct common_options common;
    struct train_options train;
    struct model_file start;
    struct lora lora;               // --frozen-dtype and --base-model are the teachers'
    struct cache_training cache;    // off-policy
    struct held_out_cache held_out; // --valid
    struct policy_training policy;  // on-policy; off-policy these are the monitor's teachers
    struct group_training group;    // on-policy without a teacher
    struct distill_options options;
};

static void declare(struct options *o, struct distill *d) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &d->model, .metavar = "FILE",
         .help = "model to start from: the reference (sft) model", .required = true},
        {"teacher", OPT_LIST, OPT_INPUT, &d->cache.teacher, .metavar = "SHARD...",
         .help =
             "off-policy: teacher shards, of one or several caches, or - for the paths of one on "
             "stdin as teacher-dump finishes them"},
        {"output", OPT_TEXT, OPT_OUTPUT, &d->output, .letter = 'o', .metavar = "FILE",
         .help = "the distilled model", .required = true},
        {"on-policy", OPT_FLAG, OPT_RESULT, &d->on_policy,
         .help = "train on the student's own samples, with the teachers run on them at each step"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    cache_training_rows(o, &d->cache);
    policy_training_inputs(o, &d->policy);
    recipe_row(o, &d->recipe);
    policy_training_rows(o, &d->policy);
    group_training_rows(o, &d->group);
    student_options_rows(o, &d->student);
    monitor_rows(o, &d->cache.monitor);
    const struct opt_row beta[] = {
        {"reward-beta", OPT_REAL, OPT_RESULT, &d->reward_beta, .value = "0", .low = 0, .high = 1e6,
         .metavar = "X", .help = "b0 of --token-weight; 0 = the DPO model's beta"},
    };
    options_add(o, beta, 1);
    lora_rows(o, &d->lora, &d->policy.teachers.dtype);
    validation_rows(o, &d->held_out.options, "held-out teacher shards to validate on");
    train_options_rows(o, &d->train, RATE_DISTILL, "32");
    common_log_row(o, &d->common);
    common_kernels_row(o, &d->common);
    common_options_rows(o, &d->common);
}

static bool grouped(const struct distill *d) {
    return d->on_policy && choice_is(d->policy.options.level, "group");
}

static void check_options(struct distill *d, const struct options *o) {
    lora_check(&d->lora, o, d->model);
    group_training_check(&d->group, &d->policy, o, grouped(d));
    double share =
        choice_is(d->student.divergence, "jsd") ? choice_number(d->student.divergence) : 0.5;
    if (!(share > 0 && share < 1))
        die(EXIT_USAGE, "--divergence jsd:N takes a number between 0 and 1, not %g", share);
    if (d->on_policy && d->cache.teacher.n)
        die(EXIT_USAGE, "--teacher and --on-policy exclude each other; give one of them");
    if (d->on_policy) cache_training_refuse(o);
    if (d->on_policy && !choice_is(d->policy.options.level, "distribution"))
        options_refuse(o, "divergence", "is for --reward-level distribution alone");
    if (d->on_policy) return;
    if (!d->cache.teacher.n)
        die(EXIT_USAGE, "give --teacher SHARDS, or --on-policy and its models");
    policy_training_refuse(&d->policy, o);
    if (!d->lora.rank)
        options_refuse(o, "frozen-dtype",
                       "goes with --on-policy or --lora-rank; a cache was made "
                       "with its own");
    if (!d->policy.teachers.dpo)
        options_refuse(o, "reverse|ref|watch-every",
                       "watches a run from a cache together with --dpo; give that too");
}

// The student's options by recipe; beta: the DPO model's; alpha: the teacher's.
static void settle_student(struct distill *d, const struct options *o, double beta,
                           const char *alpha) {
    bool exact = d->policy.options.exact; // of the objective whose divergence is rkl, the default
    if (exact && options_given(o, "divergence") && !choice_is(d->student.divergence, "rkl"))
        die(EXIT_USAGE, "--exact corrects the gradient of rkl; leave out --divergence %s",
            d->student.divergence);
    recipe_student(d->recipe, o, &d->student, &d->options);
    if (!options_given(o, "reward-beta")) d->reward_beta = beta;
    d->options.reward_beta = d->reward_beta;
    if (d->options.weight == DISTILL_INVERSE_ALPHA && !(d->reward_beta > 0))
        die(EXIT_USAGE,
            "--token-weight inverse-alpha needs the reward's beta, which the teacher does "
            "not state; give --reward-beta");
    if (d->options.weight == DISTILL_INVERSE_ALPHA && choice_is(alpha, "fixed") &&
        !(choice_number(alpha) > 0))
        die(EXIT_USAGE, "--token-weight inverse-alpha divides by alpha, and the teacher's is %s",
            alpha);
}

// The cache says by which recipe it was made; the student's half follows if nothing else is given.
static void agree_on_recipe(struct distill *d, const struct options *o,
                            const struct teacher_info *i) {
    if (!options_given(o, "recipe"))
        d->recipe = i->recipe;
    else if (!i->grid.n && strcmp(d->recipe, i->recipe))
        die(EXIT_USAGE,
            "--recipe %s disagrees with the cache, which was made by '%s'; leave it out "
            "or dump again",
            d->recipe, i->recipe);
}

static void open_cache(struct distill *d, const struct options *o, struct training *t) {
    const struct teacher_info *i = cache_training_open(&d->cache, &d->start);
    agree_on_recipe(d, o, i);
    d->alpha = cache_rule(d->cache.source.set, o, d->recipe, &d->policy.rule, t->log);
    held_out_cache_rule(&d->held_out, d->alpha);
    settle_student(d, o, i->reward_beta, d->alpha);
    if (d->options.weight == DISTILL_UNIFORM && !d->policy.teachers.dpo)
        options_refuse(o, "reward-beta",
                       "is for --token-weight inverse-alpha, and for the reward that is watched "
                       "with --dpo");
    cache_training_choose(&d->cache, o, d->alpha, &d->options, &d->policy.teachers, t);
}

// True: the output is up to date.
static bool open_inputs(struct distill *d, const struct options *o, struct training *t) {
    struct model_shelf *shelf = &d->policy.teachers.shelf;
    model_shelf_offer(shelf, d->model);
    lora_load(&d->lora, shelf, d->model, &d->start);
    d->start.model.rounded = precision_is_bf16(d->policy.teachers.precision);
    lora_attach(&d->lora, &d->start.model, (uint64_t)d->common.seed);
    parents_add(&t->lineage.parents, "model", d->start.content);
    held_out_cache_open(&d->held_out, &d->start, &t->lineage.parents);
    if (grouped(d)) {
        group_training_load(&d->group, &d->policy, d->model, &d->start, d->reward_beta, t);
        recipe_student(d->recipe, o, &d->student, &d->options);
        d->train.repeat = (uint64_t)d->group.options.inner_steps;
    } else if (d->on_policy) {
        policy_training_load(&d->policy, d->recipe, o, t);
        held_out_cache_rule(&d->held_out, d->policy.rule.alpha);
        settle_student(d, o, d->policy.teachers.dpo_model.reward_beta, d->policy.rule.alpha);
    } else {
        open_cache(d, o, t);
    }
    training_rate(t, &d->train, RATE_DISTILL, &d->start.model, d->lora.rank > 0);
    training_options(t);
    bool known = d->on_policy || cache_training_parents(&d->cache, t);
    if (!kept_samples_current(&d->policy.kept, t)) return false;
    if (d->policy.kept.path && training_may_be_current(t)) print_result("%s", d->policy.kept.path);
    return known && training_current(t);
}

static struct objective start(struct distill *d, struct training *t) {
    if (grouped(d))
        return group_training_start(&d->group, &d->policy, &d->start, d->options.normalise, t);
    if (d->on_policy)
        policy_training_start(&d->policy, &d->start, &d->options, t);
    else if (!d->common.dry_run)
        cache_training_start(&d->cache, &d->options, t);
    return objective_distill_new(&d->options, d->start.model.config.vocab_used);
}

// For the record.
static void describe(const struct distill *d, struct training *t) {
    if (grouped(d)) {
        training_about(t, "objective", "group");
        return;
    }
    training_about(t, "recipe", d->recipe);
    training_about(t, "strength", d->on_policy ? d->policy.rule.alpha : d->alpha);
    training_about(t, "divergence", d->student.divergence);
    training_about(t, "responses", d->on_policy ? "the student's own" : "cached");
}

static int train(struct distill *d, struct training *t) {
    describe(d, t);
    struct objective objective = start(d, t);
    t->model = &d->start;
    t->objective = &objective;
    held_out_cache_start(&d->held_out, &d->options, t);
    int code = training_run(t);
    if (!d->on_policy) cache_training_sum_up(&d->cache, t);
    objective_free(&objective);
    return code;
}

int main(int argc, char **argv) {
    struct distill d = {0};
    struct options o = {.program = "distill",
                        .usage =
                            "--model FILE --teacher SHARD...|- -o FILE [options]\n"
                            "       distill --model FILE --on-policy --dpo FILE --reverse FILE "
                            "--data PROMPTS... -o FILE [options]",
                        .summary = "Distil a model from cached teacher distributions, or from "
                                   "teachers that run on its own samples."};
    ranks_begin(argc, argv);
    declare(&o, &d);
    options_parse(&o, argc, argv, NULL);
    check_options(&d, &o);
    struct fail f = {0};
    validation_check(&d.held_out.options, &f);
    die_if(&f);
    struct training t = {.stage = "distill",
                         .start = d.model,
                         .output = d.output,
                         .options = &o,
                         .common = &d.common,
                         .train = &d.train};
    training_begin(&t);
    t.lineage.kind = lora_kind(&d.lora);
    int code = open_inputs(&d, &o, &t) ? EXIT_DONE : train(&d, &t);
    held_out_cache_close(&d.held_out);
    cache_training_close(&d.cache);
    policy_training_close(&d.policy);
    group_training_close(&d.group);
    model_file_release(&d.start);
    training_end(&t);
    options_release(&o);
    free(d.alpha);
    return ranks_end(code);
}

#include "stages/shared/policy_training.h"
#include "stages/shared/data_check.h"
#include <stdlib.h>

void policy_training_inputs(struct options *o, struct policy_training *p) {
    const struct opt_row data[] = {
        {"data", OPT_LIST, OPT_INPUT, &p->data, .metavar = "FILE...",
         .help = "on-policy: prompts, tokens of kind prompt or sft", .paths = true},
    };
    options_add(o, data, 1);
    teachers_rows(o, &p->teachers);
}

void policy_training_rows(struct options *o, struct policy_training *p) {
    teacher_options_rows(o, &p->rule);
    on_policy_rows(o, &p->options);
    kept_samples_row(o, &p->kept);
}

void policy_training_refuse(struct policy_training *p, const struct options *o) {
    options_refuse(o, "data|reward-level|exact|max-new|keep-samples",
                   "goes with --on-policy; a cache was made with its own");
    options_refuse(o, "slots", "is for the samples of --on-policy");
    p->options = (struct on_policy_options){.level = "distribution"};
}

static enum reward_level level(const struct policy_training *p) {
    if (choice_is(p->options.level, "token")) return REWARD_TOKEN;
    if (choice_is(p->options.level, "response")) return REWARD_RESPONSE;
    return REWARD_DISTRIBUTION;
}

static void check(const struct policy_training *p) {
    struct fail f = {0};
    if (!p->data.n) die(EXIT_USAGE, "--on-policy needs prompts to sample from; give --data");
    if (p->options.exact && level(p) != REWARD_DISTRIBUTION)
        die(EXIT_USAGE, "--exact belongs to --reward-level distribution");
    teachers_check(&p->teachers, &p->policy.rule, &f);
    die_if(&f);
}

void policy_training_load(struct policy_training *p, const char *recipe, const struct options *o,
                          struct training *t) {
    struct fail f = {0};
    struct parents *parents = &t->lineage.parents;
    recipe_teacher(recipe, o, true, &p->rule, &p->policy.rule);
    check(p);
    teachers_load(&p->teachers, &p->policy.rule, true, parents, &f);
    die_if(&f);
    tokens_load_prompts(&p->prompts, p->data.n, p->data.items, &f);
    die_if(&f);
    parents_add_all(parents, &p->prompts.parents);
}

// ---- hooks ----

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct policy_training *p = self;
    const struct distill_numbers *n = &p->numbers;
    double kl = p->teachers.models.ref ? n->kl_ref : n->kl_base;
    char *text =
        runaway_step(&p->runaway, &(struct runaway_numbers){step, n->length, kl, n->outside});
    (void)end, (void)f;
    if (text) warn("%s", text);
    free(text);
    return true;
}

static void keep(void *self, struct str *extra) {
    runaway_save(&((struct policy_training *)self)->runaway, extra);
}

static bool restore(void *self, const struct str *extra) {
    return runaway_restore(&((struct policy_training *)self)->runaway, extra->text);
}

static void check_models(const struct policy_training *p, const struct model_file *student,
                         size_t longest) {
    const struct model_file *models[] = {student, &p->teachers.dpo_model,
                                         &p->teachers.reverse_model, &p->teachers.ref_model};
    for (size_t i = 0; i < 4; i++)
        if (models[i]->model.n_params)
            data_check(models[i], p->prompts.tokenizer, p->prompts.top, longest, p->prompts.rows,
                       p->data.items[0]);
    if (p->teachers.dpo_model.model.config.vocab_used != student->model.config.vocab_used)
        die(EXIT_BADDATA,
            "the teachers' vocabulary has %zu entries, the model's %zu; they must come "
            "from one base model",
            p->teachers.dpo_model.model.config.vocab_used, student->model.config.vocab_used);
}

void policy_training_start(struct policy_training *p, struct model_file *student,
                           struct distill_options *d, struct training *t) {
    struct fail f = {0};
    struct on_policy *y = &p->policy;
    y->student = &student->model;
    y->prompts = &p->prompts;
    y->eos = student->eos;
    y->seed = (uint64_t)t->common->seed;
    y->train = t->train;
    y->max_new = (size_t)p->options.max_new;
    y->slots = (size_t)p->options.slots;
    y->teachers = p->teachers.models;
    y->level = d->level = level(p);
    y->exact = d->exact = p->options.exact;
    y->inverse_alpha = d->weight == DISTILL_INVERSE_ALPHA;
    y->reward_beta = d->reward_beta;
    on_policy_source(y, &t->source, &f);
    die_if(&f);
    check_models(p, student, t->source.longest);
    t->more_bytes = on_policy_plan(y) + tokens_bytes(&p->prompts);
    t->more_passes = on_policy_passes(y);
    if (!t->common->dry_run) on_policy_open(y);
    d->teacher = on_policy_teacher;
    d->watch = on_policy_watch;
    d->teacher_ctx = y;
    d->numbers = &p->numbers;
    t->own_samples = true;
    if (p->teachers.models.ref && hash_equal(p->teachers.ref_model.content, student->content))
        t->kl_start = "kl_ref";
    kept_samples_start(&p->kept, t, student, &y->jobs, &y->n, NULL);
    training_add_hook(t,
                      (struct training_hook){
                          .self = p, .after_step = after_step, .keep = keep, .restore = restore});
}

void policy_training_close(struct policy_training *p) {
    kept_samples_close(&p->kept);
    on_policy_close(&p->policy);
    tokens_release(&p->prompts);
    teachers_release(&p->teachers);
}

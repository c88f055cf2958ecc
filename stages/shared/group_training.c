#include "stages/shared/group_training.h"
#include "stages/shared/data_check.h"

void group_training_rows(struct options *o, struct group_training *g) {
    group_policy_rows(o, &g->options);
}

void group_training_check(const struct group_training *g, const struct policy_training *p,
                          const struct options *o, bool group) {
    static const char *const others[] = {"reverse", "recipe",    "base",       "negative",
                                         "alpha",   "plausible", "divergence", "token-weight",
                                         "exact",   "valid"};
    if (!group) {
        group_policy_refuse(o);
        return;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        options_refuse(o, others[i], "has no part in --reward-level group, which has no teacher");
    if (!p->data.n) die(EXIT_USAGE, "--on-policy needs prompts to sample from; give --data");
    if (scorer_is_set(&g->options.scorer) == (p->teachers.dpo != NULL))
        die(EXIT_USAGE, "--reward-level group needs what scores: one of --scorer, --reward-model "
                        "and --dpo");
    if (!p->teachers.dpo) options_refuse(o, "reward-beta", "scales the reward of --dpo");
}

static void load_model(struct policy_training *p, const char *path, struct model_file *m,
                       struct parents *parents) {
    struct fail f = {0};
    struct teachers *t = &p->teachers;
    model_shelf_load(&t->shelf, path, frozen_is_bf16(t->dtype), m, &f);
    die_if(&f);
    m->model.rounded = precision_is_bf16(t->precision);
    parents_add(parents, model_file_kind(m), m->content);
}

void group_training_load(struct group_training *g, struct policy_training *p, const char *path,
                         const struct model_file *student, double beta, struct training *t) {
    struct fail f = {0};
    struct parents *parents = &t->lineage.parents;
    model_shelf_offer(&p->teachers.shelf, p->teachers.ref);
    model_shelf_offer(&p->teachers.shelf, p->teachers.dpo);
    load_model(p, p->teachers.ref ? p->teachers.ref : path, &g->reference, parents);
    if (p->teachers.dpo) load_model(p, p->teachers.dpo, &g->dpo, parents);
    scorer_load(&g->options.scorer, student, parents);
    tokens_load_prompts(&g->prompts, p->data.n, p->data.items, &f);
    die_if(&f);
    parents_add_all(parents, &g->prompts.parents);
    g->policy.reward_beta = beta > 0 ? beta : g->dpo.reward_beta;
    if (p->teachers.dpo && !(g->policy.reward_beta > 0))
        die(EXIT_USAGE, "'%s' does not state its beta; give --reward-beta", p->teachers.dpo);
}

struct objective group_training_start(struct group_training *g, struct policy_training *p,
                                      struct model_file *student, enum distill_normalise normalise,
                                      struct training *t) {
    struct fail f = {0};
    struct group_policy *y = &g->policy;
    const struct model_file *models[] = {student, &g->reference, &g->dpo};
    y->student = &student->model;
    y->reference = &g->reference.model;
    y->dpo = p->teachers.dpo ? &g->dpo.model : NULL;
    y->prompts = &g->prompts;
    y->eos = student->eos;
    y->seed = (uint64_t)t->common->seed;
    y->train = t->train;
    y->max_new = (size_t)p->options.max_new;
    y->slots = (size_t)p->options.slots;
    y->options = &g->options;
    group_policy_source(y, &t->source, &f);
    die_if(&f);
    for (size_t i = 0; i < (y->dpo ? 3 : 2); i++)
        data_check(models[i], g->prompts.tokenizer, g->prompts.top, t->source.span, g->prompts.rows,
                   p->data.items[0]);
    t->more_bytes = group_policy_plan(y) + tokens_bytes(&g->prompts);
    t->more_passes = (3 + (y->dpo != NULL)) / (double)g->options.inner_steps;
    if (!t->common->dry_run) group_policy_open(y);
    t->own_samples = true;
    if (hash_equal(g->reference.content, student->content)) t->kl_start = "kl_ref";
    g->objective = (struct group_options){.clip = g->options.clip,
                                          .kl = g->options.kl,
                                          .normalise = normalise,
                                          .numbers = &y->numbers,
                                          .record = group_policy_record,
                                          .record_ctx = y};
    kept_samples_start(&p->kept, t, student, &y->jobs, &y->n, &y->first);
    training_add_hook(t, (struct training_hook){.self = y,
                                                .after_step = group_policy_after_step,
                                                .keep = group_policy_keep,
                                                .restore = group_policy_restore});
    return objective_group_new(&g->objective, model_outputs(&student->model.config));
}

void group_training_close(struct group_training *g) {
    group_policy_close(&g->policy);
    scorer_release(&g->options.scorer);
    tokens_release(&g->prompts);
    model_file_release(&g->reference);
    model_file_release(&g->dpo);
}

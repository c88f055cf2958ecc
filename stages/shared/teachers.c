#include "stages/shared/teachers.h"
#include "common/engine/linear.h"

void teachers_rows(struct options *o, struct teachers *t) {
    const struct opt_row rows[] = {
        {"dpo", OPT_TEXT, OPT_INPUT, &t->dpo, .metavar = "FILE", .help = "DPO model"},
        {"reverse", OPT_TEXT, OPT_INPUT, &t->reverse, .metavar = "FILE",
         .help = "reverse DPO model (with --negative reverse)"},
        {"ref", OPT_TEXT, OPT_INPUT, &t->ref, .metavar = "FILE",
         .help = "reference model (with --negative ref or --base ref)"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    precision_row(o, &t->precision);
    model_shelf_row(o, &t->shelf);
    frozen_dtype_row(o, &t->dtype,
                     "models that are only run: bf16 halves their memory and rounds their weights");
}

static bool takes_ref(const struct teacher_rule *rule) {
    return !rule->base_dpo || !rule->negative_reverse;
}

bool teachers_check(const struct teachers *t, const struct teacher_rule *rule, struct fail *f) {
    if (!t->dpo) return fail_set(f, EXIT_USAGE, "no --dpo MODEL");
    if (rule->alpha == ALPHA_KL && !(rule->strength > 0))
        return fail_set(f, EXIT_USAGE, "--alpha kl:K takes a K above 0 nats, not %g",
                        rule->strength);
    if (!(rule->strength >= 0))
        return fail_set(f, EXIT_USAGE, "--alpha takes a strength of 0 or more, not %g",
                        rule->strength);
    if (rule->negative_reverse && !t->reverse)
        return fail_set(f, EXIT_USAGE,
                        "--negative reverse needs --reverse MODEL; or give "
                        "--negative ref");
    if (takes_ref(rule) && !t->ref)
        return fail_set(f, EXIT_USAGE, "--base ref and --negative ref need --ref MODEL");
    return true;
}

static bool load_teacher(struct teachers *t, const char *path, struct model_file *m, bool reversed,
                         const char *option, struct parents *parents, struct fail *f) {
    if (!model_shelf_load(&t->shelf, path, frozen_is_bf16(t->dtype), m, f)) return false;
    m->model.rounded = precision_is_bf16(t->precision);
    parents_add(parents, model_file_kind(m), m->content);
    if (m->reward_beta > 0 && m->reversed != reversed)
        warn("'%s', given as --%s, was trained %s --reverse", path, option,
             m->reversed ? "with" : "without");
    const struct model_config *a = &t->dpo_model.model.config, *b = &m->model.config;
    if (a->vocab_used == b->vocab_used && hash_equal(t->dpo_model.tokenizer, m->tokenizer))
        return true;
    return fail_set(f, EXIT_BADDATA,
                    "'%s' has another vocabulary or tokenizer than '%s'; the "
                    "teachers must come from one base model",
                    path, t->dpo);
}

static bool load_all(struct teachers *t, const struct teacher_rule *rule, bool watch,
                     struct parents *parents, struct fail *f) {
    if (!load_teacher(t, t->dpo, &t->dpo_model, false, "dpo", parents, f)) return false;
    t->models.dpo = &t->dpo_model.model;
    if (rule->negative_reverse) {
        if (!load_teacher(t, t->reverse, &t->reverse_model, true, "reverse", parents, f))
            return false;
        t->models.reverse = &t->reverse_model.model;
    }
    if (!t->ref) return true;
    if (!load_teacher(t, t->ref, &t->ref_model, false, "ref", parents, f)) return false;
    if (watch || takes_ref(rule))
        t->models.ref = &t->ref_model.model;
    else
        model_release(&t->ref_model.model);
    return true;
}

bool teachers_load(struct teachers *t, const struct teacher_rule *rule, bool watch,
                   struct parents *parents, struct fail *f) {
    model_shelf_offer(&t->shelf, t->ref);
    model_shelf_offer(&t->shelf, t->dpo);
    model_shelf_offer(&t->shelf, t->reverse);
    bool loaded = load_all(t, rule, watch, parents, f);
    model_shelf_trim(&t->shelf);
    return loaded;
}

void teachers_pack(struct teachers *t) {
    struct model *m[] = {&t->dpo_model.model, &t->reverse_model.model, &t->ref_model.model};
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        if (m[i]->n_params) linear_pack(m[i]);
}

void teachers_release(struct teachers *t) {
    model_file_release(&t->dpo_model);
    model_file_release(&t->reverse_model);
    model_file_release(&t->ref_model);
    model_shelf_release(&t->shelf);
}

// What a dump reads, and what its cache is to serve; see dump_job.h.
#include "stages/shared/dump_job.h"
#include "common/engine/linear.h"
#include "stages/shared/data_check.h"
#include <string.h>

// The model whose gradient the cache is to serve is the one of --ref.
static bool serves_ref(const struct dump_job *d) {
    bool same = d->teachers.ref && (!d->student || !strcmp(d->student, d->teachers.ref));
    return same && (d->student || d->error_budget > 0 || options_given(d->options, "student-k"));
}

void dump_load_models(struct dump_job *d) {
    struct fail f = {0};
    const struct teacher_rule *r = &d->run.rule;
    teachers_check(&d->teachers, r, &f);
    if (d->target.kl > 0 && !d->teachers.ref)
        fail_set(&f, EXIT_USAGE, "--target-kl is measured against the reference; give --ref MODEL");
    die_if(&f);
    teachers_load(&d->teachers, r, d->target.kl > 0 || serves_ref(d), &d->lineage.parents, &f);
    die_if(&f);
    d->run.models = d->teachers.models;
    if (r->base_dpo && r->negative_reverse) d->run.models.ref = NULL; // it is no part of p*
}

// Whether the support is chosen by --error-budget, or by the options that cut it.
void dump_settle_budget(struct dump_job *d) {
    static const char *const cuts[] = {"mass", "top-k", "least", "student-k"};
    const struct options *o = d->options;
    bool asked = options_given(o, "error-budget"), cut = false;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) cut = cut || options_given(o, cuts[i]);
    bool student = d->student || d->teachers.ref;
    if (!student && options_given(o, "student-k"))
        die(EXIT_USAGE, "--student-k needs the --student whose tokens they are");
    if (!student && asked && d->error_budget > 0)
        die(EXIT_USAGE,
            "--error-budget is for the gradient of a model: give it by --student, or by --ref");
    if (!asked && (cut || !student)) d->error_budget = 0;
    if (!(d->error_budget > 0)) {
        if (!student)
            log_note(d->log, "without --ref or --student the cache serves the forward KL alone: "
                             "distill with --divergence fkl, or give one");
        return;
    }
    options_refuse(o, "student-k", "is for a cache without --error-budget");
    d->teacher.mass = 1;
    struct support_budget usual = support_budget_default(d->error_budget);
    if (!options_given(o, "least")) d->teacher.least = usual.least;
    if (!options_given(o, "top-k"))
        d->teacher.top_k = (int64_t)usual.most / (choice_is(d->layout, "components") ? 2 : 1);
}

// The model to be trained, whose tokens are kept as well: they carry the reverse KL.
void dump_load_student(struct dump_job *d) {
    struct fail f = {0};
    const struct model_file *t = &d->teachers.dpo_model, *s = &d->student_model;
    if (serves_ref(d)) {
        d->run.student = &d->teachers.ref_model.model;
    } else if (d->student) {
        model_shelf_load(&d->teachers.shelf, d->student, frozen_is_bf16(d->teachers.dtype),
                         &d->student_model, &f);
        die_if(&f);
        d->student_model.model.rounded = precision_is_bf16(d->teachers.precision);
        if (t->model.config.vocab_used != s->model.config.vocab_used ||
            !hash_equal(t->tokenizer, s->tokenizer))
            die(EXIT_BADDATA,
                "'%s' has another vocabulary or tokenizer than the teachers; it cannot be "
                "trained from them",
                d->student);
        parents_add(&d->lineage.parents, "student", s->content);
        d->run.student = &s->model;
    }
    d->run.student_k = (size_t)d->student_k;
    d->run.inverse_alpha = !strcmp(d->recipe, "published");
    d->run.budget = support_budget_default(d->error_budget);
    d->run.budget.least = d->teacher.least;
    d->run.budget.most = (size_t)d->teacher.top_k;
    teachers_pack(&d->teachers);
    if (d->student_model.model.n_params) linear_pack(&d->student_model.model);
}

static bool is_pairs(const char *path) {
    struct fail f = {0};
    struct artefact a;
    if (!artefact_read(path, NULL, &a, &f)) die_if(&f);
    bool pairs = !strcmp(a.kind, "pairs");
    artefact_release(&a);
    return pairs;
}

size_t dump_positions(const struct tokens *t, size_t row) {
    size_t n = 0;
    for (size_t i = t->first[row] + 1; i < t->first[row + 1]; i++) n += t->mask[i];
    return n;
}

void dump_load_data(struct dump_job *d) {
    struct fail f = {0};
    if (is_pairs(d->data.items[0])) {
        struct pairs p;
        pairs_load(&p, d->data.n, d->data.items, &f);
        die_if(&f);
        d->pairs_bytes = pairs_bytes(&p);
        teacher_dump_responses(&p, !choice_is(d->responses, "rejected"),
                               !choice_is(d->responses, "chosen"), &d->tokens);
        pairs_release(&p);
    } else {
        tokens_load(&d->tokens, d->data.n, d->data.items, &f);
        die_if(&f);
    }
    parents_add_all(&d->lineage.parents, &d->tokens.parents);
    data_check(&d->teachers.dpo_model, d->tokens.tokenizer, d->tokens.top, d->tokens.longest,
               d->tokens.rows, d->data.items[0]);
    size_t positions = 0;
    for (size_t i = 0; i < d->tokens.rows; i++) positions += dump_positions(&d->tokens, i);
    if (!positions)
        die(EXIT_BADDATA,
            "'%s' has no tokens of responses (kind prompt?); give pairs, or tokens with responses",
            d->data.items[0]);
}

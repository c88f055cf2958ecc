// The teachers' models as the stages open them: options, files, and what a rule needs of them.
#pragma once
#include "common/training/online_teachers.h"
#include "common/base/options.h"
#include "formats/models/model_shelf.h"

struct teachers {
    const char *dpo, *reverse, *ref; // --dpo --reverse --ref; NULL: not given
    const char *dtype;               // --frozen-dtype
    const char *precision;           // --precision, of all models of the stage
    struct model_shelf shelf;        // --base-model
    struct model_file dpo_model, reverse_model, ref_model;
    struct teacher_models models; // what is to run
};
void teachers_rows(struct options *o, struct teachers *t);
// EXIT_USAGE where the rule needs a model that is not given, or its strength is negative.
bool teachers_check(const struct teachers *t, const struct teacher_rule *rule, struct fail *f);
// Loads --dpo, --reverse where the rule takes it, and --ref where it is given, whose weights stay
// if the rule takes them or `watch` is set. Adds them to the parents in this order. EXIT_BADDATA
// where they differ in vocabulary or tokenizer; warns where reverse and forward seem mixed up.
bool teachers_load(struct teachers *t, const struct teacher_rule *rule, bool watch,
                   struct parents *parents, struct fail *f);
void teachers_pack(struct teachers *t); // their weights, which only run from now on: linear_pack
void teachers_release(struct teachers *t);

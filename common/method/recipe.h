// The options of the method (METHOD.md section 3) and its presets: `--recipe` gives a value to
// every option that the command line leaves open. teacher-dump owns the teacher's, distill the
// student's.
#pragma once
#include "common/method/objective.h"
#include "common/base/options.h"
#include "common/method/teacher.h"

struct teacher_options {
    const char *base, *negative, *alpha;
    double plausible, mass, least;
    int64_t top_k;
};
struct student_options {
    const char *divergence, *token_weight, *normalise;
};

void recipe_row(struct options *o, const char **recipe);
void teacher_options_rows(struct options *o, struct teacher_options *t);
// --mass --top-k --least; without `defaults` the program settles what is not given.
void teacher_cut_rows(struct options *o, struct teacher_options *t, bool defaults);
void student_options_rows(struct options *o, struct student_options *s);

// Fill in what the command line did not give (o), then translate. `on_policy` matters for the
// published strength alone.
void recipe_teacher(const char *recipe, const struct options *o, bool on_policy,
                    struct teacher_options *t, struct teacher_rule *rule);
void recipe_student(const char *recipe, const struct options *o, struct student_options *s,
                    struct distill_options *d);
// "damped:1", 0.25 -> "damped:0.25"; free() it.
char *recipe_strength(const char *alpha, double strength);
// The alpha rule of the option's text, `damped:1`; false: it is none.
bool recipe_alpha(const char *text, struct teacher_rule *rule);
// The rule as JSON, for the cache's attributes, with the KL to the reference and its standard error
// that a search for the strength measured (kl 0: there was none); free() it.
char *recipe_rule_json(const struct teacher_options *t, double kl, double error);

#include "common/method/recipe.h"
#include "common/base/jsonout.h"
#include <string.h>

void recipe_row(struct options *o, const char **recipe) {
    const struct opt_row row[] = {
        {"recipe", OPT_CHOICE, OPT_RESULT, recipe, .value = "adaptive",
         .choices = "adaptive|published",
         .help =
             "preset of the method's options; an option that is given counts more, and training "
             "from a cache has the cache's"},
    };
    options_add(o, row, 1);
}

// Defaults are shown by --help as the adaptive recipe has them; `recipe_*` replace them.
void teacher_options_rows(struct options *o, struct teacher_options *t) {
    const struct opt_row rows[] = {
        {"base", OPT_CHOICE, OPT_RESULT, &t->base, .value = "dpo", .choices = "dpo|ref",
         .help = "model whose logits are extrapolated"},
        {"negative", OPT_CHOICE, OPT_RESULT, &t->negative, .value = "reverse",
         .choices = "reverse|ref", .help = "model that the DPO model is contrasted with"},
        {"alpha", OPT_CHOICE, OPT_RESULT, &t->alpha, .value = "damped:1",
         .choices = "fixed:|damped:|tvd:|kl:",
         .help =
             "strength of the extrapolation: S, S (1 - TVD) + 1e-3, or S TVD + 1e-3; kl:K: at each "
             "position the one with which p* is K nats from its base, 30 at most"},
        {"plausible", OPT_REAL, OPT_RESULT, &t->plausible, .value = "0.001", .low = 0, .high = 1,
         .metavar = "E",
         .help = "do not extrapolate tokens below E times the base's highest probability, 0 = off"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

void teacher_cut_rows(struct options *o, struct teacher_options *t, bool defaults) {
    struct opt_row rows[] = {
        {"mass", OPT_REAL, OPT_RESULT, &t->mass, .value = "1", .low = 0, .high = 1, .metavar = "X",
         .help = "keep the smallest set of tokens with this probability; 1 = no limit"},
        {"top-k", OPT_INT, OPT_RESULT, &t->top_k, .value = "256", .low = 1, .high = 65000,
         .metavar = "N",
         .help = "most tokens kept per position, besides the realised and the end token"},
        {"least", OPT_REAL, OPT_RESULT, &t->least, .value = "0.001", .low = 0, .high = 1,
         .metavar = "P",
         .help = "leave out tokens less likely than this, except the most likely one"},
    };
    for (size_t i = 0; !defaults && i < sizeof rows / sizeof *rows; i++) rows[i].value = NULL;
    options_add(o, rows, sizeof rows / sizeof *rows);
}

void student_options_rows(struct options *o, struct student_options *s) {
    const struct opt_row rows[] = {
        {"divergence", OPT_CHOICE, OPT_RESULT, &s->divergence, .value = "rkl",
         .choices = "fkl|rkl|jsd:",
         .help = "what is minimised: fkl KL(p* || p), rkl KL(p || p*), jsd Jensen-Shannon's with "
                 "this weight of p*, between 0 and 1"},
        {"token-weight", OPT_CHOICE, OPT_RESULT, &s->token_weight, .value = "uniform",
         .choices = "uniform|inverse-alpha",
         .help = "weight of a position in the loss: 1, or b0 / alpha"},
        {"normalise", OPT_CHOICE, OPT_RESULT, &s->normalise, .value = "token",
         .choices = "sequence|token|sum",
         .help = "mean per response and then over responses; over all tokens; or sum per response "
                 "and then mean"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static bool published(const char *recipe) {
    return !strcmp(recipe, "published");
}

void recipe_teacher(const char *recipe, const struct options *o, bool on_policy,
                    struct teacher_options *t, struct teacher_rule *rule) {
    if (published(recipe)) {
        if (!options_given(o, "alpha")) t->alpha = on_policy ? "tvd:30" : "tvd:20";
        if (!options_given(o, "plausible")) t->plausible = 0;
    }
    recipe_alpha(t->alpha, rule);
    rule->base_dpo = choice_is(t->base, "dpo");
    rule->negative_reverse = choice_is(t->negative, "reverse");
    rule->plausible = t->plausible;
}

void recipe_student(const char *recipe, const struct options *o, struct student_options *s,
                    struct distill_options *d) {
    if (published(recipe)) {
        if (!options_given(o, "token-weight")) s->token_weight = "inverse-alpha";
        if (!options_given(o, "normalise")) s->normalise = "sequence";
    }
    d->divergence.kind = choice_is(s->divergence, "fkl")   ? DIVERGENCE_FKL
                         : choice_is(s->divergence, "rkl") ? DIVERGENCE_RKL
                                                           : DIVERGENCE_JSD;
    d->divergence.lambda = d->divergence.kind == DIVERGENCE_JSD ? choice_number(s->divergence) : 0;
    d->weight = choice_is(s->token_weight, "uniform") ? DISTILL_UNIFORM : DISTILL_INVERSE_ALPHA;
    d->normalise = choice_is(s->normalise, "sequence") ? DISTILL_SEQUENCE
                   : choice_is(s->normalise, "token")  ? DISTILL_TOKEN
                                                       : DISTILL_SUM;
}

char *recipe_strength(const char *alpha, double strength) {
    return xasprintf("%.*s:%g", (int)strcspn(alpha, ":"), alpha, strength);
}

bool recipe_alpha(const char *text, struct teacher_rule *rule) {
    static const char *const names[] = {
        [ALPHA_FIXED] = "fixed", [ALPHA_DAMPED] = "damped", [ALPHA_TVD] = "tvd", [ALPHA_KL] = "kl"};
    *rule = (struct teacher_rule){.strength = choice_number(text)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rule->alpha = (enum teacher_alpha)i;
        if (choice_is(text, names[i])) return rule->strength == rule->strength;
    }
    return false;
}

char *recipe_rule_json(const struct teacher_options *t, double kl, double error) {
    struct str s = {0};
    str_printf(&s, "{\"base\": \"%s\", \"negative\": \"%s\", \"alpha\": \"%s\", \"plausible\": ",
               t->base, t->negative, t->alpha);
    jsonout_number(&s, t->plausible);
    if (kl > 0) str_printf(&s, ", \"kl\": %.5g, \"kl_error\": %.3g", kl, error);
    str_puts(&s, "}");
    return s.text;
}

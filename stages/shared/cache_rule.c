#include "stages/shared/cache_rule.h"
#include "formats/bytes/json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void refuse_rule(const struct options *o) {
    options_refuse(o, "base|negative|alpha|plausible",
                   "goes with --on-policy or a cache of layout components; this one was made "
                   "with its own");
}

void cache_rule_components(const struct teacher_rule *rule) {
    if (rule->alpha == ALPHA_KL)
        die(EXIT_USAGE,
            "--alpha kl:%g takes all logits of a position, which a cache of layout components does "
            "not keep; dump with --layout composed",
            rule->strength);
}

static char *alpha_of(const char *rule) {
    struct fail ignored = {0};
    struct json *j = json_parse(rule, strlen(rule), "rule", &ignored);
    const char *alpha = json_text(json_get(j, "alpha"), NULL);
    char *text = alpha ? xstrdup(alpha) : NULL;
    json_free(j);
    return text;
}

static void must_agree(const struct options *o, const char *name, bool same, const char *has) {
    if (options_given(o, name) && !same)
        die(EXIT_USAGE,
            "--%s disagrees with the cache, whose tails were summed with %s; dump again", name,
            has);
}

// Base, negative and plausible must be the cache's.
static void agree(const struct options *o, const struct teacher_rule *own,
                  struct teacher_options *asked) {
    char *plausible = xasprintf("--plausible %g", own->plausible);
    must_agree(o, "base", choice_is(asked->base, "dpo") == own->base_dpo,
               own->base_dpo ? "--base dpo" : "--base ref");
    must_agree(o, "negative", choice_is(asked->negative, "reverse") == own->negative_reverse,
               own->negative_reverse ? "--negative reverse" : "--negative ref");
    must_agree(o, "plausible", asked->plausible == own->plausible, plausible);
    free(plausible);
    asked->base = own->base_dpo ? "dpo" : "ref";
    asked->negative = own->negative_reverse ? "reverse" : "ref";
    asked->plausible = own->plausible;
}

// The alpha that holds: the command line's, the recipe's if that is not the cache's, the cache's.
static char *settle_alpha(const struct options *o, const char *recipe, const char *cache_recipe,
                          const struct teacher_options *asked, char *cached) {
    struct teacher_rule ignored;
    struct teacher_options preset = *asked;
    if (!options_given(o, "alpha") && !strcmp(recipe, cache_recipe)) return cached;
    recipe_teacher(recipe, o, false, &preset, &ignored);
    free(cached);
    return xstrdup(preset.alpha);
}

// What the bracket of the interpolation is like, over the first rows.
static void note_bracket(struct teacher_set *s, const struct teacher_grid *g, struct log *log) {
    enum { LOOK = 64 };
    double tail = 0, gap = 0, n = 0, rows = (double)teacher_set_part_rows(s, 0);
    for (size_t r = 0; (double)r < rows && r < LOOK; r++) {
        struct teacher_row row;
        if (!teacher_set_row(s, r, &row)) return; // the failure is met again
        for (size_t k = 0; k < row.positions; k++, n++) {
            const struct teacher_position *p = &row.position[k];
            double bracket[2];
            float log_tail, *scratch = xmalloc(p->n * sizeof *scratch);
            teacher_components_compose(g, &row.components[k], p->n, (double)p->alpha, scratch,
                                       &log_tail, bracket);
            free(scratch);
            tail += exp((double)log_tail);
            gap += exp(bracket[1]) - exp(bracket[0]);
        }
    }
    if (n > 0)
        log_note(log, "mean tail mass %.3g, which the grid determines within %.2g", tail / n,
                 gap / n);
}

static void compose(struct teacher_set *s, const char *alpha, struct log *log) {
    const struct teacher_info *i = teacher_set_info(s);
    struct teacher_rule rule;
    double low, high;
    char *grid = teacher_grid_text(&i->grid);
    recipe_alpha(alpha, &rule);
    cache_rule_components(&rule);
    if (!(rule.strength >= 0))
        die(EXIT_USAGE, "--alpha takes a strength of 0 or more, not %g", rule.strength);
    if (!teacher_grid_covers(&i->grid, &rule, &low, &high))
        die(EXIT_USAGE,
            "--alpha %s has alphas from %g to %g, outside the cache's grid %s; dump again "
            "with a wider --alpha-grid",
            alpha, low, high, grid);
    teacher_set_compose(s, &rule);
    log_note(log, "p* by %s: alphas from %g to %g on the cache's grid %s", alpha, low, high, grid);
    free(grid);
    note_bracket(s, &i->grid, log);
}

char *cache_rule(struct teacher_set *s, const struct options *o, const char *recipe,
                 struct teacher_options *asked, struct log *log) {
    const struct teacher_info *i = teacher_set_info(s);
    struct teacher_rule own;
    char *alpha = alpha_of(i->rule);
    if (!i->grid.n) {
        refuse_rule(o);
        *asked = (struct teacher_options){0};
        return alpha;
    }
    if (!teacher_rule_alpha(i->rule, &own))
        die(EXIT_BADDATA, "the cache does not say by which rule it was made; dump it again");
    agree(o, &own, asked);
    alpha = settle_alpha(o, recipe, i->recipe, asked, alpha);
    asked->alpha = alpha;
    compose(s, alpha, log);
    return alpha;
}

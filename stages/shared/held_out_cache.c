#include "stages/shared/held_out_cache.h"
#include "common/method/recipe.h"
#include "formats/teachers/teacher_components.h"
#include "stages/shared/cache_rule.h"
#include "stages/shared/data_check.h"

void held_out_cache_open(struct held_out_cache *h, const struct model_file *student,
                         struct parents *parents) {
    const struct opt_list *data = &h->options.data;
    if (!data->n) return;
    struct teacher_set *s = teacher_set_open(data->n, data->items, &h->fail);
    die_if(&h->fail);
    const struct teacher_info *i = teacher_set_info(s);
    size_t vocab = student->model.config.vocab_used;
    data_check(student, i->tokenizer, 0, i->max_length, teacher_set_rows(s), data->items[0]);
    h->source = (struct teacher_source){.set = s, .vocab = i->vocab > vocab ? vocab : 0};
    teacher_set_keep(s, teacher_set_parts(s) + 2); // a batch may have rows of any of them
    const struct parents *all = teacher_set_parents(s);
    die_if(&h->fail);
    parents_add_valid(parents, all);
}

void held_out_cache_rule(struct held_out_cache *h, const char *alpha) {
    if (!h->source.set || !alpha) return;
    const struct teacher_info *i = teacher_set_info(h->source.set);
    const char *name = h->options.data.items[0];
    struct teacher_rule rule = {0}, own = {0};
    double low, high;
    recipe_alpha(alpha, &rule);
    if (i->grid.n) cache_rule_components(&rule);
    if (i->grid.n && !teacher_grid_covers(&i->grid, &rule, &low, &high))
        die(EXIT_USAGE, "'%s' holds no p* of --alpha %s; dump it with a wider --alpha-grid", name,
            alpha);
    if (i->grid.n)
        teacher_set_compose(h->source.set, &rule);
    else if (teacher_rule_alpha(i->rule, &own) &&
             (own.alpha != rule.alpha || own.strength != rule.strength))
        die(EXIT_USAGE,
            "'%s' was dumped by another --alpha than the %s that is trained; dump it "
            "by the same, or with --layout components",
            name, alpha);
}

void held_out_cache_start(struct held_out_cache *h, const struct distill_options *student,
                          struct training *t) {
    static const char *const numbers[VALIDATION_NUMBERS] = {"kl"};
    struct source source;
    if (!h->source.set) return;
    struct distill_options replay = {.divergence = student->divergence,
                                     .weight = student->weight,
                                     .normalise = student->normalise,
                                     .reward_beta = student->reward_beta};
    h->source.divided = student->weight == DISTILL_INVERSE_ALPHA;
    source_teacher(&source, &h->source);
    t->more_bytes += teacher_set_bytes(h->source.set, teacher_set_parts(h->source.set));
    validation_start(&h->validation, &h->options, &source,
                     objective_distill_new(&replay, t->model->model.config.vocab_used), numbers, t);
}

void held_out_cache_close(struct held_out_cache *h) {
    validation_close(&h->validation);
    if (h->source.set) teacher_set_close(h->source.set);
}

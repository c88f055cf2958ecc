#include "stages/shared/monitor.h"
#include "stages/shared/data_check.h"
#include "common/method/recipe.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void monitor_rows(struct options *o, struct monitor *w) {
    const struct opt_row rows[] = {
        {"watch-every", OPT_INT, OPT_EXEC, &w->every, .value = "10", .low = 1, .high = 1e12,
         .metavar = "N",
         .help = "off-policy, with --dpo and the cache's other models: log reward and KL every N "
                 "steps"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

void monitor_load(struct monitor *w, struct teachers *t, struct teacher_set *cache,
                  const char *path, const char *alpha) {
    struct fail f = {0};
    struct parents unused = {0}; // they do not make the student
    const struct teacher_info *i = teacher_set_info(cache);
    struct teacher_rule replayed;
    if (!teacher_rule_alpha(i->rule, &w->rule) || (alpha && !recipe_alpha(alpha, &replayed)))
        die(EXIT_BADDATA, "the cache does not say by which rule it was made; leave out --dpo");
    if (alpha) {
        w->rule.alpha = replayed.alpha;
        w->rule.strength = replayed.strength;
    }
    teachers_check(t, &w->rule, &f);
    die_if(&f);
    teachers_load(t, &w->rule, true, &unused, &f);
    die_if(&f);
    parents_release(&unused);
    const struct model_file *models[] = {&t->dpo_model, &t->reverse_model, &t->ref_model};
    for (size_t k = 0; k < sizeof models / sizeof *models; k++)
        if (models[k]->model.n_params)
            data_check(models[k], i->tokenizer, 0, i->max_length, teacher_set_rows(cache), path);
    w->teachers = t;
}

static struct net_limits limits(const struct training *t) {
    return train_limits(t->train, &t->source);
}

size_t monitor_plan(const struct monitor *w, const struct model *student,
                    const struct training *t) {
    struct net_limits l = limits(t);
    const struct teacher_models *m = &w->teachers->models;
    const struct model *all[] = {student, m->dpo, m->reverse, m->ref};
    size_t bytes =
        online_teachers_plan(m, &l) +
        CHUNK_POSITIONS * (m->dpo->config.vocab_used * sizeof *w->logp + sizeof *w->info);
    return bytes + models_bytes(sizeof all / sizeof *all, all) - models_bytes(1, all);
}

static void watch(void *self, const struct batch *b, size_t first, size_t count,
                  const float *logits, const float *logp, const struct teacher_position *info,
                  struct policy_position *out) {
    struct monitor *w = self;
    (void)logp, (void)info; // the cache's are not whole
    online_teachers_compose(w->online, b, first, count, w->logp, w->info);
    online_teachers_measure(w->online, b, first, count, logits, w->logp, w->info, out);
}

void monitor_tail(struct monitor *w, double error_budget, struct distill_options *d) {
    w->tail.budget = error_budget;
    w->watches_tail = d->divergence.kind != DIVERGENCE_FKL;
    d->numbers = &w->numbers;
}

void monitor_start(struct monitor *w, const struct training *t, struct distill_options *d) {
    struct net_limits l = limits(t);
    size_t V = w->teachers->models.dpo->config.vocab_used;
    w->online = online_teachers_new(&w->teachers->models, &w->rule, &l);
    w->logp = xmalloc(CHUNK_POSITIONS * V * sizeof *w->logp);
    w->info = xmalloc(CHUNK_POSITIONS * sizeof *w->info);
    d->watch = watch;
    d->teacher_ctx = w;
    d->watch_every = (uint64_t)w->every;
}

void monitor_step(struct monitor *w, uint64_t step) {
    char *tail = w->watches_tail ? tail_watch_step(&w->tail, w->numbers.tail) : NULL;
    if (tail) warn("%s", tail);
    free(tail);
    if (!w->online || (step - 1) % (uint64_t)w->every) return;
    double kl = w->teachers->models.ref ? w->numbers.kl_ref : w->numbers.kl_base;
    char *text =
        runaway_step(&w->runaway, &(struct runaway_numbers){step, NAN, kl, w->numbers.outside});
    if (text) warn("%s", text);
    free(text);
}

void monitor_keep(const struct monitor *w, struct str *to) {
    runaway_save(&w->runaway, to);
    tail_watch_save(&w->tail, to);
}

bool monitor_restore(struct monitor *w, const char *text) {
    const char *end = text ? strchr(text, '\n') : NULL;
    return end && runaway_restore(&w->runaway, text) && tail_watch_restore(&w->tail, end + 1);
}

void monitor_close(struct monitor *w) {
    online_teachers_free(w->online);
    free(w->logp);
    free(w->info);
}

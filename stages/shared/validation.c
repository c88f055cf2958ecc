#include "stages/shared/validation.h"
#include "common/base/arena.h"
#include "common/base/ranks.h"
#include "common/training/score.h"
#include "stages/shared/training_plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void validation_rows(struct options *o, struct validation_options *v, const char *what) {
    const struct opt_row rows[] = {
        {"valid", OPT_LIST, OPT_INPUT, &v->data, .metavar = "FILE...", .help = what, .paths = true},
        {"valid-every", OPT_INT, OPT_RESULT, &v->every, .value = "0", .low = 0, .high = 1e12,
         .metavar = "N", .help = "validate every N steps and at the end, 0 = once per epoch"},
        {"patience", OPT_INT, OPT_RESULT, &v->patience, .value = "0", .low = 0, .high = 1e9,
         .metavar = "N",
         .help = "stop early after N validations in a row without a lower loss, 0 = never"},
        {"save-best", OPT_FLAG, OPT_RESULT, &v->save_best,
         .help = "save the model of the lowest validation loss instead of the last one"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

bool validation_check(const struct validation_options *v, struct fail *f) {
    if (v->data.n || !(v->every || v->patience || v->save_best)) return true;
    return fail_set(f, EXIT_USAGE, "--valid-every, --patience and --save-best need --valid DATA");
}

static bool measure(struct validation *v, struct fail *f) {
    struct training *t = v->training;
    struct source *s = &t->source;
    if (s->quiet) s->quiet(s->self, true); // files are read by one thread at a time
    bool ok = score_objective(&v->objective, v->net, &v->source, (size_t)t->train->micro_tokens,
                              v->metrics, &v->loss, f);
    if (s->quiet) s->quiet(s->self, false);
    for (size_t i = 0; i < VALIDATION_NUMBERS && v->name[i]; i++)
        v->number[i] = metrics_get(v->metrics, v->name[i]);
    return ok;
}

static void tell(const struct validation *v, uint64_t step) {
    struct str s = {0};
    str_printf(&s, "step %llu: validation loss %.6f", (unsigned long long)step, v->loss);
    for (size_t i = 0; i < VALIDATION_NUMBERS && v->name[i]; i++)
        str_printf(&s, ", %s %.4g", v->name[i], v->number[i]);
    log_note(v->training->log, "%s%s", s.text,
             v->best_step == step ? ", the lowest loss so far" : "");
    str_release(&s);
}

static void compare_with_best(struct validation *v, uint64_t step) {
    v->in_vain++;
    if (!isnan(v->best) && !(v->loss < v->best)) return;
    v->best = v->loss;
    v->best_step = step;
    v->in_vain = 0;
    if (v->weights) memcpy(v->weights, v->trained.values, v->trained.n * sizeof(float));
    if (v->options->save_best) v->training->best_step = step;
}

// Empty where nothing was measured.
static void log_number(const struct validation *v, bool measured, const char *name, double value) {
    char column[64];
    snprintf(column, sizeof column, "valid_%s", name);
    metrics_column(v->training->metrics, column);
    if (measured) metrics_value(v->training->metrics, column, value);
}

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct validation *v = self;
    const struct validation_options *o = v->options;
    bool now = step % v->every == 0 || step == v->steps;
    if (now) {
        if (!measure(v, f)) return false;
        compare_with_best(v, step);
        tell(v, step);
        if (o->patience && v->in_vain >= (uint64_t)o->patience) {
            *end = true;
            log_note(v->training->log, "stopping early: no lower loss than %.6f of step %llu",
                     v->best, (unsigned long long)v->best_step);
        }
    }
    log_number(v, now, "loss", v->loss);
    for (size_t i = 0; i < VALIDATION_NUMBERS && v->name[i]; i++)
        log_number(v, now, v->name[i], v->number[i]);
    return true;
}

static bool take_best(void *self, struct parents *rest, struct fail *f) {
    struct validation *v = self;
    (void)rest, (void)f;
    if (v->weights) memcpy(v->trained.values, v->weights, v->trained.n * sizeof(float));
    return true;
}

// A line of text, then the best weights' bytes.
static void keep(void *self, struct str *extra) {
    const struct validation *v = self;
    str_printf(extra, "validation %a %a %a %a %llu %llu\n", v->loss, v->best, v->number[0],
               v->number[1], (unsigned long long)v->best_step, (unsigned long long)v->in_vain);
    if (v->weights) str_add(extra, v->weights, v->trained.n * sizeof(float));
}

static bool restore(void *self, const struct str *extra) {
    struct validation *v = self;
    unsigned long long best_step, in_vain;
    const char *end = extra->text ? memchr(extra->text, '\n', extra->length) : NULL;
    if (!end || sscanf(extra->text, "validation %la %la %la %la %llu %llu", &v->loss, &v->best,
                       &v->number[0], &v->number[1], &best_step, &in_vain) != 6)
        return false;
    size_t bytes = v->options->save_best ? v->trained.n * sizeof(float) : 0;
    if (extra->length - (size_t)(end + 1 - extra->text) != bytes) return false;
    if (v->weights) memcpy(v->weights, end + 1, bytes);
    v->best_step = best_step;
    v->in_vain = in_vain;
    if (v->options->save_best) v->training->best_step = best_step;
    return true;
}

void validation_start(struct validation *v, const struct validation_options *o,
                      const struct source *source, struct objective objective,
                      const char *const name[VALIDATION_NUMBERS], struct training *t) {
    size_t batch = (size_t)t->train->batch_size, epoch = (t->source.rows + batch - 1) / batch;
    struct model *m = &t->model->model;
    *v = (struct validation){.options = o,
                             .training = t,
                             .trained = model_trained(m),
                             .source = *source,
                             .objective = objective,
                             .every = o->every ? (uint64_t)o->every : epoch,
                             .steps = train_steps(t->train, t->source.rows),
                             .metrics = metrics_open(NULL, 0),
                             .loss = NAN,
                             .best = NAN,
                             .number = {NAN, NAN}};
    for (size_t i = 0; i < VALIDATION_NUMBERS; i++) v->name[i] = name ? name[i] : NULL;
    struct net_limits limits = score_limits(&v->source, (size_t)t->train->micro_tokens);
    t->more_bytes +=
        net_plan(m, &limits) + objective.bytes + (o->save_best ? v->trained.n * sizeof(float) : 0);
    if (t->common->dry_run)
        t->more_tokens += (double)(v->steps / v->every + 1) * training_plan_tokens(&v->source);
    if (o->save_best) t->checkpoint_more = sizeof(float);
    v->net = net_new(m, &limits);
    if (o->save_best && !ranks_self()) v->weights = big_alloc(v->trained.n * sizeof *v->weights);
    training_add_hook(t, (struct training_hook){.self = v,
                                                .after_step = after_step,
                                                .finish = take_best,
                                                .keep = keep,
                                                .restore = restore});
}

void validation_close(struct validation *v) {
    if (!v->options) return;
    if (v->weights) big_free(v->weights, v->trained.n * sizeof(float));
    net_free(v->net);
    metrics_close(v->metrics);
    objective_free(&v->objective);
}

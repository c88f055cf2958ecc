#include "stages/shared/validation.h"
#include "common/training/score.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void validation_rows(struct options *o, struct validation_options *v) {
    const struct opt_row rows[] = {
        {"valid", OPT_LIST, OPT_INPUT, &v->data, .metavar = "FILE...",
         .help = "held-out tokens to validate on", .paths = true},
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

void validation_open(struct validation *v, const struct validation_options *o, struct model *m,
                     const struct source *source, const struct train_options *train, size_t rows) {
    size_t batch = (size_t)train->batch_size, epoch = (rows + batch - 1) / batch;
    *v = (struct validation){.options = o,
                             .model = m,
                             .trained = model_trained(m),
                             .source = *source,
                             .loss = NAN,
                             .best = NAN,
                             .micro_tokens = (size_t)train->micro_tokens};
    v->every = o->every ? (uint64_t)o->every : epoch;
    v->steps = train_steps(train, rows);
    struct net_limits limits = score_limits(&v->source, v->micro_tokens);
    v->net = net_new(m, &limits);
    v->logp = xmalloc(limits.positions * sizeof *v->logp);
    if (o->save_best) v->weights = big_alloc(v->trained.n * sizeof *v->weights);
}

size_t validation_plan(const struct validation *v) {
    struct net_limits limits = score_limits(&v->source, v->micro_tokens);
    return net_plan(v->model, &limits) + (v->options->save_best ? v->trained.n * sizeof(float) : 0);
}

static double mean_loss(struct validation *v) {
    struct fail f = {0}; // rows in memory do not fail
    double sum = 0;
    size_t n = 0;
    for (size_t row = 0; row < v->source.rows;) {
        row = score_fill(&v->batch, &v->source, row, v->source.rows, v->micro_tokens, &f);
        score_positions(v->net, &v->batch, v->logp);
        for (size_t i = 0; i < v->batch.positions; i++) sum -= v->logp[i];
        n += v->batch.positions;
    }
    return sum / (double)n;
}

bool validation_step(struct validation *v, uint64_t step, bool *end) {
    if (step % v->every && step != v->steps) return false;
    v->loss = mean_loss(v);
    v->in_vain++;
    if (isnan(v->best) || v->loss < v->best) {
        v->best = v->loss;
        v->best_step = step;
        v->in_vain = 0;
        if (v->weights) memcpy(v->weights, v->trained.values, v->trained.n * sizeof(float));
    }
    *end = v->options->patience && v->in_vain >= (uint64_t)v->options->patience;
    return true;
}

void validation_take_best(struct validation *v) {
    if (v->weights) memcpy(v->trained.values, v->weights, v->trained.n * sizeof(float));
}

// A line of text, then the best weights' bytes.
void validation_keep(const struct validation *v, struct str *extra) {
    str_printf(extra, "validation %a %a %llu %llu\n", v->loss, v->best,
               (unsigned long long)v->best_step, (unsigned long long)v->in_vain);
    if (v->weights) str_add(extra, v->weights, v->trained.n * sizeof(float));
}

bool validation_restore(struct validation *v, const struct str *extra) {
    unsigned long long best_step, in_vain;
    const char *end = extra->text ? memchr(extra->text, '\n', extra->length) : NULL;
    if (!end || sscanf(extra->text, "validation %la %la %llu %llu", &v->loss, &v->best, &best_step,
                       &in_vain) != 4)
        return false;
    size_t bytes = v->weights ? v->trained.n * sizeof(float) : 0;
    if (extra->length - (size_t)(end + 1 - extra->text) != bytes) return false;
    if (bytes) memcpy(v->weights, end + 1, bytes);
    v->best_step = best_step;
    v->in_vain = in_vain;
    return true;
}

void validation_close(struct validation *v) {
    if (v->weights) big_free(v->weights, v->trained.n * sizeof(float));
    net_free(v->net);
    batch_release(&v->batch);
    free(v->logp);
}

#include "common/training/outcome.h"
#include "common/base/parallel.h"
#include "common/training/measure.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *metric, *name;
    bool share; // shown in per cent
    bool last;  // its last value counts, not a mean
} numbers[OUTCOME_NUMBERS] = {
    {"loss", "loss", false, false},
    {"reward_margin", "margin", false, false},
    {"reward_accuracy", "accuracy", true, false},
    {"kl", "KL to p*", false, false},
    {"score", "score", false, false},
    {"valid_loss", "validation loss", false, true},
    {"valid_reward_accuracy", "validation accuracy", true, true},
    {"valid_kl", "validation KL to p*", false, true},
};

void outcome_step(struct outcome *o, const struct metrics *m) {
    double tokens = metrics_get(m, "tokens");
    o->steps++;
    if (!isnan(tokens)) o->tokens += tokens;
    for (size_t i = 0; i < OUTCOME_NUMBERS; i++) {
        struct outcome_number *x = &o->number[i];
        double value = metrics_get(m, numbers[i].metric);
        if (isnan(value)) continue;
        if (x->n < OUTCOME_WINDOW) x->first[x->n] = value;
        x->last[x->n++ % OUTCOME_WINDOW] = value;
    }
}

static bool change(const struct outcome *o, size_t i, double *from, double *to) {
    const struct outcome_number *x = &o->number[i];
    uint64_t k = x->n / 2 < OUTCOME_WINDOW ? x->n / 2 : OUTCOME_WINDOW;
    if (!k || numbers[i].last) k = 1;
    *from = *to = 0;
    if (!x->n) return false;
    for (uint64_t j = 0; j < k; j++) {
        *from += x->first[j] / (double)k;
        *to += x->last[(x->n - 1 - j) % OUTCOME_WINDOW] / (double)k;
    }
    return true;
}

bool outcome_change(const struct outcome *o, const char *metric, double *from, double *to) {
    for (size_t i = 0; i < OUTCOME_NUMBERS; i++)
        if (!strcmp(numbers[i].metric, metric)) return change(o, i, from, to);
    return false;
}

bool outcome_is_idle(const struct outcome *o) {
    static const double least_kl = 1e-3, least_fall = 0.02, least_margin = 0.1;
    double from, to;
    if (outcome_change(o, "reward_margin", &from, &to) && fabs(to) >= least_margin) return false;
    if (!isnan(o->kl_start)) return o->kl_start < least_kl;
    return outcome_change(o, "loss", &from, &to) && fabs(to - from) < least_fall * fabs(from);
}

static void add_value(double x, bool share, struct str *s) {
    str_printf(s, share ? "%.0f%%" : "%.3g", share ? 100 * x : x);
}

void outcome_words(const struct outcome *o, struct str *s) {
    const char *between = "";
    for (size_t i = 0; i < OUTCOME_NUMBERS; i++) {
        double from, to;
        if (!change(o, i, &from, &to)) continue;
        str_printf(s, "%s%s ", between, numbers[i].name);
        if (o->number[i].n > 1) {
            add_value(from, numbers[i].share, s);
            str_puts(s, " to ");
        }
        add_value(to, numbers[i].share, s);
        between = ", ";
    }
    if (!isnan(o->kl_start))
        str_printf(s, "%sKL to the start %.3g nats per token", between, o->kl_start);
    if (outcome_is_idle(o))
        str_puts(s, ": next to nothing moved; give more --epochs or a higher --lr");
}

void outcome_json(const struct outcome *o, struct str *s) {
    str_printf(s, "\"steps\":%llu,\"tokens\":%.0f", (unsigned long long)o->steps, o->tokens);
    for (size_t i = 0; i < OUTCOME_NUMBERS; i++) {
        double from, to;
        if (!change(o, i, &from, &to)) continue;
        str_printf(s, ",\"%s\":[%.6g,%.6g]", numbers[i].metric, from, to);
    }
    if (!isnan(o->kl_start)) str_printf(s, ",\"kl_start\":%.6g", o->kl_start);
}

// ---- the distance -------------------------------------------------------------------------------

struct distance {
    size_t V;
    double *kl; // (positions) of a micro-batch
    double sum, count;
};

struct job {
    struct distance *d;
    size_t first;
    float *const *logits;
};

static void kl_position(void *self, size_t i) {
    const struct job *j = self;
    size_t V = j->d->V;
    j->d->kl[j->first + i] = measure_kl(j->logits[0] + i * V, j->logits[1] + i * V, V);
}

static void add_chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct job j = {self, c.first, logits};
    (void)b;
    parallel_for(c.count, kl_position, &j);
}

static bool add_batch(void *self, const struct batch *b, struct fail *f) {
    struct distance *d = self;
    (void)f;
    for (size_t p = 0; p < b->positions; p++) d->sum += d->kl[p];
    d->count += (double)b->positions;
    return true;
}

enum { TOKENS = 1000 };

static struct measure distance_run(const struct model *m, const struct model *start,
                                   struct source *s, size_t micro_tokens) {
    return (struct measure){.models = 2,
                            .model = {m, start},
                            .source = s,
                            .tokens = micro_tokens < TOKENS ? micro_tokens : TOKENS,
                            .chunk = add_chunk,
                            .batch = add_batch};
}

size_t outcome_distance_plan(const struct model *m, struct source *s, size_t micro_tokens) {
    struct measure run = distance_run(m, m, s, micro_tokens);
    return measure_plan(&run);
}

double outcome_distance(const struct model *m, const struct model *start, const struct source *s,
                        size_t micro_tokens, struct fail *f) {
    struct source few = *s;
    struct step_totals totals = {0};
    size_t tokens = 0;
    for (few.rows = 0; few.rows < s->rows && tokens < TOKENS; few.rows++)
        tokens += few.measure(few.self, few.rows, &totals);
    struct distance d = {.V = m->config.vocab_used};
    struct measure run = distance_run(m, start, &few, micro_tokens);
    run.self = &d;
    d.kl = xmalloc(measure_positions(&run) * sizeof *d.kl);
    bool fine = tokens && measure_run(&run, f);
    free(d.kl);
    return fine ? d.sum / d.count : (double)NAN;
}

// What a training came to: the numbers of its first steps beside those of its last ones, and how
// far the model has moved from where it started. In words for people, in JSON for the model's file.
// All of it is reproducible: no times.
#pragma once
#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/training/train.h"

enum { OUTCOME_WINDOW = 10, OUTCOME_NUMBERS = 8 };

struct outcome { // zeros at the start; a checkpoint keeps its bytes
    uint64_t steps;
    double tokens; // positions with a loss, of all steps
    struct outcome_number {
        uint64_t n; // steps that had it
        double first[OUTCOME_WINDOW], last[OUTCOME_WINDOW];
    } number[OUTCOME_NUMBERS]; // as the table in outcome.c names them
    double kl_start;           // KL(model || start) in nats per token; NaN: not known
};
// After each step, while its row is current.
void outcome_step(struct outcome *o, const struct metrics *m);
// Means of a metric's first and last steps: 10 each, or half of them. False: it never came.
bool outcome_change(const struct outcome *o, const char *metric, double *from, double *to);
// Whether the model is where it was, as far as the numbers tell.
bool outcome_is_idle(const struct outcome *o);
// "loss 0.693 to 0.41, margin 0 to 1.3, accuracy 50% to 83%, KL to the start 0.021 nats per token"
void outcome_words(const struct outcome *o, struct str *s);
// The members of an object: "steps":158,"loss":[0.693,0.41],...,"kl_start":0.021
void outcome_json(const struct outcome *o, struct str *s);

// Nats per token of KL(m || start) over the responses of the first rows of s, some 1000 tokens of
// them; NaN where there are none or f is set.
double outcome_distance(const struct model *m, const struct model *start, const struct source *s,
                        size_t micro_tokens, struct fail *f);
// Bytes that it takes besides the weights.
size_t outcome_distance_plan(const struct model *m, struct source *s, size_t micro_tokens);

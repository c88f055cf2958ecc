// Warnings when training on one's own samples runs away: responses that grow or shrink without end,
// a policy far from where it began, a teacher that has left its base. Each kind is reported once
// per run. The state goes into the checkpoint, so that a resumed run warns as an undisturbed one.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stdint.h>

enum { RUNAWAY_WINDOW = 10, RUNAWAY_KINDS = 4 };
#define RUNAWAY_OUTSIDE 0.1 // of p*'s mass; teacher-dump warns of it too

struct runaway {
    uint64_t steps;
    double begin;                // sum of the first RUNAWAY_WINDOW mean lengths
    double last[RUNAWAY_WINDOW]; // the newest ones, a ring
    bool reported[RUNAWAY_KINDS];
};
struct runaway_numbers {
    uint64_t step;  // done, for the message
    double length;  // mean tokens per response; NAN: not the student's own, left out
    double kl;      // nats per response
    double outside; // mass that p* has moved out of the base's 64 most likely tokens
};
// Takes the numbers of a step; a warning, or NULL: nothing to report. free() it.
//   length: the mean of the last 10 steps above twice, or below half, that of the first 10
//   kl: above 100 nats per response;  outside: above RUNAWAY_OUTSIDE
char *runaway_step(struct runaway *r, const struct runaway_numbers *n);
void runaway_save(const struct runaway *r, struct str *to);
bool runaway_restore(struct runaway *r, const char *text);

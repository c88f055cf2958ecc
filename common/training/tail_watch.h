// A warning where a student that is trained from a cache has much of its probability outside of
// what the cache holds: there the reverse KL and Jensen-Shannon's see one bucket, and their
// gradients are off. A cache within an error budget has a tail by design, of tokens that teacher
// and student treat alike; then it is the growth of the tail in training that tells.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stdint.h>

enum { TAIL_WINDOW = 20 };
#define TAIL_MOST 0.02 // of the student's probability, mean over the window

struct tail_watch {
    double budget; // the cache's; 0: none
    // internal, zeros at the start
    uint64_t steps;
    double first, last[TAIL_WINDOW]; // mean of the first window; the newest ones, a ring
    bool reported;
};
// Takes a step's mean of the student's mass outside the cache; a warning, once a run, or NULL.
// free() it. Above TAIL_MOST, with a budget also above 1.5 times the mean of the first window.
char *tail_watch_step(struct tail_watch *w, double tail);
// The state as a line of text, for a checkpoint, and back; false: it is none.
void tail_watch_save(const struct tail_watch *w, struct str *to);
bool tail_watch_restore(struct tail_watch *w, const char *text);

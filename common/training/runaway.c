#include "common/training/runaway.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROWN, SHRUNK, FAR, OUTSIDE };
static const double most_kl = 100;

static double newest_mean(const struct runaway *r) {
    double sum = 0;
    for (int i = 0; i < RUNAWAY_WINDOW; i++) sum += r->last[i];
    return sum / RUNAWAY_WINDOW;
}

static void add_length(struct runaway *r, double length) {
    if (r->steps < RUNAWAY_WINDOW) r->begin += length;
    r->last[r->steps++ % RUNAWAY_WINDOW] = length;
}

static void warn_once(struct runaway *r, int kind, bool is_so, struct str *s, const char *what,
                      double value, const char *unit, double limit) {
    if (!is_so || r->reported[kind]) return;
    r->reported[kind] = true;
    if (s->length) str_puts(s, "; ");
    str_printf(s, "%s %.4g %s %.4g", what, value, unit, limit);
}

char *runaway_step(struct runaway *r, const struct runaway_numbers *n) {
    struct str s = {0};
    if (!isnan(n->length)) add_length(r, n->length);
    if (r->steps > RUNAWAY_WINDOW) {
        double mean = newest_mean(r), begin = r->begin / RUNAWAY_WINDOW;
        warn_once(r, GROWN, mean > 2 * begin, &s, "responses grow: mean length", mean,
                  "tokens over the last 10 steps, at first", begin);
        warn_once(r, SHRUNK, mean < begin / 2, &s, "responses shrink: mean length", mean,
                  "tokens over the last 10 steps, at first", begin);
    }
    warn_once(r, FAR, n->kl > most_kl, &s, "the student is far from its base: KL", n->kl,
              "nats per response, more than", most_kl);
    warn_once(r, OUTSIDE, n->outside > RUNAWAY_OUTSIDE, &s,
              "p* leaves its base: mass moved out of the base's 64 most likely tokens", n->outside,
              "on average, more than", RUNAWAY_OUTSIDE);
    if (!s.length) return NULL;
    str_printf(&s, " (step %llu); try a lower strength in --alpha, or a lower --lr",
               (unsigned long long)n->step);
    return s.text;
}

void runaway_save(const struct runaway *r, struct str *to) {
    str_printf(to, "runaway %llu %a", (unsigned long long)r->steps, r->begin);
    for (int i = 0; i < RUNAWAY_WINDOW; i++) str_printf(to, " %a", r->last[i]);
    for (int i = 0; i < RUNAWAY_KINDS; i++) str_printf(to, " %d", r->reported[i]);
    str_puts(to, "\n");
}

bool runaway_restore(struct runaway *r, const char *text) {
    static const char word[] = "runaway ";
    if (!text || strncmp(text, word, sizeof word - 1)) return false;
    char *at;
    r->steps = strtoull(text + sizeof word - 1, &at, 10);
    r->begin = strtod(at, &at);
    for (int i = 0; i < RUNAWAY_WINDOW; i++) r->last[i] = strtod(at, &at);
    for (int i = 0; i < RUNAWAY_KINDS; i++) r->reported[i] = strtol(at, &at, 10) != 0;
    return *at == '\n';
}

#include "common/training/tail_watch.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double growth = 1.5;

char *tail_watch_step(struct tail_watch *w, double tail) {
    double mean = 0;
    w->last[w->steps++ % TAIL_WINDOW] = tail;
    if (w->steps < TAIL_WINDOW) return NULL;
    for (int i = 0; i < TAIL_WINDOW; i++) mean += w->last[i] / TAIL_WINDOW;
    if (w->steps == TAIL_WINDOW) w->first = mean;
    double most = w->budget > 0 ? fmax(TAIL_MOST, growth * w->first) : TAIL_MOST;
    if (w->reported || !(mean > most)) return NULL;
    w->reported = true;
    const char *advice =
        w->budget > 0
            ? "it was made within a budget for another student, or an earlier one: dump it again "
              "with a smaller --error-budget, or with --student as it is now"
            : "dump it again with --student, the model that you train, within an --error-budget";
    return xasprintf(
        "the cache leaves out %.1f %% of the student's probability (mean of %d steps, "
        "more than %.1f %%), so that the gradient of --divergence rkl and jsd is off: %s",
        100 * mean, TAIL_WINDOW, 100 * most, advice);
}

void tail_watch_save(const struct tail_watch *w, struct str *to) {
    str_printf(to, "tail %llu %a", (unsigned long long)w->steps, w->first);
    for (int i = 0; i < TAIL_WINDOW; i++) str_printf(to, " %a", w->last[i]);
    str_printf(to, " %d\n", w->reported);
}

bool tail_watch_restore(struct tail_watch *w, const char *text) {
    static const char word[] = "tail ";
    if (!text || strncmp(text, word, sizeof word - 1)) return false;
    char *at;
    w->steps = strtoull(text + sizeof word - 1, &at, 10);
    w->first = strtod(at, &at);
    for (int i = 0; i < TAIL_WINDOW; i++) w->last[i] = strtod(at, &at);
    w->reported = strtol(at, &at, 10) != 0;
    return *at == '\n';
}

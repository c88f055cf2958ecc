#include "common/method/objective.h"
#include "common/base/mem.h"
#include "common/base/ranks.h"
#include <stdlib.h>
#include <string.h>

void objective_free(struct objective *o) {
    if (o->release) o->release(o->self);
    *o = (struct objective){0};
}

// In order, to *sum.
static void add_all(struct tally *t, double *sum) {
    size_t n = t->held + t->n;
    for (size_t i = 0; i < n; i++) *sum += t->all[i];
    t->n = t->held = 0;
}

// One rank adds what it has at once; of several each keeps its own until its turn comes.
void tally_begin(struct tally *t, size_t n) {
    if (ranks_count() == 1)
        add_all(t, &t->sum);
    else
        t->held += t->n;
    grow(&t->all, &t->capacity, t->held + n, sizeof *t->all);
    t->value = t->all + t->held;
    if (n) memset(t->value, 0, n * sizeof *t->value);
    t->n = n;
}

struct tallies {
    struct tally *t;
    size_t n;
};

static void add_own(void *self, double *sum) {
    const struct tallies *s = self;
    for (size_t k = 0; k < s->n; k++) {
        sum[k] += s->t[k].sum;
        add_all(&s->t[k], &sum[k]);
        s->t[k].sum = 0;
    }
}

void tallies_end(struct tally *t, size_t n, double *sum) {
    struct tallies s = {t, n};
    memset(sum, 0, n * sizeof *sum);
    ranks_chain(sum, n, add_own, &s);
}

void tally_release(struct tally *t) {
    free(t->all);
    *t = (struct tally){0};
}

double distill_share(enum distill_normalise n, const struct step_totals *t, const struct batch *b,
                     size_t at) {
    if (n == DISTILL_TOKEN) return 1 / (double)t->tokens;
    double one = 1 / (double)t->responses;
    return n == DISTILL_SUM ? one : one / (double)b->response[b->owner[at]].count;
}

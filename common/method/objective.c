#include "common/method/objective.h"
#include "common/base/mem.h"
#include <stdlib.h>
#include <string.h>

void objective_free(struct objective *o) {
    if (o->release) o->release(o->self);
    *o = (struct objective){0};
}

static void fold(struct tally *t) {
    for (size_t i = 0; i < t->n; i++) t->sum += t->value[i];
    t->n = 0;
}

void tally_begin(struct tally *t, size_t n) {
    fold(t);
    grow(&t->value, &t->capacity, n, sizeof *t->value);
    if (n) memset(t->value, 0, n * sizeof *t->value);
    t->n = n;
}

double tally_end(struct tally *t) {
    fold(t);
    double sum = t->sum;
    t->sum = 0;
    return sum;
}

void tally_release(struct tally *t) {
    free(t->value);
    *t = (struct tally){0};
}

#include "common/base/mem.h"
#include "common/method/objective.h"
#include "common/base/parallel.h"
#include "common/engine/rowmath.h"
#include <stdlib.h>

struct sft {
    size_t V;
    double scale; // 1 / loss tokens of the step
    struct tally loss;
};

struct rows { // logits (count,V) of positions first ..
    struct sft *sft;
    const struct batch *b;
    size_t first;
    float *logits;
};

static void backward_row(void *self, size_t i) {
    struct rows *c = self;
    size_t V = c->sft->V, at = c->first + i, y = (size_t)c->b->target[at];
    float *z = c->logits + i * V;
    double target = (double)z[y], scale = c->sft->scale;
    c->sft->loss.value[at] = row_softmax(z, V, scale) - target;
    z[y] -= (float)scale;
}

static void sft_begin_step(void *self, const struct step_totals *t) {
    struct sft *s = self;
    s->scale = t->tokens ? 1 / (double)t->tokens : 0;
}

static void sft_begin(void *self, const struct batch *b) {
    struct sft *s = self;
    tally_begin(&s->loss, b->positions);
}

static void sft_backward(void *self, const struct batch *b, size_t first, size_t count,
                         float *logits) {
    struct sft *s = self;
    struct rows c = {s, b, first, logits};
    parallel_for(count, backward_row, &c);
}

static double sft_end_step(void *self, struct metrics *m) {
    struct sft *s = self;
    (void)m; // the loss is all there is
    double sum;
    tallies_end(&s->loss, 1, &sum);
    return sum * s->scale;
}

static void sft_release(void *self) {
    struct sft *s = self;
    tally_release(&s->loss);
    free(s);
}

struct objective objective_sft_new(size_t vocab) {
    struct sft *s = xcalloc(1, sizeof *s);
    s->V = vocab;
    return (struct objective){.self = s,
                              .vocab = vocab,
                              .begin_step = sft_begin_step,
                              .begin = sft_begin,
                              .backward = sft_backward,
                              .end_step = sft_end_step,
                              .release = sft_release};
}

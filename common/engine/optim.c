#include "common/engine/optim.h"
#include "common/base/arena.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 1 << 16 };

struct optim_tile {
    size_t first, count;
    bool decay;
};

void optim_options_rows(struct options *o, struct optim_options *s, const char *lr) {
    const struct opt_row rows[] = {
        {"lr", OPT_REAL, OPT_RESULT, &s->lr, .value = lr, .low = 0, .high = 10, .metavar = "X",
         .help = "peak learning rate"},
        {"schedule", OPT_CHOICE, OPT_RESULT, &s->schedule, .value = "cosine",
         .choices = "cosine|linear|constant", .help = "decay of the learning rate after warm-up"},
        {"min-lr", OPT_REAL, OPT_RESULT, &s->min_lr, .value = "0.1", .low = 0, .high = 1,
         .metavar = "X", .help = "final learning rate, as a share of --lr"},
        {"warmup", OPT_REAL, OPT_RESULT, &s->warmup, .value = "0.1", .low = 0, .high = 1e9,
         .metavar = "X", .help = "warm-up steps; below 1, a share of all steps"},
        {"adam-beta1", OPT_REAL, OPT_RESULT, &s->beta1, .value = "0.9", .low = 0, .high = 0.99999,
         .metavar = "X", .help = "decay of Adam's first moment"},
        {"adam-beta2", OPT_REAL, OPT_RESULT, &s->beta2, .value = "0.95", .low = 0,
         .high = 0.9999999, .metavar = "X", .help = "decay of Adam's second moment"},
        {"adam-epsilon", OPT_REAL, OPT_RESULT, &s->epsilon, .value = "1e-8", .low = 1e-16,
         .high = 1, .metavar = "X", .help = "Adam's epsilon"},
        {"weight-decay", OPT_REAL, OPT_RESULT, &s->weight_decay, .value = "0", .low = 0, .high = 10,
         .metavar = "X", .help = "decoupled weight decay of the matrices"},
        {"clip", OPT_REAL, OPT_RESULT, &s->clip, .value = "1", .low = 0, .high = 1e9,
         .metavar = "X", .help = "limit of the gradient's norm, 0 = no limit"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static size_t cut(const struct parameters *p, struct optim_tile *tile) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_tensors; i++) {
        const struct tensor *t = &p->tensors[i];
        size_t size = t->trainable ? t->rows * t->cols : 0;
        for (size_t at = 0; at < size; at += TILE, n++)
            if (tile)
                tile[n] = (struct optim_tile){t->offset + at, size - at < TILE ? size - at : TILE,
                                              t->decay};
    }
    return n;
}

struct optim *optim_new(const struct model *m) {
    struct optim *o = xcalloc(1, sizeof *o);
    struct parameters p = model_trained(m);
    size_t bytes = p.n * sizeof(float);
    *o = (struct optim){.trained = p,
                        .grads = big_alloc(bytes),
                        .m = big_alloc(bytes),
                        .v = big_alloc(bytes),
                        .tiles = cut(&p, NULL)};
    o->tile = xmalloc(o->tiles * sizeof *o->tile);
    o->partial = xmalloc(o->tiles * sizeof *o->partial);
    cut(&p, o->tile);
    return o;
}

void optim_free(struct optim *o) {
    if (!o) return;
    size_t bytes = o->trained.n * sizeof(float);
    big_free(o->grads, bytes);
    big_free(o->m, bytes);
    big_free(o->v, bytes);
    free(o->tile);
    free(o->partial);
    free(o);
}

static void zero(void *self, size_t first, size_t last) {
    memset((float *)self + first, 0, (last - first) * sizeof(float));
}

void optim_zero(struct optim *o) {
    parallel_range(o->trained.n, TILE, zero, o->grads);
}

double optim_rate(const struct optim_options *s, uint64_t step, uint64_t steps) {
    double warm = s->warmup < 1 ? floor(s->warmup * (double)steps) : s->warmup;
    if ((double)step < warm) return s->lr * ((double)step + 1) / warm;
    if (choice_is(s->schedule, "constant")) return s->lr;
    double span = (double)steps - 1 - warm, done = span > 0 ? ((double)step - warm) / span : 0;
    double left = choice_is(s->schedule, "linear") ? 1 - done
                                                   : 0.5 * (1 + cos(3.14159265358979323846 * done));
    return s->lr * (s->min_lr + (1 - s->min_lr) * left);
}

struct update {
    struct optim *o;
    struct adamw_step step;
    float decay;
};

static void tile_norm(void *self, size_t i) {
    struct optim *o = self;
    o->partial[i] = kernels()->sum_squares(o->grads + o->tile[i].first, o->tile[i].count);
}

static void tile_step(void *self, size_t i) {
    const struct update *u = self;
    const struct optim_tile *t = &u->o->tile[i];
    struct adamw_step s = u->step;
    s.decay = t->decay ? u->decay : 0;
    kernels()->adamw(u->o->trained.values + t->first, u->o->m + t->first, u->o->v + t->first,
                     u->o->grads + t->first, t->count, &s);
}

double optim_step(struct optim *o, const struct optim_options *s, uint64_t step, uint64_t steps) {
    double sum = 0;
    parallel_for(o->tiles, tile_norm, o);
    for (size_t i = 0; i < o->tiles; i++) sum += o->partial[i];
    double norm = sqrt(sum);
    if (!isfinite(norm)) return norm;
    double lr = optim_rate(s, step, steps), t = (double)step + 1;
    struct update u = {.o = o, .decay = (float)(lr * s->weight_decay)};
    u.step = (struct adamw_step){
        .clip = (float)(s->clip > 0 && norm > s->clip ? s->clip / norm : 1),
        .beta1 = (float)s->beta1,
        .beta2 = (float)s->beta2,
        .rate = (float)(lr / (1 - pow(s->beta1, t))),
        .root = (float)(1 / sqrt(1 - pow(s->beta2, t))),
        .epsilon = (float)s->epsilon,
    };
    parallel_for(o->tiles, tile_step, &u);
    return norm;
}

#include "common/engine/optim.h"
#include "common/base/arena.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"
#include "common/base/ranks.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 1 << 16 };

void optim_options_rows(struct options *o, struct optim_options *s, const char *lr_help) {
    const struct opt_row rows[] = {
        {"lr", OPT_REAL, OPT_RESULT, &s->lr, .low = 0, .high = 10, .metavar = "X", .help = lr_help},
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
                tile[n] = (struct optim_tile){.first = t->offset + at,
                                              .count = size - at < TILE ? size - at : TILE,
                                              .decay = t->decay};
    }
    return n;
}

// Numbers of a bucket, about: some for each rank, of which several may be in flight at once.
static size_t bucket_size(size_t n, int ranks) {
    size_t each = n / (8 * (size_t)ranks), most = 1 << 18;
    return each < most ? each : most;
}

// Joins tiles, which lie in the buffer's order, to buckets that cover it.
static void join_tiles(struct optim *o, int ranks) {
    size_t *held = xcalloc((size_t)ranks, sizeof *held), size = bucket_size(o->trained.n, ranks);
    for (size_t t = 0, first = 0; t < o->tiles; t++) {
        size_t end = o->tile[t].first + o->tile[t].count;
        if (t + 1 == o->tiles) end = o->trained.n;
        if (t + 1 < o->tiles && end - first < size) continue;
        int rank = (int)(o->buckets % (size_t)ranks);
        o->bucket[o->buckets++] = (struct optim_bucket){first, end, held[rank], rank};
        held[rank] += end - first;
        first = end;
    }
    free(held);
}

static void share_out(struct optim *o, int rank) {
    size_t b = 0;
    o->moments = o->sharded ? 0 : o->trained.n;
    for (size_t i = 0; i < o->buckets && o->sharded; i++)
        if (o->bucket[i].rank == rank) o->moments += o->bucket[i].end - o->bucket[i].first;
    for (size_t t = 0; t < o->tiles; t++) {
        struct optim_tile *tile = &o->tile[t];
        while (tile->first >= o->bucket[b].end) b++;
        tile->own = !o->sharded || o->bucket[b].rank == rank;
        tile->moment =
            o->sharded ? o->bucket[b].moment + tile->first - o->bucket[b].first : tile->first;
    }
}

static void lay_out(struct optim *o, int rank, int ranks) {
    o->tiles = cut(&o->trained, NULL);
    o->tile = xmalloc(o->tiles * sizeof *o->tile);
    o->bucket = xmalloc(o->tiles * sizeof *o->bucket);
    cut(&o->trained, o->tile);
    join_tiles(o, ranks);
    share_out(o, rank);
}

static struct optim *make(const struct model *m, bool sharded) {
    struct optim *o = xcalloc(1, sizeof *o);
    *o = (struct optim){.trained = model_trained(m), .sharded = sharded};
    lay_out(o, ranks_self(), ranks_count());
    o->grads = big_alloc(o->trained.n * sizeof *o->grads);
    o->m = big_alloc(o->moments * sizeof *o->m);
    o->v = big_alloc(o->moments * sizeof *o->v);
    o->partial = xmalloc(o->tiles * sizeof *o->partial);
    return o;
}

struct optim *optim_new(const struct model *m) {
    return make(m, false);
}

struct optim *optim_new_sharded(const struct model *m) {
    return make(m, true);
}

struct optim_share optim_share(const struct model *m, bool sharded, int rank, int ranks) {
    struct optim o = {.trained = model_trained(m), .sharded = sharded};
    struct optim_share s = {0};
    lay_out(&o, rank, ranks);
    s.moments = o.moments;
    for (size_t i = 0; i < o.buckets; i++)
        if (o.bucket[i].end - o.bucket[i].first > s.largest)
            s.largest = o.bucket[i].end - o.bucket[i].first;
    free(o.tile);
    free(o.bucket);
    return s;
}

static void zero(void *self, size_t first, size_t last) {
    memset((float *)self + first, 0, (last - first) * sizeof(float));
}

void optim_zero(struct optim *o, float *grads) {
    parallel_range(o->trained.n, TILE, zero, grads);
}

void optim_drop_grads(struct optim *o) {
    big_free(o->grads, o->trained.n * sizeof *o->grads);
    o->grads = NULL;
}

void optim_free(struct optim *o) {
    if (!o) return;
    if (o->grads) optim_drop_grads(o);
    big_free(o->m, o->moments * sizeof *o->m);
    big_free(o->v, o->moments * sizeof *o->v);
    free(o->tile);
    free(o->bucket);
    free(o->partial);
    free(o);
}

double optim_rate(const struct optim_options *s, uint64_t step, uint64_t steps) {
    double warm = floor(s->warmup < 1 ? s->warmup * (double)steps : s->warmup);
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
    const struct optim_tile *t = &o->tile[i];
    o->partial[i] = t->own ? kernels()->sum_squares(o->grads + t->first, t->count) : 0;
}

static void tile_step(void *self, size_t i) {
    const struct update *u = self;
    const struct optim_tile *t = &u->o->tile[i];
    struct adamw_step s = u->step;
    s.decay = t->decay ? u->decay : 0;
    if (t->own)
        kernels()->adamw(u->o->trained.values + t->first, u->o->m + t->moment, u->o->v + t->moment,
                         u->o->grads + t->first, t->count, &s);
}

double optim_step(struct optim *o, const struct optim_options *s, uint64_t step, uint64_t steps) {
    double sum = 0;
    parallel_for(o->tiles, tile_norm, o);
    if (o->sharded) ranks_merge(o->partial, o->tiles * sizeof *o->partial);
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

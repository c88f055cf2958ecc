#include "common/base/order.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include <assert.h>
#include <stdlib.h>

void order_init(struct order *o, uint64_t seed, size_t rows, size_t parts, size_t window,
                size_t (*part_rows)(void *self, size_t part), void *self) {
    *o = (struct order){.seed = seed,
                        .rows = rows,
                        .parts = parts,
                        .window = window ? window : 1,
                        .part_rows = part_rows,
                        .self = self,
                        .epoch = UINT64_MAX};
}

static void enter(struct order *o, uint64_t epoch, size_t part, size_t first) {
    size_t n = 0;
    for (size_t p = part; p < part + o->window && p < o->parts; p++) n += o->part_rows(o->self, p);
    grow(&o->at, &o->capacity, n + 1, sizeof *o->at);
    rng_permute(o->seed, RNG_ORDER, epoch << 32 | part, n, o->at);
    o->epoch = epoch;
    o->part = part;
    o->first = first;
    o->count = n;
}

size_t order_row(struct order *o, uint64_t epoch, size_t k) {
    assert(k < o->rows);
    if (o->epoch != epoch || k < o->first) enter(o, epoch, 0, 0);
    while (k >= o->first + o->count && o->part < o->parts)
        enter(o, epoch, o->part + o->window, o->first + o->count);
    return k < o->first + o->count ? o->first + o->at[k - o->first] : o->rows;
}

void order_release(struct order *o) {
    free(o->at);
    *o = (struct order){0};
}

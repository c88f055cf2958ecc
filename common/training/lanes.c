#include "common/training/lanes.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/ranks.h"
#include <assert.h>
#include <stdlib.h>

struct lanes {
    struct optim *o;
    struct exchange *exchange;
    size_t lanes, first, own; // of the block
    size_t *row, *before;     // (lanes + 1) where each begins: its row, tokens of the rows before
    size_t begun, depth;      // own lanes of the step; buffers that hold a sum
    size_t buffers;
    float **buffer; // [0]: the optimiser's gradients
    size_t final;   // numbers from here on are in o->grads already
};

size_t lanes_block(size_t lanes, int ranks) {
    size_t block = 1, n = (size_t)ranks;
    while ((lanes + block - 1) / block > n) block *= 2;
    return (lanes + block - 1) / block == n ? block : 0;
}

char *lanes_ranks(size_t lanes) {
    struct str s = {0};
    size_t last = 0;
    for (size_t block = lanes; block; block--) { // ever more ranks
        size_t n = (lanes + block - 1) / block;
        if ((block & (block - 1)) && block != lanes) continue;
        if (n == last) continue;
        str_printf(&s, "%s%zu", !s.length ? "" : block == 1 ? " or " : ", ", n);
        last = n;
    }
    return s.text;
}

// Most sums that wait for their neighbours, as carries of a binary counter do.
static size_t deepest(size_t block) {
    size_t most = 1;
    for (size_t lane = 0; lane < block; lane++) {
        size_t held = 1;
        for (size_t bits = lane; bits; bits &= bits - 1) held++;
        if (held > most) most = held;
    }
    return most;
}

size_t lanes_buffers(size_t lanes, int ranks) {
    size_t block = lanes_block(lanes, ranks);
    return deepest(block < lanes ? block : lanes) - 1;
}

struct lanes *lanes_new(struct optim *o, struct exchange *x, size_t lanes) {
    struct lanes *l = xcalloc(1, sizeof *l);
    size_t block = lanes_block(lanes, ranks_count());
    assert(block);
    *l = (struct lanes){
        .o = o, .exchange = x, .lanes = lanes, .first = block * (size_t)ranks_self()};
    l->own = lanes - l->first < block ? lanes - l->first : block;
    l->row = xcalloc(lanes + 1, sizeof *l->row);
    l->before = xcalloc(lanes + 1, sizeof *l->before);
    l->buffers = deepest(l->own);
    l->buffer = xmalloc(l->buffers * sizeof *l->buffer);
    l->buffer[0] = o->grads;
    for (size_t i = 1; i < l->buffers; i++) l->buffer[i] = big_alloc(o->trained.n * sizeof(float));
    return l;
}

void lanes_free(struct lanes *l) {
    if (!l) return;
    for (size_t i = 1; i < l->buffers; i++) big_free(l->buffer[i], l->o->trained.n * sizeof(float));
    free(l->buffer);
    free(l->row);
    free(l->before);
    free(l);
}

// A row belongs to the lane in which its middle token lies.
void lanes_cut(struct lanes *l, const size_t *tokens, size_t n) {
    size_t all = 0, before = 0, lane = 0;
    for (size_t i = 0; i < n; i++) all += tokens[i];
    for (size_t i = 0; i < n; before += tokens[i++])
        for (size_t own = (2 * before + tokens[i]) * l->lanes / (2 * all); lane <= own; lane++) {
            l->row[lane] = i;
            l->before[lane] = before;
        }
    for (; lane <= l->lanes; lane++) {
        l->row[lane] = n;
        l->before[lane] = before;
    }
    l->begun = l->depth = 0;
    l->final = l->o->trained.n;
}

size_t lanes_own(const struct lanes *l) {
    return l->own;
}

void lanes_range(const struct lanes *l, size_t i, size_t *first, size_t *end, size_t *before) {
    *first = l->row[l->first + i];
    *end = l->row[l->first + i + 1];
    *before = l->before[l->first + i];
}

float *lanes_begin(struct lanes *l) {
    assert(l->depth < l->buffers);
    float *to = l->buffer[l->depth++];
    optim_zero(l->o, to);
    l->begun++;
    return to;
}

// The sums on top of each other join, `times` times, in numbers first .. end-1.
static void join(struct lanes *l, size_t times, size_t first, size_t end) {
    for (size_t d = l->depth - 1; times; times--, d--)
        exchange_add(l->buffer[d - 1] + first, l->buffer[d] + first, end - first);
}

// The last own lane joins whatever waits, from the end of the buffer on, and goes to its owners.
static void finish(void *self, size_t from) {
    struct lanes *l = self;
    assert(from <= l->final);
    if (from < l->final) join(l, l->depth - 1, from, l->final);
    l->final = from;
    exchange_ready(l->exchange, from);
}

void lanes_watch(struct lanes *l, struct net *net, bool on) {
    net_watch(net, on && l->begun == l->own ? finish : NULL, l);
}

void lanes_end(struct lanes *l) {
    size_t times = 0;
    if (l->begun == l->own) {
        finish(l, 0);
        l->depth = 1;
        return;
    }
    for (size_t n = l->begun; !(n & 1); n /= 2) times++;
    join(l, times, 0, l->o->trained.n);
    l->depth -= times;
}

void lanes_sum(struct lanes *l) {
    exchange_sum(l->exchange);
    if (!l->o->sharded) exchange_spread(l->exchange, l->o->grads);
}

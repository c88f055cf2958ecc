#include "common/engine/exchange.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/base/ranks.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Rows in flight: a message waits for its receiver's word behind what the sockets hold already, so
// that few of them leave a link idle.
enum { LEAST_FLIGHTS = 4, MOST_FLIGHTS = 16, GRAIN = 1 << 14 };

struct flight { // a row of R buckets on its way
    struct ranks_messages *messages;
    float *part; // (R, bucket) what came for the own bucket, by rank; the own place is unused
    size_t row;
};

struct exchange {
    struct optim *o;
    size_t ranks, self, rows, most; // most: numbers of the largest bucket
    size_t flights;
    struct flight flight[MOST_FLIGHTS];
    size_t sent, summed; // rows, counted from the end of the buffer
    size_t bytes;
    float *parts;
    // While the backward pass goes on, a thread moves what is final: messages stand still between
    // calls.
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock; // of all above
    sem_t begin;
    atomic_size_t final; // numbers from here on
    atomic_bool moving, over;
};

static size_t row_count(const struct optim *o, size_t ranks) {
    return (o->buckets + ranks - 1) / ranks;
}

static size_t flights_of(size_t ranks) {
    size_t n = 2 * MOST_FLIGHTS / ranks;
    return n > MOST_FLIGHTS ? MOST_FLIGHTS : n > LEAST_FLIGHTS ? n : LEAST_FLIGHTS;
}

size_t exchange_plan(const struct model *m, int ranks) {
    size_t n = (size_t)ranks;
    if (ranks == 1) return 0;
    return flights_of(n) * n * optim_share(m, false, 0, ranks).largest * sizeof(float);
}

static void *move(void *self);

struct exchange *exchange_new(struct optim *o) {
    struct exchange *x = xcalloc(1, sizeof *x);
    *x = (struct exchange){.o = o, .ranks = (size_t)ranks_count(), .self = (size_t)ranks_self()};
    if (x->ranks == 1) return x;
    x->rows = row_count(o, x->ranks);
    for (size_t i = 0; i < o->buckets; i++)
        if (o->bucket[i].end - o->bucket[i].first > x->most)
            x->most = o->bucket[i].end - o->bucket[i].first;
    x->flights = flights_of(x->ranks);
    x->bytes = x->flights * x->ranks * x->most * sizeof *x->parts;
    x->parts = big_alloc(x->bytes);
    for (size_t i = 0; i < x->flights; i++)
        x->flight[i] = (struct flight){.messages = ranks_messages_new(2 * x->ranks),
                                       .part = x->parts + i * x->ranks * x->most};
    pthread_mutex_init(&x->lock, NULL);
    sem_init(&x->begin, 0, 0);
    x->threaded = ranks_threads() && !pthread_create(&x->thread, NULL, move, x);
    return x;
}

void exchange_free(struct exchange *x) {
    if (!x) return;
    if (x->threaded) {
        atomic_store(&x->moving, false);
        atomic_store(&x->over, true);
        sem_post(&x->begin);
        pthread_join(x->thread, NULL);
    }
    for (size_t i = 0; i < x->flights; i++) ranks_messages_free(x->flight[i].messages);
    if (x->parts) big_free(x->parts, x->bytes);
    free(x);
}

// The bucket of `rank` in a row; NULL: the last row has none.
static const struct optim_bucket *bucket_at(const struct exchange *x, size_t row, size_t rank) {
    size_t i = row * x->ranks + rank;
    return i < x->o->buckets ? &x->o->bucket[i] : NULL;
}

static size_t numbers(const struct optim_bucket *b) {
    return b ? b->end - b->first : 0;
}

// ---- sums ----

// Every rank's part of its own bucket goes to it, and the others' parts of ours come.
static void send_row(struct exchange *x, size_t row) {
    struct flight *f = &x->flight[x->sent % x->flights];
    size_t own = numbers(bucket_at(x, row, x->self)) * sizeof(float);
    f->row = row;
    for (size_t i = 1; i < x->ranks; i++) { // others than oneself, each pair at the same time
        size_t to = (x->self + i) % x->ranks, from = (x->self + x->ranks - i) % x->ranks;
        const struct optim_bucket *b = bucket_at(x, row, to);
        if (own) ranks_receive(f->messages, (int)from, f->part + from * x->most, own);
        if (b) ranks_send(f->messages, (int)to, x->o->grads + b->first, numbers(b) * sizeof(float));
    }
    x->sent++;
}

struct addition {
    float *to;
    const float *from;
};

static void add_range(void *self, size_t first, size_t last) {
    const struct addition *a = self;
    for (size_t i = first; i < last; i++) a->to[i] += a->from[i];
}

void exchange_add(float *to, const float *from, size_t n) {
    parallel_range(n, GRAIN, add_range, &(struct addition){to, from});
}

static float *part_of(const struct exchange *x, const struct flight *f, size_t rank) {
    if (rank != x->self) return f->part + rank * x->most;
    return x->o->grads + bucket_at(x, f->row, rank)->first;
}

typedef void adding(float *to, const float *from, size_t n);

static void add_alone(float *to, const float *from, size_t n) {
    add_range(&(struct addition){to, from}, 0, n);
}

static void sum_row(struct exchange *x, const struct flight *f, adding *add) {
    const struct optim_bucket *b = bucket_at(x, f->row, x->self);
    size_t n = numbers(b);
    for (size_t width = 1; n && width < x->ranks; width *= 2)
        for (size_t i = 0; i + width < x->ranks; i += 2 * width)
            add(part_of(x, f, i), part_of(x, f, i + width), n);
    if (n && x->self) memcpy(x->o->grads + b->first, part_of(x, f, 0), n * sizeof(float));
    x->summed++;
}

// Sums what has come, in order, and sends what is final while there is room.
static void advance(struct exchange *x, size_t from, adding *add) {
    while (x->summed < x->sent && ranks_over(x->flight[x->summed % x->flights].messages))
        sum_row(x, &x->flight[x->summed % x->flights], add);
    while (x->sent < x->rows && x->sent - x->summed < x->flights) {
        size_t row = x->rows - 1 - x->sent;
        if (bucket_at(x, row, 0)->first < from) return;
        send_row(x, row);
    }
}

// The thread: from a step's first exchange_ready to its exchange_sum.
static void *move(void *self) {
    struct exchange *x = self;
    struct timespec moment = {.tv_nsec = 200000};
    while (!atomic_load(&x->over)) {
        sem_wait(&x->begin);
        while (atomic_load(&x->moving)) {
            pthread_mutex_lock(&x->lock);
            if (atomic_load(&x->moving)) advance(x, atomic_load(&x->final), add_alone);
            pthread_mutex_unlock(&x->lock);
            nanosleep(&moment, NULL);
        }
    }
    return NULL;
}

void exchange_ready(struct exchange *x, size_t from) {
    if (!x->threaded) {
        advance(x, from, exchange_add);
        return;
    }
    atomic_store(&x->final, from);
    if (!atomic_exchange(&x->moving, true)) sem_post(&x->begin);
}

void exchange_sum(struct exchange *x) {
    if (x->ranks == 1) return;
    atomic_store(&x->moving, false);
    pthread_mutex_lock(&x->lock);
    while (x->summed < x->rows) {
        advance(x, 0, exchange_add);
        if (x->summed < x->sent) ranks_wait(x->flight[x->summed % x->flights].messages);
    }
    x->sent = x->summed = 0;
    pthread_mutex_unlock(&x->lock);
}

// ---- what ranks own, to others ----

static void spread_row(struct exchange *x, size_t row, struct ranks_messages *m, float *values) {
    const struct optim_bucket *own = bucket_at(x, row, x->self);
    for (size_t i = 1; i < x->ranks; i++) {
        size_t to = (x->self + i) % x->ranks, from = (x->self + x->ranks - i) % x->ranks;
        const struct optim_bucket *b = bucket_at(x, row, from);
        if (b) ranks_receive(m, (int)from, values + b->first, numbers(b) * sizeof(float));
        if (own) ranks_send(m, (int)to, values + own->first, numbers(own) * sizeof(float));
    }
}

void exchange_spread(struct exchange *x, float *values) {
    for (size_t row = 0; row < x->rows + x->flights; row++) {
        struct ranks_messages *m = x->flight[row % x->flights].messages;
        if (row >= x->flights) ranks_wait(m);
        if (row < x->rows) spread_row(x, row, m, values);
    }
}

void exchange_collect(struct exchange *x, const float *own, float *all) {
    struct ranks_messages *m = x->flight[0].messages;
    for (size_t i = 0; i < x->o->buckets; i++) {
        const struct optim_bucket *b = &x->o->bucket[i];
        size_t bytes = numbers(b) * sizeof(float);
        if (b->rank == (int)x->self && !x->self) memcpy(all + b->first, own + b->moment, bytes);
        if (b->rank == (int)x->self && x->self) ranks_send(m, 0, own + b->moment, bytes);
        if (b->rank != (int)x->self && !x->self) ranks_receive(m, b->rank, all + b->first, bytes);
        if (x->ranks > 1) ranks_wait(m);
    }
}

void exchange_keep(struct exchange *x, float *own, const float *all) {
    for (size_t i = 0; i < x->o->buckets; i++) {
        const struct optim_bucket *b = &x->o->bucket[i];
        if (b->rank == (int)x->self)
            memcpy(own + b->moment, all + b->first, numbers(b) * sizeof(float));
    }
}

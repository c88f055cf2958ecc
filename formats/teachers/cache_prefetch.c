#include "formats/teachers/cache_prefetch.h"
#include "common/base/clock.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct shard { // a shard, as the threads share it
    size_t first, rows;
    const struct teacher_shard *data; // NULL: not decoded
};

struct cache_prefetch {
    struct teacher_set *set;  // the thread's
    size_t window, low, high; // parts low .. high-1 hold the rows wanted
    size_t first_row, end_row;
    pthread_t thread;
    pthread_mutex_t mutex; // of what follows
    pthread_cond_t wanted, changed;
    struct shard *shard;
    size_t known, ask;  // parts 0 .. known-1 have come; 0 .. ask-1 are wanted
    size_t from, count; // parts to be decoded: from .. from+count-1, after high-1 comes low
    bool quit, failed;
    struct teacher_set_numbers numbers;
    struct fail fail;
    double waited;
};

// ---- the thread

static size_t nth_wanted(const struct cache_prefetch *r, size_t i) {
    size_t part = r->from + i;
    return part < r->high ? part : part - r->high + r->low;
}

static bool is_wanted(const struct cache_prefetch *r, size_t part) {
    size_t i = part >= r->from ? part - r->from : part + r->high - r->low - r->from;
    return part >= r->low && part < r->high && i < r->count;
}

static bool has_rows(const struct cache_prefetch *r, const struct shard *p) {
    return p->first < r->end_row && p->first + p->rows > r->first_row;
}

// The next shard to wait for, or to decode; SIZE_MAX: none.
static size_t next_part(const struct cache_prefetch *r) {
    if (r->known < r->ask) return r->known;
    for (size_t i = 0; i < r->count; i++) {
        size_t part = nth_wanted(r, i);
        if (part >= r->known) return r->known;
        if (!r->shard[part].data && has_rows(r, &r->shard[part])) return part;
    }
    return SIZE_MAX;
}

static void drop_unwanted(struct cache_prefetch *r) {
    for (size_t part = 0; part < r->known; part++)
        if (r->shard[part].data && !is_wanted(r, part)) {
            r->shard[part].data = NULL;
            teacher_set_drop(r->set, part);
        }
}

static void note_news(struct cache_prefetch *r) {
    while (r->known < teacher_set_parts(r->set) && teacher_set_there(r->set, r->known)) {
        struct shard *p = &r->shard[r->known];
        p->first = teacher_set_part_first(r->set, r->known);
        p->rows = teacher_set_part_rows(r->set, r->known++);
    }
    r->numbers = teacher_set_numbers(r->set);
}

static void *serve(void *self) {
    struct cache_prefetch *r = self;
    pthread_mutex_lock(&r->mutex);
    while (!r->quit) {
        drop_unwanted(r);
        size_t part = r->failed ? SIZE_MAX : next_part(r);
        if (part == SIZE_MAX) {
            pthread_cond_wait(&r->wanted, &r->mutex);
            continue;
        }
        bool decode = part < r->known;
        pthread_mutex_unlock(&r->mutex);
        const struct teacher_shard *data = decode ? teacher_set_hold(r->set, part) : NULL;
        bool ok = decode ? data != NULL : teacher_set_part_rows(r->set, part) > 0;
        pthread_mutex_lock(&r->mutex);
        note_news(r);
        if (decode) r->shard[part].data = data;
        r->failed = !ok;
        if (!ok) r->fail = *teacher_set_fail(r->set);
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

// ---- the training

static size_t part_of(const struct cache_prefetch *r, size_t row) { // known
    size_t low = 0, high = r->known;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (r->shard[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// The parts that hold the rows; what is not there yet may be any.
static void limit(struct cache_prefetch *r) {
    note_news(r);
    r->high = teacher_set_parts(r->set);
    if (!r->known) return;
    r->low = part_of(r, r->first_row);
    if (r->known == r->high) r->high = part_of(r, r->end_row - 1) + 1;
}

struct cache_prefetch *cache_prefetch_start(struct teacher_set *s, size_t window, size_t first,
                                            size_t rows) {
    struct cache_prefetch *r = xcalloc(1, sizeof *r);
    *r = (struct cache_prefetch){
        .set = s, .window = window, .first_row = first, .end_row = first + rows};
    r->shard = xcalloc(teacher_set_parts(s), sizeof *r->shard);
    limit(r);
    r->from = r->low;
    r->count = window < r->high - r->low ? window : r->high - r->low;
    for (size_t part = 0; part < r->known; part++) // what was read before
        if (!is_wanted(r, part)) teacher_set_drop(s, part);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->wanted, NULL);
    pthread_cond_init(&r->changed, NULL);
    sigset_t all, before; // signals are the main thread's
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&r->thread, NULL, serve, r)) die(EXIT_FAILED, "cannot start a thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

size_t cache_prefetch_part_rows(struct cache_prefetch *r, size_t part, size_t *first) {
    pthread_mutex_lock(&r->mutex);
    if (part >= r->ask) r->ask = part + 1;
    pthread_cond_signal(&r->wanted);
    while (part >= r->known && !r->failed) pthread_cond_wait(&r->changed, &r->mutex);
    size_t rows = part < r->known ? r->shard[part].rows : 0;
    *first = rows ? r->shard[part].first : 0;
    pthread_mutex_unlock(&r->mutex);
    return rows;
}

// From the window of the first part to that after the last part's.
static void want(struct cache_prefetch *r, size_t first, size_t last, bool more) {
    size_t W = r->window, begin = first / W * W, end = (last / W + 1) * W, all = r->high - r->low;
    r->from = begin > r->low ? begin : r->low;
    r->count = end + (more || end < r->high ? W : 0) - r->from;
    if (!more && r->count > r->high - r->from) r->count = r->high - r->from;
    if (r->count > all) r->count = all;
    pthread_cond_signal(&r->wanted);
}

static bool are_decoded(const struct cache_prefetch *r, size_t first, size_t last) {
    for (size_t part = first; part <= last; part++)
        if (!r->shard[part].data && has_rows(r, &r->shard[part])) return false;
    return true;
}

bool cache_prefetch_prepare(struct cache_prefetch *r, size_t least, size_t most, bool more,
                            struct fail *f) {
    double start = clock_seconds();
    pthread_mutex_lock(&r->mutex);
    bool ok = most < r->end_row && r->known; // else its shard has not come
    if (ok) {
        size_t first = part_of(r, least), last = part_of(r, most);
        want(r, first, last, more);
        while (!(ok = are_decoded(r, first, last)) && !r->failed)
            pthread_cond_wait(&r->changed, &r->mutex);
    }
    if (!ok) fail_pass(f, &r->fail);
    assert(ok || f->code);
    r->waited += clock_seconds() - start;
    pthread_mutex_unlock(&r->mutex);
    return ok;
}

struct teacher_row cache_prefetch_row(struct cache_prefetch *r, size_t row) {
    pthread_mutex_lock(&r->mutex);
    const struct shard *p = &r->shard[part_of(r, row)];
    pthread_mutex_unlock(&r->mutex);
    assert(p->data && row >= p->first && row - p->first < p->rows);
    return teacher_shard_row(p->data, row - p->first);
}

struct teacher_set_numbers cache_prefetch_numbers(struct cache_prefetch *r) {
    pthread_mutex_lock(&r->mutex);
    struct teacher_set_numbers n = r->numbers;
    pthread_mutex_unlock(&r->mutex);
    return n;
}

double cache_prefetch_waited(struct cache_prefetch *r) {
    return r->waited;
}

void cache_prefetch_stop(struct cache_prefetch *r) {
    if (!r) return;
    pthread_mutex_lock(&r->mutex);
    r->quit = true;
    pthread_cond_signal(&r->wanted);
    pthread_mutex_unlock(&r->mutex);
    pthread_join(r->thread, NULL);
    for (size_t part = 0; part < r->known; part++)
        if (r->shard[part].data) teacher_set_drop(r->set, part);
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->wanted);
    pthread_cond_destroy(&r->changed);
    free(r->shard);
    free(r);
}

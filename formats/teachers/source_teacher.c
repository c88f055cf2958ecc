#include "formats/teachers/sources.h"
#include <assert.h>
#include <math.h>

// Rows and shards of the set, as far as they are among those chosen.
static size_t teacher_part(void *self, size_t part) {
    struct teacher_source *t = self;
    size_t first, end;
    if (t->prefetch) {
        size_t rows = cache_prefetch_part_rows(t->prefetch, part, &first);
        end = first + rows;
    } else {
        size_t rows = teacher_set_part_rows(t->set, part);
        first = rows ? teacher_set_part_first(t->set, part) : 0;
        end = first + rows;
    }
    if (first < t->first) first = t->first;
    if (end > t->first + t->rows) end = t->first + t->rows;
    return first < end ? end - first : 0;
}

static bool teacher_prepare(void *self, uint64_t step, const size_t *rows, size_t n,
                            struct fail *f) {
    struct teacher_source *t = self;
    t->current = SIZE_MAX;
    if (!t->prefetch) return true;
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i] < least) least = rows[i];
        if (rows[i] > most) most = rows[i];
    }
    bool more = step / t->epoch_steps < (t->steps - 1) / t->epoch_steps;
    return cache_prefetch_prepare(t->prefetch, t->first + least, t->first + most, more, f);
}

// The cache's models may have more rows of padding than the student: such ids are no tokens.
static void fold_padding(const struct teacher_position *of, size_t vocab) {
    struct teacher_position *p = (struct teacher_position *)of; // the set's, in memory
    int32_t *ids = (int32_t *)p->ids;
    float *logp = (float *)p->logp;
    uint32_t kept = 0;
    for (uint32_t k = 0; k < p->n; k++) {
        bool token = (size_t)ids[k] < vocab;
        float most = fmaxf(p->log_tail, logp[k]), least = fminf(p->log_tail, logp[k]);
        if (!token) p->log_most = fmaxf(p->log_most, fminf(logp[k], 0));
        if (!token) p->log_tail = most + log1pf(expf(least - most));
        ids[kept] = ids[k];
        logp[kept] = logp[k];
        kept += token;
    }
    p->n = kept;
}

static bool in_vocabulary(const struct teacher_source *t, size_t row, struct fail *f) {
    for (size_t i = 0; t->vocab && i < t->row.n; i++)
        if ((size_t)t->row.ids[i] >= t->vocab)
            return fail_set(f, EXIT_BADDATA,
                            "row %zu of the cache has token id %d, the model's vocabulary has %zu "
                            "entries",
                            t->first + row, (int)t->row.ids[i], t->vocab);
    return true;
}

static bool divisible(const struct teacher_source *t, size_t row, struct fail *f) {
    for (size_t i = 0; t->divided && i < t->row.positions; i++)
        if (!(t->row.position[i].alpha > 0))
            return fail_set(f, EXIT_BADDATA,
                            "row %zu of the cache has an alpha of %g at its response position %zu, "
                            "by which --token-weight inverse-alpha divides",
                            t->first + row, (double)t->row.position[i].alpha, i);
    return true;
}

static bool fetch(struct teacher_source *t, size_t row) {
    if (t->current == row) return true;
    if (t->prefetch)
        t->row = cache_prefetch_row(t->prefetch, t->first + row);
    else if (!teacher_set_row(t->set, t->first + row, &t->row))
        return false;
    for (size_t i = 0; t->vocab && i < t->row.positions; i++)
        fold_padding(&t->row.position[i], t->vocab);
    t->current = row;
    return true;
}

static size_t teacher_measure(void *self, size_t row, struct step_totals *totals) {
    struct teacher_source *t = self;
    if (!fetch(t, row)) return 1; // the failure is met again, and reported, in add
    totals->tokens += t->row.positions;
    totals->responses += t->row.n > 0;
    return t->row.n; // 0: lost
}

static bool teacher_add(void *self, struct batch *b, size_t row, struct fail *f) {
    struct teacher_source *t = self;
    if (!fetch(t, row)) return fail_pass(f, teacher_set_fail(t->set));
    if (!in_vocabulary(t, row, f) || !divisible(t, row, f)) return false;
    size_t first = b->positions;
    batch_sequence(b, t->row.ids, t->row.mask, t->row.n, row, RESPONSE_ONLY);
    assert(b->positions - first == t->row.positions);
    for (size_t i = 0; i < t->row.positions; i++) b->teacher[first + i] = t->row.position[i];
    return true;
}

static void teacher_quiet(void *self, bool on) {
    teacher_set_quiet(((struct teacher_source *)self)->set, on);
}

void source_teacher(struct source *s, struct teacher_source *t) {
    size_t longest = teacher_set_info(t->set)->max_length;
    t->current = SIZE_MAX;
    if (!t->rows) t->rows = teacher_set_rows(t->set) - t->first;
    *s = (struct source){.self = t,
                         .rows = t->rows,
                         .parts = teacher_set_parts(t->set),
                         .longest = longest,
                         .span = longest,
                         .part_rows = teacher_part,
                         .prepare = teacher_prepare,
                         .measure = teacher_measure,
                         .add = teacher_add,
                         .quiet = teacher_quiet};
}

void source_teacher_start(struct teacher_source *t, const struct train_options *o) {
    size_t batch = (size_t)o->batch_size;
    t->steps = train_steps(o, t->rows);
    t->epoch_steps = (t->rows + batch - 1) / batch;
    t->prefetch = cache_prefetch_start(t->set, (size_t)o->window, t->first, t->rows);
}

struct teacher_set_numbers source_teacher_stop(struct teacher_source *t) {
    cache_prefetch_stop(t->prefetch);
    t->prefetch = NULL;
    t->current = SIZE_MAX; // its row was the thread's
    return teacher_set_numbers(t->set);
}

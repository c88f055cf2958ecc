#include "formats/teachers/teacher_cut.h"
#include "common/base/mem.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct teacher_cutter {
    struct teacher_grid grid;
    size_t room;                          // entries of a position
    struct teacher_entry *by_id, *chosen; // (room); `id` of chosen: a place in by_id
    uint32_t *place;                      // (room) in the row, of by_id's entries
    bool *stays;                          // (room) of by_id's entries
    float *logp, *sorted;                 // (room) as in the row; as in by_id
    // the row that is given back
    size_t positions, entries; // room
    struct teacher_position *position;
    struct teacher_components *components;
    int32_t *ids;
    float *low, *high, *tails;
};

struct teacher_cutter *teacher_cutter_new(const struct teacher_grid *grid) {
    struct teacher_cutter *c = xcalloc(1, sizeof *c);
    c->grid = *grid;
    return c;
}

void teacher_cutter_free(struct teacher_cutter *c) {
    if (!c) return;
    void *all[] = {c->by_id,      c->chosen, c->place, c->stays, c->logp,  c->sorted, c->position,
                   c->components, c->ids,    c->low,   c->high,  c->tails, c};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void make_room(struct teacher_cutter *c, const struct teacher_row *row) {
    size_t n = 0, all = 0, positions = row->positions;
    for (size_t i = 0; i < positions; i++) {
        all += row->position[i].n;
        if (row->position[i].n > n) n = row->position[i].n;
    }
    if (n + 2 > c->room) {
        c->room = 2 * n + 2;
        c->by_id = xrealloc(c->by_id, c->room * sizeof *c->by_id);
        c->chosen = xrealloc(c->chosen, c->room * sizeof *c->chosen);
        c->place = xrealloc(c->place, c->room * sizeof *c->place);
        c->stays = xrealloc(c->stays, c->room * sizeof *c->stays);
        c->logp = xrealloc(c->logp, c->room * sizeof *c->logp);
        c->sorted = xrealloc(c->sorted, c->room * sizeof *c->sorted);
    }
    if (positions > c->positions) {
        c->positions = 2 * positions;
        c->position = xrealloc(c->position, c->positions * sizeof *c->position);
        c->components = xrealloc(c->components, c->positions * sizeof *c->components);
        c->tails = xrealloc(c->tails, c->positions * (c->grid.n + 1) * sizeof *c->tails);
    }
    if (all > c->entries) {
        c->entries = 2 * all;
        c->ids = xrealloc(c->ids, c->entries * sizeof *c->ids);
        c->low = xrealloc(c->low, c->entries * sizeof *c->low);
        c->high = xrealloc(c->high, c->entries * sizeof *c->high);
    }
}

static int by_token(const void *a, const void *b) {
    int32_t x = ((const struct teacher_entry *)a)->id, y = ((const struct teacher_entry *)b)->id;
    return (x > y) - (x < y);
}

// Ascending by token, so that ties of probability go by id as they do in a full vocabulary.
static void sort(struct teacher_cutter *c, const struct teacher_position *p) {
    for (uint32_t k = 0; k < p->n; k++) {
        c->by_id[k].id = p->ids[k];
        memcpy(&c->by_id[k].logp, &k, sizeof k); // its place, carried along
    }
    qsort(c->by_id, p->n, sizeof *c->by_id, by_token);
    for (uint32_t k = 0; k < p->n; k++) memcpy(&c->place[k], &c->by_id[k].logp, sizeof k);
}

static int32_t find(const struct teacher_cutter *c, uint32_t n, int32_t id) {
    struct teacher_entry key = {id, 0};
    struct teacher_entry *e = id < 0 ? NULL : bsearch(&key, c->by_id, n, sizeof key, by_token);
    return e ? (int32_t)(e - c->by_id) : -1;
}

// Chooses among logp (n), as in the row; returns how many, in rank order in c->chosen.
static size_t choose(struct teacher_cutter *c, const struct teacher_cut *cut, uint32_t n,
                     const float *logp, int32_t realised) {
    struct teacher_cut here = *cut;
    double ignored;
    for (uint32_t k = 0; k < n; k++) c->sorted[k] = logp[c->place[k]];
    here.eos = find(c, n, cut->eos);
    return teacher_truncate(&here, c->sorted, n, find(c, n, realised), c->chosen, &ignored);
}

// log of Q and of what now leaves the support
static float more_tail(const struct teacher_cutter *c, uint32_t n, const float *logp, float tail) {
    double sum = exp((double)tail);
    bool some = false;
    for (uint32_t k = 0; k < n; k++) {
        if (c->stays[k]) continue;
        sum += exp((double)logp[c->place[k]]);
        some = true;
    }
    return some ? (float)log(fmin(sum, 1)) : tail;
}

// The larger of that and of what now leaves the support.
static float more_most(const struct teacher_cutter *c, uint32_t n, const float *logp, float most) {
    for (uint32_t k = 0; k < n; k++)
        if (!c->stays[k]) most = fmaxf(most, fminf(logp[c->place[k]], 0));
    return most;
}

static void cut_composed(struct teacher_cutter *c, const struct teacher_cut *cut, int32_t realised,
                         size_t at, struct teacher_position *to) {
    uint32_t n = to->n;
    size_t m = choose(c, cut, n, to->logp, realised);
    memset(c->stays, 0, n * sizeof *c->stays);
    for (size_t k = 0; k < m; k++) {
        size_t from = (size_t)c->chosen[k].id;
        c->stays[from] = true;
        c->ids[at + k] = c->by_id[from].id;
        c->low[at + k] = to->logp[c->place[from]];
    }
    to->log_tail = more_tail(c, n, to->logp, to->log_tail);
    to->log_most = more_most(c, n, to->logp, to->log_most);
    to->n = (uint32_t)m;
    to->ids = c->ids + at;
    to->logp = c->low + at;
}

static void compose_at(struct teacher_cutter *c, const struct teacher_components *p, uint32_t n,
                       size_t g) {
    float ignored;
    teacher_components_compose(&c->grid, p, n, c->grid.alpha[g], c->logp, &ignored, NULL);
}

static void cut_components(struct teacher_cutter *c, const struct teacher_cut *cut,
                           int32_t realised, size_t at, struct teacher_position *to,
                           struct teacher_components *components) {
    uint32_t n = to->n;
    size_t end = at;
    float *tail = c->tails + (size_t)(to - c->position) * c->grid.n;
    memset(c->stays, 0, n * sizeof *c->stays);
    for (size_t g = 0; g < c->grid.n; g++) {
        compose_at(c, components, n, g);
        size_t k = choose(c, cut, n, c->logp, realised);
        while (k--) c->stays[c->chosen[k].id] = true;
    }
    for (size_t g = 0; g < c->grid.n; g++) {
        compose_at(c, components, n, g);
        tail[g] = more_tail(c, n, c->logp, components->tail[g]);
    }
    for (uint32_t k = 0; k < n; k++) {
        if (!c->stays[k]) continue;
        c->ids[end] = c->by_id[k].id;
        c->low[end] = components->low[c->place[k]];
        c->high[end++] = components->high[c->place[k]];
    }
    *components = (struct teacher_components){c->low + at, c->high + at, tail};
    to->n = (uint32_t)(end - at);
    to->ids = c->ids + at;
    to->logp = NULL;
}

void teacher_cutter_row(struct teacher_cutter *c, const struct teacher_cut *cut,
                        const struct teacher_row *row, struct teacher_row *out) {
    assert(!cut->n_must);
    make_room(c, row);
    *out = *row;
    out->position = c->position;
    if (row->components) out->components = c->components;
    size_t p = 0, at = 0;
    for (size_t i = 1; i < row->n; i++) {
        if (!row->mask[i]) continue;
        struct teacher_position *to = &c->position[p];
        *to = row->position[p];
        sort(c, to);
        if (row->components) {
            c->components[p] = row->components[p];
            cut_components(c, cut, row->ids[i], at, to, &c->components[p]);
        } else {
            cut_composed(c, cut, row->ids[i], at, to);
        }
        at += to->n;
        p++;
    }
    assert(p == row->positions);
}

#include "common/engine/batch.h"
#include "common/base/mem.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void batch_clear(struct batch *b) {
    b->serial++;
    b->n = b->segments = b->trees = b->units = b->positions = b->responses = 0;
}

static void close_unit(struct batch *b) {
    b->unit_row[b->units] = b->n;
    b->unit_position[b->units] = b->positions;
}

static void close_tree(struct batch *b) {
    b->tree[b->trees] = b->segments;
}

void batch_begin_unit(struct batch *b) {
    if (b->unit_cap < b->units + 2) {
        b->unit_cap = 2 * b->unit_cap + 8;
        b->unit_row = xrealloc(b->unit_row, b->unit_cap * sizeof *b->unit_row);
        b->unit_position = xrealloc(b->unit_position, b->unit_cap * sizeof *b->unit_position);
    }
    close_unit(b);
    b->units++;
}

void batch_end(struct batch *b) {
    assert(b->units);
    close_unit(b);
    close_tree(b);
}

static void begin_tree(struct batch *b) {
    assert(b->units); // batch_begin_unit comes first
    grow(&b->tree, &b->tree_cap, b->trees + 2, sizeof *b->tree);
    close_tree(b);
    b->trees++;
}

static struct segment *add_segment(struct batch *b, const int32_t *ids, size_t n) {
    grow(&b->segment, &b->segment_cap, b->segments + 1, sizeof *b->segment);
    grow(&b->ids, &b->n_cap, b->n + n, sizeof *b->ids);
    struct segment *s = &b->segment[b->segments++];
    *s = (struct segment){.first = b->n, .count = n};
    memcpy(b->ids + b->n, ids, n * sizeof *ids);
    b->n += n;
    return s;
}

static struct response *add_response(struct batch *b, size_t row, enum response_role role) {
    grow(&b->response, &b->response_cap, b->responses + 1, sizeof *b->response);
    struct response *r = &b->response[b->responses++];
    *r = (struct response){.first = b->positions, .row = row, .role = role};
    return r;
}

static void add_position(struct batch *b, struct response *r, size_t row, int32_t target) {
    if (b->position_cap < b->positions + 1) {
        size_t cap = b->position_cap = b->position_cap * 2 + 256;
        b->row = xrealloc(b->row, cap * sizeof *b->row);
        b->target = xrealloc(b->target, cap * sizeof *b->target);
        b->owner = xrealloc(b->owner, cap * sizeof *b->owner);
        b->teacher = xrealloc(b->teacher, cap * sizeof *b->teacher);
        b->weight = xrealloc(b->weight, cap * sizeof *b->weight);
        b->behaviour = xrealloc(b->behaviour, cap * sizeof *b->behaviour);
        b->reference = xrealloc(b->reference, cap * sizeof *b->reference);
    }
    size_t p = b->positions++;
    b->row[p] = row;
    b->target[p] = target;
    b->owner[p] = (size_t)(r - b->response);
    memset(&b->teacher[p], 0, sizeof b->teacher[p]);
    b->weight[p] = 0;
    b->behaviour[p] = NAN;
    b->reference[p] = 0;
    r->count++;
}

void batch_sequence(struct batch *b, const int32_t *ids, const uint8_t *mask, size_t n, size_t row,
                    enum response_role role) {
    begin_tree(b);
    struct segment *s = add_segment(b, ids, n);
    struct response *r = add_response(b, row, role);
    for (size_t i = 1; i < n; i++)
        if (mask[i]) add_position(b, r, s->first + i - 1, ids[i]);
}

void batch_shared(struct batch *b, const int32_t *prompt, size_t np, size_t k,
                  const int32_t *const *response, const size_t *n, const enum response_role *role,
                  size_t row) {
    assert(np >= 1);
    begin_tree(b);
    size_t first = add_segment(b, prompt, np)->first;
    for (size_t i = 0; i < k; i++) {
        struct response *r = add_response(b, row, role[i]);
        // The last token of a response predicts nothing, so it needs no row of its own.
        size_t own = n[i] ? n[i] - 1 : 0, at = b->n;
        if (own) {
            struct segment *s = add_segment(b, response[i], own);
            s->prefix_first = first;
            s->prefix_count = np;
        }
        for (size_t t = 0; t < n[i]; t++)
            add_position(b, r, t ? at + t - 1 : first + np - 1, response[i][t]);
    }
}

void batch_scored(struct batch *b, const int32_t *prompt, size_t np, size_t k,
                  const int32_t *const *response, const size_t *n, const enum response_role *role,
                  size_t row) {
    assert(np >= 1);
    begin_tree(b);
    size_t first = add_segment(b, prompt, np)->first;
    for (size_t i = 0; i < k; i++) {
        assert(n[i] >= 1);
        struct response *r = add_response(b, row, role[i]);
        struct segment *s = add_segment(b, response[i], n[i]);
        s->prefix_first = first;
        s->prefix_count = np;
        add_position(b, r, s->first + n[i] - 1, 0);
    }
}

struct rowplan batch_rows(const struct batch *b) {
    return (struct rowplan){.units = b->units, .first = b->unit_row};
}

// Chunks of a unit.
static size_t chunks_of(const struct batch *b, size_t unit) {
    size_t n = b->unit_position[unit + 1] - b->unit_position[unit];
    return (n + CHUNK_POSITIONS - 1) / CHUNK_POSITIONS;
}

size_t batch_chunks(const struct batch *b) {
    size_t n = 0;
    for (size_t u = 0; u < b->units; u++) n += chunks_of(b, u);
    return n;
}

struct chunk batch_chunk(const struct batch *b, size_t i) {
    size_t u = 0;
    for (; i >= chunks_of(b, u); u++) i -= chunks_of(b, u);
    size_t first = b->unit_position[u] + i * CHUNK_POSITIONS,
           left = b->unit_position[u + 1] - first;
    return (struct chunk){first, left < CHUNK_POSITIONS ? left : CHUNK_POSITIONS};
}

void batch_release(struct batch *b) {
    free(b->ids);
    free(b->segment);
    free(b->tree);
    free(b->unit_row);
    free(b->unit_position);
    free(b->row);
    free(b->target);
    free(b->owner);
    free(b->teacher);
    free(b->weight);
    free(b->behaviour);
    free(b->reference);
    free(b->response);
    *b = (struct batch){0};
}

#include "common/engine/attention.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { ROWS = ATTENTION_ROWS, KEYS = ATTENTION_KEYS };
_Static_assert(KEYS % ROWS == 0 && (int)KEYS <= (int)KERNEL_DEPTH, "blocks of keys");

struct run {
    const struct attention *a;
    const float *qkv, *out_in, *lse_in, *dout;
    float *out, *lse, *dqkv;
    size_t ld, ldo; // row strides of qkv and out
    float scale;    // of the scores
};

// ---- scratch of a thread ----

enum part { KEYS_ACROSS, VALUES_ACROSS, ALONG, QUERIES, SCORE, DSCORE, MOST, SUM, PARTS };

// Packed columns are filled up to whole strips.
static size_t part_floats(enum part p, size_t span, size_t D) {
    const size_t n[PARTS] = {
        [KEYS_ACROSS] = D * (KEYS + KERNEL_STRIPS),   // scaled keys (D,KEYS)
        [VALUES_ACROSS] = D * (KEYS + KERNEL_STRIPS), // values (D,KEYS)
        [ALONG] = KEYS * (D + KERNEL_STRIPS),         // (KEYS,D): values; in the backward, keys
        [QUERIES] = ROWS * (D + KERNEL_STRIPS),       // (ROWS,D): rows of q or of dout
        [SCORE] = ROWS * KEYS,
        [DSCORE] = ROWS * KEYS,
        [MOST] = span, // each query's largest score so far, and its sum of exponentials
        [SUM] = span};
    return (n[p] + 15) / 16 * 16;
}

static size_t thread_floats(size_t span, size_t D) {
    size_t n = 0;
    for (int p = 0; p < PARTS; p++) n += part_floats((enum part)p, span, D);
    return n;
}

size_t attention_scratch(size_t span, size_t dim) {
    return (size_t)parallel_threads() * thread_floats(span, dim);
}

struct room {
    float *part[PARTS];
};

static struct room my_room(const struct attention *a) {
    float *next = a->scratch + (size_t)parallel_self() * thread_floats(a->span, a->dim);
    struct room r;
    for (int p = 0; p < PARTS; p++) {
        r.part[p] = next;
        next += part_floats((enum part)p, a->span, a->dim);
    }
    return r;
}

static struct run make_run(const struct attention *a, const float *qkv) {
    assert(a->dim <= KERNEL_DEPTH);
    return (struct run){.a = a,
                        .qkv = qkv,
                        .ld = (a->heads + 2 * a->kv_heads) * a->dim,
                        .ldo = a->heads * a->dim,
                        .scale = a->scale > 0 ? a->scale : 1 / sqrtf((float)a->dim)};
}

// ---- blocks ----

struct keys {          // a block of a segment's keys: its prefix's, then its own
    size_t row, count; // in the batch
    size_t place;      // of the first, in the sequence
    bool own;
    size_t first; // of its own: the index in the segment
};

static bool keys_block(const struct segment *s, size_t i, struct keys *k) {
    size_t before = (s->prefix_count + KEYS - 1) / KEYS;
    bool own = i >= before;
    size_t first = (own ? i - before : i) * KEYS, all = own ? s->count : s->prefix_count;
    if (first >= all) return false;
    *k = (struct keys){.row = (own ? s->first : s->prefix_first) + first,
                       .count = all - first < KEYS ? all - first : KEYS,
                       .place = own ? s->prefix_count + first : first,
                       .own = own,
                       .first = own ? first : 0};
    return true;
}

struct scores { // queries of a head against a block of keys
    const struct keys *k;
    size_t head, first, row, rows; // first: in the segment; row: in the batch
    size_t keys;                   // up to the last that any of them sees
    size_t window, place;          // place: of the first query, in the sequence
    bool begins;                   // they see no block before
};

// The place of the first key that a query sees.
static size_t window_start(size_t window, size_t place) {
    return window && place + 1 > window ? place + 1 - window : 0;
}

// False: these queries do not see the block, nor do those after them.
static bool make_block(const struct run *r, const struct segment *s, const struct keys *k,
                       size_t head, size_t first, struct scores *b) {
    size_t rows = s->count - first < ROWS ? s->count - first : ROWS, seen = k->count;
    size_t window = r->a->window, place = s->prefix_count + first;
    size_t start = window_start(window, place);
    if (k->own && first + rows - k->first < seen) seen = first + rows - k->first;
    *b = (struct scores){k,    head,   first, s->first + first, rows,
                         seen, window, place, k->place <= start};
    return start < k->place + k->count;
}

struct range { // of a block's keys; may be empty
    size_t first, n;
};

static struct range seen_by(const struct scores *b, size_t i) {
    size_t n = b->first + i + 1 - b->k->first, start = window_start(b->window, b->place + i);
    size_t end = b->k->own && n < b->keys ? n : b->keys;
    size_t first = start > b->k->place ? start - b->k->place : 0;
    return first < end ? (struct range){first, end - first} : (struct range){end, 0};
}

// Numbers of keys that a query does not see become 0.
static void clear_unseen(float *x, const struct scores *b, struct range seen) {
    size_t end = seen.first + seen.n;
    memset(x, 0, seen.first * sizeof *x);
    memset(x + end, 0, (b->keys - end) * sizeof *x);
}

// score (rows, keys) = x (rows, D), row stride ld, times a packed block of keys or values
static void times_packed(const struct run *r, const struct scores *b, const float *x, size_t ld,
                         const float *packed, float *score) {
    kernels()->block(&(struct block){.c = score,
                                     .ldc = KEYS,
                                     .rows = b->rows,
                                     .cols = b->keys,
                                     .k = r->a->dim,
                                     .a = {.f32 = x, .ld = ld, .inner = true},
                                     .b = {.packed = packed, .ld = r->a->dim}});
}

// out (rows, D) [+]= p (rows, keys) times the packed keys or values in ALONG
static void mix_keys(const struct room *t, const struct scores *b, const float *p, float *out,
                     size_t ld, size_t D) {
    kernels()->block(&(struct block){.c = out,
                                     .ldc = ld,
                                     .rows = b->rows,
                                     .cols = D,
                                     .k = b->keys,
                                     .a = {.f32 = p, .ld = KEYS, .inner = true},
                                     .b = {.packed = t->part[ALONG], .ld = b->k->count},
                                     .add = !b->begins});
}

static void pack_keys_across(const struct run *r, const struct keys *k, size_t offset, float *to) {
    kernels()->pack(to, r->qkv + k->row * r->ld + offset, r->ld, k->count, r->a->dim, true);
}

static void pack_keys_along(const struct run *r, const struct keys *k, size_t offset, float *to) {
    kernels()->pack(to, r->qkv + k->row * r->ld + offset, r->ld, r->a->dim, k->count, false);
}

// The keys carry the scale, so that no score has to be.
static void pack_scaled_keys(const struct run *r, const struct keys *k, size_t offset, float *to) {
    size_t strip = kernels()->strip, n = (k->count + strip - 1) / strip * strip * r->a->dim;
    pack_keys_across(r, k, offset, to);
    kernels()->scale(to, to, r->scale, n);
}

// ---- forward ----

// Scores become exponentials below each query's maximum so far; the sum before is brought there,
// and `fall` (rows) says how far it fell.
static void soften(const struct room *t, const struct scores *b, float *fall) {
    const struct kernels *k = kernels();
    float *most = t->part[MOST] + b->first, *sum = t->part[SUM] + b->first;
    for (size_t i = 0; i < b->rows; i++) {
        struct range seen = seen_by(b, i);
        float top = k->max(t->part[SCORE] + i * KEYS + seen.first, seen.n);
        if (most[i] > top) top = most[i];
        fall[i] = seen.n ? most[i] - top : 0;
        most[i] = top;
    }
    k->exp_scale(fall, fall, b->rows, 0, 1);
    for (size_t i = 0; i < b->rows; i++) {
        float *s = t->part[SCORE] + i * KEYS;
        struct range seen = seen_by(b, i);
        sum[i] = sum[i] * fall[i] + k->exp_sum(s + seen.first, s + seen.first, seen.n, most[i]);
        clear_unseen(s, b, seen);
    }
}

static void forward_block(const struct run *r, const struct room *t, const struct scores *b) {
    size_t D = r->a->dim;
    float fall[ROWS], *out = r->out + b->row * r->ldo + b->head * D;
    times_packed(r, b, r->qkv + b->row * r->ld + b->head * D, r->ld, t->part[KEYS_ACROSS],
                 t->part[SCORE]);
    soften(t, b, fall);
    for (size_t i = 0; !b->begins && i < b->rows; i++)
        kernels()->scale(out + i * r->ldo, out + i * r->ldo, fall[i], D);
    mix_keys(t, b, t->part[SCORE], out, r->ldo, D);
}

// One head of a segment.
static void forward_task(void *self, size_t task) {
    const struct run *r = self;
    size_t H = r->a->heads, G = r->a->kv_heads, D = r->a->dim, h = task % H, g = h / (H / G);
    const struct segment *s = &r->a->batch->segment[task / H];
    struct room t = my_room(r->a);
    for (size_t i = 0; i < s->count; i++) {
        t.part[MOST][i] = -INFINITY;
        t.part[SUM][i] = 0;
    }
    struct keys k;
    for (size_t j = 0; keys_block(s, j, &k); j++) {
        pack_scaled_keys(r, &k, (H + g) * D, t.part[KEYS_ACROSS]);
        pack_keys_along(r, &k, (H + G + g) * D, t.part[ALONG]);
        struct scores b;
        for (size_t i = k.first; i < s->count && make_block(r, s, &k, h, i, &b); i += ROWS)
            forward_block(r, &t, &b);
    }
    for (size_t i = 0; i < s->count; i++) {
        float *out = r->out + (s->first + i) * r->ldo + h * D, sum = t.part[SUM][i];
        r->lse[(s->first + i) * H + h] = t.part[MOST][i] + logf(sum);
        kernels()->scale(out, out, 1 / sum, D);
        if (r->a->rounded) kernels()->round(out, out, D);
    }
}

void attention_forward(const struct attention *a, const float *qkv, float *out, float *lse) {
    struct run r = make_run(a, qkv);
    r.out = out;
    r.lse = lse;
    parallel_for(a->batch->segments * a->heads, forward_task, &r);
}

// ---- backward ----

// The keys' columns at `offset` of dqkv += p^T (keys, rows) x (rows, D), row stride ld
static void add_to_keys(const struct run *r, const struct room *t, const struct scores *b,
                        const float *p, const float *x, size_t ld, size_t offset) {
    size_t D = r->a->dim;
    kernels()->pack(t->part[QUERIES], x, ld, D, b->rows, false);
    kernels()->block(&(struct block){.c = r->dqkv + b->k->row * r->ld + offset,
                                     .ldc = r->ld,
                                     .rows = b->keys,
                                     .cols = D,
                                     .k = b->rows,
                                     .a = {.f32 = p, .ld = KEYS},
                                     .b = {.packed = t->part[QUERIES], .ld = b->rows},
                                     .add = true});
}

// Scores become probabilities, dscore, so far dout v^T, the scores' gradient.
static void probabilities(const struct run *r, const struct room *t, const struct scores *b) {
    const struct kernels *k = kernels();
    size_t D = r->a->dim, H = r->a->heads;
    for (size_t i = 0; i < b->rows; i++) {
        struct range seen = seen_by(b, i);
        size_t at = (b->row + i) * r->ldo + b->head * D;
        float *s = t->part[SCORE] + i * KEYS, *d = t->part[DSCORE] + i * KEYS;
        float *from = s + seen.first, delta = k->dot(r->out_in + at, r->dout + at, D);
        k->exp_scale(from, from, seen.n, r->lse_in[(b->row + i) * H + b->head], 1);
        k->softmax_backward(d + seen.first, from, delta, r->scale, seen.n);
        clear_unseen(s, b, seen);
        clear_unseen(d, b, seen);
    }
}

static void backward_block(const struct run *r, const struct room *t, const struct scores *b) {
    size_t D = r->a->dim, H = r->a->heads, G = r->a->kv_heads, g = b->head / (H / G);
    size_t at = b->row * r->ld + b->head * D;
    const float *q = r->qkv + at, *dout = r->dout + b->row * r->ldo + b->head * D;
    times_packed(r, b, q, r->ld, t->part[KEYS_ACROSS], t->part[SCORE]);
    times_packed(r, b, dout, r->ldo, t->part[VALUES_ACROSS], t->part[DSCORE]);
    probabilities(r, t, b);
    add_to_keys(r, t, b, t->part[SCORE], dout, r->ldo, (H + G + g) * D);
    add_to_keys(r, t, b, t->part[DSCORE], q, r->ld, (H + g) * D);
    mix_keys(t, b, t->part[DSCORE], r->dqkv + at, r->ld, D);
}

// One segment against one key-value head: key block, head and query block in order.
static void backward_segment(const struct run *r, const struct room *t, const struct segment *s,
                             size_t g) {
    size_t H = r->a->heads, G = r->a->kv_heads, D = r->a->dim, per = H / G;
    struct keys k;
    for (size_t j = 0; keys_block(s, j, &k); j++) {
        pack_scaled_keys(r, &k, (H + g) * D, t->part[KEYS_ACROSS]);
        pack_keys_across(r, &k, (H + G + g) * D, t->part[VALUES_ACROSS]);
        pack_keys_along(r, &k, (H + g) * D, t->part[ALONG]);
        struct scores b;
        for (size_t h = g * per; h < (g + 1) * per; h++)
            for (size_t i = k.first; i < s->count && make_block(r, s, &k, h, i, &b); i += ROWS)
                backward_block(r, t, &b);
    }
}

// One tree and one key-value head: its gradients are added in the segments' order.
static void backward_task(void *self, size_t i) {
    const struct run *r = self;
    const struct batch *batch = r->a->batch;
    size_t G = r->a->kv_heads, tree = i / G, g = i % G, D = r->a->dim, H = r->a->heads;
    const struct segment *first = &batch->segment[batch->tree[tree]];
    const struct segment *end = &batch->segment[batch->tree[tree + 1]];
    struct room t = my_room(r->a);
    for (size_t row = first->first; row < end[-1].first + end[-1].count; row++) {
        memset(r->dqkv + row * r->ld + (H + g) * D, 0, D * sizeof(float));
        memset(r->dqkv + row * r->ld + (H + G + g) * D, 0, D * sizeof(float));
    }
    for (const struct segment *s = first; s < end; s++) backward_segment(r, &t, s, g);
}

void attention_backward(const struct attention *a, const float *qkv, const float *out,
                        const float *lse, const float *dout, float *dqkv) {
    struct run r = make_run(a, qkv);
    r.out_in = out;
    r.lse_in = lse;
    r.dout = dout;
    r.dqkv = dqkv;
    parallel_for(a->batch->trees * a->kv_heads, backward_task, &r);
}

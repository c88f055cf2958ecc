#include "common/engine/sample.h"
#include "common/engine/kernels.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/base/ranks.h"
#include "common/base/rng.h"
#include "common/base/stop.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void sample_options_rows(struct options *o, struct sample_options *s) {
    const struct opt_row rows[] = {
        {"temperature", OPT_REAL, OPT_RESULT, &s->temperature, .value = "1", .low = 0, .high = 100,
         .metavar = "X", .help = "divides the logits; 0 = always the most likely token"},
        {"top-k", OPT_INT, OPT_RESULT, &s->top_k, .value = "0", .low = 0, .high = 1e9,
         .metavar = "N", .help = "sample from the N most likely tokens, 0 = all"},
        {"top-p", OPT_REAL, OPT_RESULT, &s->top_p, .value = "1", .low = 1e-6, .high = 1,
         .metavar = "X", .help = "sample from the smallest set of tokens with this probability"},
        {"max-new", OPT_INT, OPT_RESULT, &s->max_new, .value = "256", .low = 1, .high = 1e6,
         .metavar = "N", .help = "most tokens of a response"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

size_t sample_job_row(const struct sample_job *j, int32_t *ids, uint8_t *mask) {
    memcpy(ids, j->prompt, j->n * sizeof *ids);
    memcpy(ids + j->n, j->ids, j->count * sizeof *ids);
    memset(mask, 0, j->n);
    memset(mask + j->n, 1, j->count);
    return j->n + j->count;
}

// ---- one draw ----

struct candidate {
    float logit;
    int32_t id;
};

static bool before(struct candidate a, struct candidate b) { // more likely first, then lower id
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Restores the heap below i: the most likely on top, or the least likely.
static void sift(struct candidate *heap, size_t n, size_t i, bool most_likely) {
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= n) return;
        if (c + 1 < n && before(heap[c + 1], heap[c]) == most_likely) c++;
        if (before(heap[c], heap[i]) != most_likely) return;
        struct candidate t = heap[i];
        heap[i] = heap[c];
        heap[c] = t;
        i = c;
    }
}

static void heapify(struct candidate *heap, size_t n, bool most_likely) {
    for (size_t i = n / 2; i-- > 0;) sift(heap, n, i, most_likely);
}

static void k_most_likely(struct candidate *heap, size_t k, const float *z, size_t V) {
    for (size_t v = 0; v < k; v++) heap[v] = (struct candidate){z[v], (int32_t)v};
    heapify(heap, k, false);
    for (size_t v = k; v < V; v++) {
        if (!(z[v] > heap[0].logit)) continue;
        heap[0] = (struct candidate){z[v], (int32_t)v};
        sift(heap, k, 0, false);
    }
}

enum { BLOCK = 512 };

static double block_sum(const float *x, size_t n) { // in 8 lanes
    double s[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t l = 0; l < 8; l++) s[l] += (double)x[i + l];
    for (; i < n; i++) s[i % 8] += (double)x[i];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static double total_of(const float *x, size_t n) {
    double total = 0;
    for (size_t i = 0; i < n; i += BLOCK) total += block_sum(x + i, n - i < BLOCK ? n - i : BLOCK);
    return total;
}

// What can be in the nucleus: tokens below (1 - top_p) / V hold less than 1 - top_p together. Half
// of that, so that no rounding counts. Returns their number; *total: all exp(z - max).
static size_t likely_enough(struct candidate *heap, double top_p, const float *z, size_t V,
                            float max, double *total) {
    float *e = xmalloc(V * sizeof *e);
    kernels()->exp_scale(e, z, V, max, 1);
    *total = total_of(e, V);
    float least = (float)(0.5 * (1 - top_p) * *total / (double)V);
    size_t n = 0;
    for (size_t v = 0; v < V; v++)
        if (e[v] >= least) heap[n++] = (struct candidate){z[v], (int32_t)v};
    free(e);
    return n;
}

// Leaves -INFINITY at all tokens outside the top-k and, of those, the nucleus.
static void restrict_to_top(const struct sample_options *o, float *z, size_t V, float max) {
    bool by_count = o->top_k > 0 && (size_t)o->top_k < V;
    size_t n = by_count ? (size_t)o->top_k : V, chosen = 0;
    double total = 0, mass = 0;
    struct candidate *heap = xmalloc(n * sizeof *heap), *kept = xmalloc(n * sizeof *kept);
    if (by_count)
        k_most_likely(heap, n, z, V);
    else
        n = likely_enough(heap, o->top_p, z, V, max, &total);
    heapify(heap, n, true);
    while (n && (by_count || mass < o->top_p * total)) {
        kept[chosen] = heap[0];
        double p = exp((double)kept[chosen++].logit - (double)max);
        *(by_count ? &total : &mass) += p;
        heap[0] = heap[--n];
        sift(heap, n, 0, true);
    }
    for (size_t v = 0; v < V; v++) z[v] = -INFINITY;
    mass = 0;
    for (size_t i = 0; i < chosen && (i == 0 || mass < o->top_p * total); i++) {
        z[kept[i].id] = kept[i].logit;
        mass += exp((double)kept[i].logit - (double)max);
    }
    free(heap);
    free(kept);
}

// Padding is at -INFINITY; the kernels say nothing of NaN.
static bool is_distribution(const float *z, size_t V, float max) {
    bool nan = false;
    for (size_t v = 0; v < V; v++) nan |= z[v] != z[v];
    return !nan && isfinite(max);
}

// The first token at which the running sum is above `bound`, else the last that has any weight:
// found by blocks, then one by one.
static size_t reach(const float *x, size_t V, double bound) {
    double sum = 0;
    size_t at = 0, last = 0;
    for (; at + BLOCK < V; at += BLOCK) {
        double next = sum + block_sum(x + at, BLOCK);
        if (next > bound) break;
        sum = next;
    }
    for (size_t v = at; v < V; v++) {
        if (x[v] > 0) last = v;
        if ((sum += (double)x[v]) > bound) return v;
    }
    while (!last && at > 0) // nothing in the last block
        if (x[--at] > 0) last = at;
    return last;
}

int32_t sample_token(const struct sample_options *o, float *z, size_t V, double u) {
    float max = kernels()->max(z, V);
    if (!is_distribution(z, V, max)) return -1;
    float scale = (float)(1 / o->temperature);
    if (!isfinite(max * scale)) { // a temperature of 0, or as good as that
        size_t best = 0;
        while (z[best] != max) best++;
        return (int32_t)best;
    }
    if (scale != 1) kernels()->scale(z, z, scale, V);
    max *= scale;
    if (o->top_p < 1 || (o->top_k > 0 && (size_t)o->top_k < V)) restrict_to_top(o, z, V, max);
    kernels()->exp_scale(z, z, V, max, 1);
    return (int32_t)reach(z, V, u * total_of(z, V));
}

// ---- many sequences ----

struct running {
    const struct sampler *s;
    const struct sample_queue *q;
    size_t active, idle;     // slots that run, and that do not
    struct sample_job **job; // (slots): what runs
    size_t *slot, *free;     // (slots): where it runs; a stack of those that do not
    int32_t *token;          // (slots): the last draw
    float **z;               // (decoders): logits (slots,V) of each
    size_t V;
};

static void draw(void *self, size_t i) {
    struct running *r = self;
    const struct sampler *s = r->s;
    struct sample_job *j = r->job[i];
    float *row[8];
    for (size_t k = 0; k < s->decoders; k++) row[k] = r->z[k] + i * r->V;
    if (s->compose) s->compose(s->self, row, r->V);
    double u = rng_uniform(s->seed, RNG_SAMPLE, j->row, j->sample << 32 | j->count);
    int32_t id = sample_token(&s->options, row[0], r->V, u);
    j->broken = id < 0;
    r->token[i] = j->ids[j->count++] = j->broken ? 0 : id;
    for (size_t e = 0; e < s->n_eos; e++) j->finished |= id == s->eos[e];
}

static bool over(const struct running *r, const struct sample_job *j) {
    return j->finished || j->broken || j->count >= (size_t)r->s->options.max_new ||
           j->n + j->count >= r->s->length;
}

// Starts a job in a slot: its first token is drawn at once. False: it is over already.
static bool start(struct running *r, struct sample_job *j) {
    size_t i = r->active, slot = r->free[r->idle - 1];
    j->count = 0;
    j->finished = j->broken = false;
    for (size_t k = 0; k < r->s->decoders; k++)
        decoder_start(r->s->decoder[k], slot, j->prompt, j->n, r->z[k] + i * r->V);
    r->job[i] = j;
    r->slot[i] = slot;
    draw(r, i);
    if (over(r, j)) return false;
    r->active++;
    r->idle--;
    return true;
}

// Both are false where it should go no further.
static bool fill(struct running *r) {
    struct sample_job *j;
    while (r->idle && (j = r->q->next(r->q->self)))
        if (stop_requested() || (!start(r, j) && !r->q->over(r->q->self, j))) return false;
    return true;
}

static bool step(struct running *r) {
    size_t n = r->active, kept = 0;
    for (size_t k = 0; k < r->s->decoders; k++)
        decoder_step(r->s->decoder[k], n, r->slot, r->token, r->z[k]);
    parallel_for(n, draw, r);
    for (size_t i = 0; i < n; i++) {
        if (over(r, r->job[i])) {
            r->free[r->idle++] = r->slot[i];
            if (!r->q->over(r->q->self, r->job[i])) return false;
            continue;
        }
        r->job[kept] = r->job[i];
        r->slot[kept] = r->slot[i];
        r->token[kept++] = r->token[i];
    }
    r->active = kept;
    return fill(r);
}

size_t sample_plan(size_t decoders, size_t slots, size_t V) {
    return decoders * slots * V * sizeof(float);
}

bool sample_queue_run(const struct sampler *s, const struct sample_queue *q) {
    size_t V = decoder_model(s->decoder[0])->config.vocab_used;
    struct running r = {.s = s, .q = q, .idle = s->slots, .V = V};
    const size_t bytes = sample_plan(1, s->slots, V);
    r.job = xmalloc(s->slots * sizeof *r.job);
    r.slot = xmalloc(s->slots * sizeof *r.slot);
    r.free = xmalloc(s->slots * sizeof *r.free);
    r.token = xmalloc(s->slots * sizeof *r.token);
    r.z = xmalloc(s->decoders * sizeof *r.z);
    for (size_t k = 0; k < s->decoders; k++) r.z[k] = big_alloc(bytes);
    for (size_t i = 0; i < s->slots; i++) r.free[i] = s->slots - 1 - i;
    bool on = fill(&r);
    while (on && r.active) on = !stop_requested() && step(&r);
    for (size_t k = 0; k < s->decoders; k++) big_free(r.z[k], bytes);
    free(r.z);
    free(r.job);
    free(r.slot);
    free(r.free);
    free(r.token);
    return on;
}

struct array {
    struct sample_job *next, *end;
};

static struct sample_job *array_next(void *self) {
    struct array *a = self;
    return a->next < a->end ? a->next++ : NULL;
}

static bool array_over(void *self, struct sample_job *j) {
    (void)self, (void)j;
    return true;
}

bool sample_run(const struct sampler *s, struct sample_job *jobs, size_t n) {
    struct array a = {jobs, jobs + n};
    struct sample_queue q = {&a, array_next, array_over};
    return sample_queue_run(s, &q);
}

struct drawn { // what a rank tells of a job
    size_t count;
    bool finished, broken;
};

bool sample_run_together(const struct sampler *s, struct sample_job *jobs, size_t n) {
    size_t first = ranks_share(n, ranks_self()), end = ranks_share(n, ranks_self() + 1);
    size_t bytes = n * (size_t)s->options.max_new * sizeof *jobs->ids;
    if (ranks_count() == 1) return sample_run(s, jobs, n);
    struct drawn *all = xcalloc(n, sizeof *all);
    memset(jobs->ids, 0, bytes);
    bool fine = sample_run(s, jobs + first, end - first);
    for (size_t i = first; i < end; i++) {
        all[i].count = jobs[i].count;
        all[i].finished = jobs[i].finished;
        all[i].broken = jobs[i].broken;
    }
    ranks_merge(all, n * sizeof *all);
    ranks_merge(jobs->ids, bytes);
    for (size_t i = 0; i < n; i++) {
        jobs[i].count = all[i].count;
        jobs[i].finished = all[i].finished;
        jobs[i].broken = all[i].broken;
    }
    free(all);
    return !ranks_or(!fine);
}

#include "common/method/teacher.h"
#include "common/engine/kernels.h"
#include "common/engine/rowmath.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include <stdlib.h>

// TVD of softmaxes whose logs of sums of exponentials are lp, lq.
static double distance(const float *dpo, const float *negative, size_t V, double lp, double lq) {
    float p[ROW_BLOCK], q[ROW_BLOCK];
    double sum = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        memcpy(p, dpo + at, n * sizeof *p);
        memcpy(q, negative + at, n * sizeof *q);
        row_softmax_known(p, n, lp, 1);
        row_softmax_known(q, n, lq, 1);
        for (size_t i = 0; i < n; i++) p[i] = fabsf(p[i] - q[i]);
        sum += row_sum(p, n);
    }
    return sum > 2 ? 1 : sum / 2;
}

double teacher_tvd(const float *dpo, const float *negative, size_t V) {
    return distance(dpo, negative, V, row_lse(dpo, V), row_lse(negative, V));
}

double teacher_alpha(const struct teacher_rule *rule, double tvd) {
    const double least = 1e-3;
    if (rule->alpha == ALPHA_DAMPED) return rule->strength * (1 - tvd) + least;
    if (rule->alpha == ALPHA_TVD) return rule->strength * tvd + least;
    return rule->strength;
}

// Constants matter where tokens are left out: rewards are differences of log-probabilities, of
// which `shift` is the logits' part.
static void compose(const struct teacher_rule *rule, double alpha, double shift, const float *base,
                    const float *dpo, const float *negative, size_t V, float *out) {
    const struct kernels *k = kernels();
    struct extrapolation e = {.alpha = alpha, .least = -INFINITY};
    float z[ROW_BLOCK], most = -INFINITY;
    double sum = 0;
    if (rule->plausible > 0) {
        e.shift = shift;
        e.least = (float)((double)row_max(base, V) + log(rule->plausible));
    }
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        k->extrapolate(z, base + at, dpo + at, negative + at, n, &e);
        most = fmaxf(most, row_max(z, n));
    }
    e.less = (double)most;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        k->extrapolate(z, base + at, dpo + at, negative + at, n, &e);
        sum += row_sum_exp(z, n, 0);
    }
    e.less += log(sum);
    k->extrapolate(out, base, dpo, negative, V, &e);
}

void teacher_compose(const struct teacher_rule *rule, double alpha, const float *base,
                     const float *dpo, const float *negative, size_t V, float *out) {
    double shift = rule->plausible > 0 ? row_lse(dpo, V) - row_lse(negative, V) : 0;
    compose(rule, alpha, shift, base, dpo, negative, V, out);
}

double teacher_star(const struct teacher_rule *rule, const float *base, const float *dpo,
                    const float *negative, size_t V, float *out, double *tvd) {
    double lp = row_lse(dpo, V), lq = row_lse(negative, V);
    *tvd = distance(dpo, negative, V, lp, lq);
    double alpha = teacher_alpha(rule, *tvd);
    compose(rule, alpha, lp - lq, base, dpo, negative, V, out);
    return alpha;
}

static bool ranks_before(struct teacher_entry a, struct teacher_entry b) {
    return a.logp > b.logp || (a.logp == b.logp && a.id < b.id);
}

// heap (n): the entry that ranks last is on top; puts x where the hole at `at` sinks to
static void sink(struct teacher_entry *heap, size_t n, size_t at, struct teacher_entry x) {
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && ranks_before(heap[child], heap[child + 1])) child++;
        if (!ranks_before(x, heap[child])) break;
        heap[at] = heap[child];
    }
    heap[at] = x;
}

static void rise(struct teacher_entry *heap, size_t at, struct teacher_entry x) {
    for (; at && ranks_before(heap[(at - 1) / 2], x); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = x;
}

static size_t take_top(const float *logp, size_t V, size_t k, struct teacher_entry *heap) {
    enum { GROUP = 64 };
    size_t n = 0;
    for (size_t at = 0; at < V && k; at += GROUP) {
        size_t m = V - at < GROUP ? V - at : GROUP;
        if (n == k && !(row_max(logp + at, m) > heap[0].logp)) continue;
        for (size_t i = at; i < at + m; i++) {
            struct teacher_entry x = {(int32_t)i, logp[i]};
            if (!(x.logp > -INFINITY)) continue;
            if (n < k)
                rise(heap, n++, x);
            else if (x.logp > heap[0].logp)
                sink(heap, n, 0, x);
        }
    }
    for (size_t left = n; left > 1; left--) { // the last in rank goes to the end
        struct teacher_entry last = heap[0];
        sink(heap, left - 1, 0, heap[left - 1]);
        heap[left - 1] = last;
    }
    return n;
}

size_t teacher_enough(const struct teacher_cut *cut, const struct teacher_entry *entries,
                      size_t n) {
    double sum = 0;
    if (n > cut->top_k) n = cut->top_k;
    for (size_t i = 0; i < n; i++) {
        double p = exp((double)entries[i].logp);
        if (i && p < cut->least) return i;
        sum += p;
        if (cut->mass < 1 && sum >= cut->mass) return i + 1;
    }
    return n;
}

static size_t keep(struct teacher_entry *entries, size_t n, int32_t id, const float *logp) {
    if (id < 0) return n;
    for (size_t i = 0; i < n; i++)
        if (entries[i].id == id) return n;
    struct teacher_entry x = {id, logp[id]};
    size_t at = n;
    for (; at && ranks_before(x, entries[at - 1]); at--) entries[at] = entries[at - 1];
    entries[at] = x;
    return n + 1;
}

static int by_id(const void *a, const void *b) {
    int32_t x = ((const struct teacher_entry *)a)->id, y = ((const struct teacher_entry *)b)->id;
    return (x > y) - (x < y);
}
static int by_rank(const void *a, const void *b) {
    const struct teacher_entry *x = a, *y = b;
    return ranks_before(*y, *x) - ranks_before(*x, *y);
}

// Mass of logp (V) from *from up to `to`, after which *from then stands.
static double pass_over(const float *logp, size_t *from, size_t to) {
    double sum = row_sum_exp(logp + *from, to - *from, 0);
    *from = to + 1;
    return sum;
}

static double log_mass(double mass) {
    return mass > 1e-30 ? log(mass) : (double)ROW_LOG_FLOOR;
}

static double complement(const float *logp, size_t V, struct teacher_entry *entries, size_t n) {
    double sum = 0;
    size_t from = 0;
    qsort(entries, n, sizeof *entries, by_id);
    for (size_t i = 0; i < n; i++) sum += pass_over(logp, &from, (size_t)entries[i].id);
    sum += pass_over(logp, &from, V);
    qsort(entries, n, sizeof *entries, by_rank);
    return log_mass(sum);
}

double teacher_tail(const float *logp, size_t V, const int32_t *ids, size_t n) {
    double sum = 0;
    size_t from = 0;
    for (size_t i = 0; i < n; i++) sum += pass_over(logp, &from, (size_t)ids[i]);
    return log_mass(sum + pass_over(logp, &from, V));
}

size_t teacher_truncate(const struct teacher_cut *cut, const float *logp, size_t V,
                        int32_t realised, struct teacher_entry *entries, double *log_tail) {
    assert(realised < (int32_t)V && cut->eos < (int32_t)V);
    size_t k = cut->top_k < V ? cut->top_k : V;
    size_t n = teacher_enough(cut, entries, take_top(logp, V, k, entries));
    n = keep(entries, n, realised, logp);
    n = keep(entries, n, cut->eos, logp);
    for (size_t i = 0; i < cut->n_must; i++) n = keep(entries, n, cut->must[i], logp);
    *log_tail = complement(logp, V, entries, n);
    return n;
}

double teacher_entropy(const float *logp, size_t V) {
    float p[ROW_BLOCK];
    double sum = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        row_exp(p, logp + at, n, 0);
        for (size_t i = 0; i < n; i++) p[i] = p[i] > 0 ? p[i] * logp[at + i] : 0;
        sum -= row_sum(p, n);
    }
    return sum;
}

#include "common/method/teacher.h"
#include "common/engine/kernels.h"
#include "common/engine/rowmath.h"
#include "common/base/mem.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include <stdlib.h>

struct normaliser { // of a row: what its softmax is made of
    float most;
    double sum; // of exp(x - most)
};

static double log_normaliser(const struct normaliser *n) {
    return (double)n->most + log(n->sum);
}

// p, q (V) are scratch: the exponentials serve the normalisers and the distance.
static double distance(const float *dpo, const float *negative, size_t V, float *p, float *q,
                       struct normaliser *of_dpo, struct normaliser *of_negative) {
    double sum = 0;
    of_dpo->sum = row_exp_sum(p, dpo, V, &of_dpo->most);
    of_negative->sum = row_exp_sum(q, negative, V, &of_negative->most);
    float ratio = (float)(of_dpo->sum / of_negative->sum);
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        sum += (double)kernels()->distance(p + at, q + at, ratio, n);
    }
    sum /= of_dpo->sum;
    return sum > 2 ? 1 : sum / 2;
}

double teacher_tvd(const float *dpo, const float *negative, size_t V) {
    struct normaliser ignored[2];
    float *scratch = xmalloc(2 * V * sizeof *scratch);
    double tvd = distance(dpo, negative, V, scratch, scratch + V, &ignored[0], &ignored[1]);
    free(scratch);
    return tvd;
}

double teacher_alpha(const struct teacher_rule *rule, double tvd) {
    const double least = 1e-3;
    if (rule->alpha == ALPHA_DAMPED) return rule->strength * (1 - tvd) + least;
    if (rule->alpha == ALPHA_TVD) return rule->strength * tvd + least;
    return rule->strength;
}

// out = the extrapolation; returns its largest number.
static float extrapolate(const struct extrapolation *e, const float *base, const float *dpo,
                         const float *negative, size_t V, float *out) {
    float most = -INFINITY;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        kernels()->extrapolate(out + at, base + at, dpo + at, negative + at, n, e);
        most = fmaxf(most, row_max(out + at, n));
    }
    return most;
}

// Constants matter where tokens are left out: rewards are differences of log-probabilities, of
// which `shift` is the logits' part. With the base's normaliser for p*'s, what is written first
// is near log p* where the teachers are near each other, and becomes it by a small number;
// elsewhere float32 would lose bits, and all is done again.
static void compose(const struct teacher_rule *rule, double alpha, double shift,
                    const struct normaliser *of_base, const float *base, const float *dpo,
                    const float *negative, size_t V, float *out) {
    struct extrapolation e = {.alpha = alpha, .least = -INFINITY, .less = log_normaliser(of_base)};
    bool apart = out != base && out != dpo && out != negative;
    float *to = apart ? out : xmalloc(V * sizeof *to);
    if (rule->plausible > 0) {
        e.shift = shift;
        e.least = (float)((double)of_base->most + log(rule->plausible));
    }
    float most = extrapolate(&e, base, dpo, negative, V, to);
    if (fabsf(most) <= 2) {
        row_subtract(to, V, (double)most + log(row_sum_exp(to, V, most)));
    } else {
        e.less += (double)most;
        extrapolate(&e, base, dpo, negative, V, to);
        e.less += log(row_sum_exp(to, V, 0));
        kernels()->extrapolate(to, base, dpo, negative, V, &e);
    }
    if (apart) return;
    memcpy(out, to, V * sizeof *out);
    free(to);
}

void teacher_compose(const struct teacher_rule *rule, double alpha, const float *base,
                     const float *dpo, const float *negative, size_t V, float *out) {
    double shift = rule->plausible > 0 ? row_lse(dpo, V) - row_lse(negative, V) : 0;
    struct normaliser b = {.most = row_max(base, V)};
    b.sum = row_sum_exp(base, V, b.most);
    compose(rule, alpha, shift, &b, base, dpo, negative, V, out);
}

double teacher_star(const struct teacher_rule *rule, const float *base, const float *dpo,
                    const float *negative, size_t V, float *out, double *tvd) {
    struct normaliser p, q, b;
    float *scratch = xmalloc(2 * V * sizeof *scratch);
    *tvd = distance(dpo, negative, V, scratch, scratch + V, &p, &q);
    if (base == dpo)
        b = p;
    else if (base == negative)
        b = q;
    else
        b.sum = row_exp_sum(scratch, base, V, &b.most);
    free(scratch);
    double alpha = teacher_alpha(rule, *tvd), shift = log_normaliser(&p) - log_normaliser(&q);
    compose(rule, alpha, shift, &b, base, dpo, negative, V, out);
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

// A number that about 2 k of logp lie above, by a sample: fewer than k seldom do.
static float sampled_threshold(const float *logp, size_t V, size_t k) {
    enum { SAMPLE = 1024, MOST = 32 };
    size_t rank = 2 * k * SAMPLE / V + 8, n = 0;
    float top[MOST];
    if (V < 8 * SAMPLE || rank > MOST) return -INFINITY;
    for (size_t i = 0; i < SAMPLE; i++) {
        float x = logp[i * V / SAMPLE];
        if (n == rank && !(x > top[n - 1])) continue;
        size_t at = n < rank ? n++ : n - 1;
        for (; at && x > top[at - 1]; at--) top[at] = top[at - 1];
        top[at] = x;
    }
    return top[rank - 1];
}

// The top k of those that are `least` at least; returns how many there are, in rank order.
static size_t take_above(const float *logp, size_t V, size_t k, float least,
                         struct teacher_entry *heap) {
    enum { GROUP = 64 };
    size_t n = 0;
    for (size_t at = 0; at < V && k; at += GROUP) {
        size_t m = V - at < GROUP ? V - at : GROUP;
        float most = row_max(logp + at, m);
        if (most < least || (n == k && !(most > heap[0].logp))) continue;
        for (size_t i = at; i < at + m; i++) {
            struct teacher_entry x = {(int32_t)i, logp[i]};
            if (!(x.logp > -INFINITY) || x.logp < least) continue;
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

static size_t take_top(const float *logp, size_t V, size_t k, struct teacher_entry *heap) {
    float least = sampled_threshold(logp, V, k);
    size_t n = take_above(logp, V, k, least, heap);
    return n < k && least > -INFINITY ? take_above(logp, V, k, -INFINITY, heap) : n;
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

static size_t choose(const struct teacher_cut *cut, const float *logp, size_t V, int32_t realised,
                     struct teacher_entry *entries) {
    assert(realised < (int32_t)V && cut->eos < (int32_t)V);
    size_t k = cut->top_k < V ? cut->top_k : V;
    size_t n = teacher_enough(cut, entries, take_top(logp, V, k, entries));
    n = keep(entries, n, realised, logp);
    n = keep(entries, n, cut->eos, logp);
    for (size_t i = 0; i < cut->n_must; i++) n = keep(entries, n, cut->must[i], logp);
    return n;
}

size_t teacher_truncate(const struct teacher_cut *cut, const float *logp, size_t V,
                        int32_t realised, struct teacher_entry *entries, double *log_tail) {
    size_t n = choose(cut, logp, V, realised, entries);
    *log_tail = complement(logp, V, entries, n);
    return n;
}

size_t teacher_truncate_measured(const struct teacher_cut *cut, const float *logp, size_t V,
                                 int32_t realised, struct teacher_entry *entries, double *log_tail,
                                 double *entropy) {
    float p[ROW_BLOCK];
    double tail = 0;
    size_t n = choose(cut, logp, V, realised, entries), next = 0;
    qsort(entries, n, sizeof *entries, by_id);
    *entropy = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t m = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        *entropy -= (double)kernels()->exp_moment(p, logp + at, m);
        for (; next < n && (size_t)entries[next].id < at + m; next++)
            p[(size_t)entries[next].id - at] = 0;
        tail += row_sum(p, m);
    }
    qsort(entries, n, sizeof *entries, by_rank);
    *log_tail = log_mass(tail);
    return n;
}

size_t teacher_take(const int32_t *ids, size_t n, const int32_t also[2], const float *logp,
                    size_t V, struct teacher_entry *entries, double *log_tail) {
    bool in[2] = {also[0] < 0, also[1] < 0 || also[1] == also[0]};
    for (size_t i = 0; i < n; i++) {
        entries[i] = (struct teacher_entry){ids[i], logp[ids[i]]};
        for (int k = 0; k < 2; k++) in[k] = in[k] || ids[i] == also[k];
    }
    for (int k = 0; k < 2; k++)
        if (!in[k]) entries[n++] = (struct teacher_entry){also[k], logp[also[k]]};
    *log_tail = complement(logp, V, entries, n);
    return n;
}

double teacher_entropy(const float *logp, size_t V) {
    float p[ROW_BLOCK];
    double sum = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK)
        sum -= (double)kernels()->exp_moment(p, logp + at, V - at < ROW_BLOCK ? V - at : ROW_BLOCK);
    return sum;
}

#include "common/method/teacher.h"
#include "common/method/teacher_kl.h"
#include "common/engine/kernels.h"
#include "common/engine/rowmath.h"
#include "common/base/mem.h"
#include <assert.h>
#include <float.h>
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
    of_dpo->sum = row_exp_sum(p, dpo, V, &of_dpo->most, negative);
    of_negative->sum = row_exp_sum(q, negative, V, &of_negative->most, NULL);
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
    assert(rule->alpha != ALPHA_KL);
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

// Of out->logp (V) less `shift`: its exponentials into out->p, unless NULL; their sum.
static double exponentials(const struct teacher_composed *out, size_t V, float shift) {
    return out->p ? row_exp_from(out->p, out->logp, V, shift, out->next)
                  : row_sum_exp(out->logp, V, shift);
}

// Constants matter where tokens are left out: rewards are differences of log-probabilities, of
// which `shift` is the logits' part. With the base's normaliser for p*'s, what is written first
// is near log p* where the teachers are near each other, and becomes it by a small number;
// elsewhere float32 would lose bits, and all is done again. out->p may be NULL.
static void compose(const struct teacher_rule *rule, double alpha, double shift,
                    const struct normaliser *of_base, const float *base, const float *dpo,
                    const float *negative, size_t V, struct teacher_composed *out) {
    struct extrapolation e = {.alpha = alpha, .least = -INFINITY, .less = log_normaliser(of_base)};
    if (rule->plausible > 0) {
        e.shift = shift;
        e.least = (float)((double)of_base->most + log(rule->plausible));
    }
    float most = extrapolate(&e, base, dpo, negative, V, out->logp);
    out->sum = exponentials(out, V, most);
    double less = (double)most + log(out->sum);
    if (fabs(less) <= 2) {
        row_subtract(out->logp, V, less);
        return;
    }
    e.less += (double)most;
    extrapolate(&e, base, dpo, negative, V, out->logp);
    out->sum = exponentials(out, V, 0);
    e.less += log(out->sum);
    kernels()->extrapolate(out->logp, base, dpo, negative, V, &e);
}

void teacher_compose_each(const struct teacher_rule *rule, const double *alpha, size_t n,
                          const float *base, const float *dpo, const float *negative, size_t V,
                          float *out) {
    double shift = rule->plausible > 0 ? row_lse(dpo, V) - row_lse(negative, V) : 0;
    struct normaliser b = {.most = row_max(base, V)};
    b.sum = row_sum_exp(base, V, b.most);
    for (size_t k = 0; k < n; k++) {
        struct teacher_composed to = {.logp = out + k * V};
        compose(rule, alpha[k], shift, &b, base, dpo, negative, V, &to);
    }
}

void teacher_compose(const struct teacher_rule *rule, double alpha, const float *base,
                     const float *dpo, const float *negative, size_t V, float *out) {
    bool apart = out != base && out != dpo && out != negative;
    float *to = apart ? out : xmalloc(V * sizeof *to);
    teacher_compose_each(rule, &alpha, 1, base, dpo, negative, V, to);
    if (apart) return;
    memcpy(out, to, V * sizeof *out);
    free(to);
}

// The alpha that ALPHA_KL asks for. scratch (2,V): of_base's exponentials in the first or second
// row, then what the extrapolation moves.
static double alpha_of_kl(const struct teacher_rule *rule, double shift,
                          const struct normaliser *of_base, const float *base, const float *dpo,
                          const float *negative, size_t V, float *scratch) {
    struct tilt t = {.logp = scratch, .d = scratch + V};
    const float *exponential = base == negative && base != dpo ? scratch + V : scratch;
    double lse = log_normaliser(of_base), rest = 0;
    float least =
        rule->plausible > 0 ? (float)((double)of_base->most + log(rule->plausible)) : -INFINITY;
    for (size_t v = 0; v < V; v++) {
        bool out = base[v] < least || dpo[v] == -INFINITY || negative[v] == -INFINITY;
        if (out) rest += (double)exponential[v];
        if (out || base[v] == -INFINITY) continue;
        scratch[V + t.n] = (float)((double)dpo[v] - (double)negative[v] - shift);
        scratch[t.n++] = (float)((double)base[v] - lse);
    }
    t.rest = rest / of_base->sum;
    return tilt_alpha(&t, rule->strength);
}

double teacher_star_row(const struct teacher_rule *rule, const float *base, const float *dpo,
                        const float *negative, size_t V, struct teacher_composed *to, double *tvd) {
    struct normaliser p, q, b;
    *tvd = distance(dpo, negative, V, to->p, to->p + V, &p, &q);
    if (base == dpo)
        b = p;
    else if (base == negative)
        b = q;
    else
        b.sum = row_exp_sum(to->p, base, V, &b.most, NULL);
    double shift = log_normaliser(&p) - log_normaliser(&q);
    double alpha = rule->alpha == ALPHA_KL
                       ? alpha_of_kl(rule, shift, &b, base, dpo, negative, V, to->p)
                       : teacher_alpha(rule, *tvd);
    compose(rule, alpha, shift, &b, base, dpo, negative, V, to);
    return alpha;
}

double teacher_star(const struct teacher_rule *rule, const float *base, const float *dpo,
                    const float *negative, size_t V, float *out, double *tvd) {
    bool apart = out != base && out != dpo && out != negative;
    float *scratch = xmalloc((apart ? 2 : 3) * V * sizeof *scratch);
    struct teacher_composed row = {.logp = apart ? out : scratch + 2 * V, .p = scratch};
    double alpha = teacher_star_row(rule, base, dpo, negative, V, &row, tvd);
    if (!apart) memcpy(out, row.logp, V * sizeof *out);
    free(scratch);
    return alpha;
}

static bool ranks_before(struct teacher_entry a, struct teacher_entry b) {
    return a.logp > b.logp || (a.logp == b.logp && a.id < b.id);
}

static int by_rank(const void *a, const void *b) {
    const struct teacher_entry *x = a, *y = b;
    return ranks_before(*y, *x) - ranks_before(*x, *y);
}

// Few are counted, which has no branches: those before each give its place.
void teacher_rank(struct teacher_entry *entries, size_t n) {
    enum { FEW = 512 };
    struct teacher_entry ranked[FEW];
    float logp[FEW];
    int32_t before[FEW];
    if (n > FEW) {
        qsort(entries, n, sizeof *entries, by_rank);
        return;
    }
    for (size_t i = 0; i < n; i++) logp[i] = entries[i].logp;
    kernels()->ranks(before, logp, n);
    for (size_t i = 0; i < n; i++) ranked[before[i]] = entries[i];
    memcpy(entries, ranked, n * sizeof *entries);
}

// A number that k or more of logp are no less than, and not many more: the k-th of the largest
// numbers of groups. Below all that are finite where there are no groups.
static float group_threshold(const float *logp, size_t V, size_t k) {
    enum { LANES = 16, SPARE = 2 }; // groups for each of k
    size_t each = V / (SPARE * k), n = 0;
    if (each < 2) return -FLT_MAX;
    struct teacher_entry *group = xmalloc((V / each + 2 * LANES) * sizeof *group);
    for (size_t at = 0; at < V; at += LANES * each) {
        float most[LANES];
        kernels()->maxima(most, logp + at, V - at < LANES * each ? V - at : LANES * each, each);
        for (int l = 0; l < LANES; l++) {
            group[n] = (struct teacher_entry){(int32_t)n, most[l]};
            n += most[l] > -INFINITY;
        }
    }
    teacher_rank(group, n);
    float least = n < k ? -FLT_MAX : group[k - 1].logp;
    free(group);
    return least;
}

// Those that rank first of n entries, k at most; their number.
static size_t take_first(struct teacher_entry *entries, size_t n, size_t k) {
    teacher_rank(entries, n);
    return n < k ? n : k;
}

size_t teacher_top(const float *logp, size_t V, size_t k, struct teacher_entry *entries) {
    if (k > V) k = V;
    if (!k) return 0;
    float least = group_threshold(logp, V, k);
    const size_t most = 2 * k + ROW_BLOCK;
    struct teacher_entry *found = xmalloc(most * sizeof *found);
    size_t n = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        int32_t in[ROW_BLOCK];
        size_t m =
            kernels()->at_least(in, logp + at, V - at < ROW_BLOCK ? V - at : ROW_BLOCK, least);
        if (n + m > most) {
            n = take_first(found, n, k);
            least = nextafterf(found[k - 1].logp, INFINITY); // of equals those before rank first
        }
        for (size_t i = 0; i < m; i++) {
            size_t id = at + (size_t)in[i];
            found[n++] = (struct teacher_entry){(int32_t)id, logp[id]};
        }
    }
    n = take_first(found, n, k);
    memcpy(entries, found, n * sizeof *entries);
    free(found);
    return n;
}

size_t teacher_enough(const struct teacher_cut *cut, const struct teacher_entry *entries,
                      size_t n) {
    double sum = 0;
    if (n > cut->top_k) n = cut->top_k;
    if (cut->mass >= 1 && cut->least <= 0) return n;
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

// Mass of logp (V) from *from up to `to`, after which *from then stands.
static double pass_over(const float *logp, size_t *from, size_t to) {
    double sum = row_sum_exp(logp + *from, to - *from, 0);
    *from = to + 1;
    return sum;
}

static double complement(const float *logp, size_t V, struct teacher_entry *entries, size_t n) {
    double sum = 0;
    size_t from = 0;
    qsort(entries, n, sizeof *entries, by_id);
    for (size_t i = 0; i < n; i++) sum += pass_over(logp, &from, (size_t)entries[i].id);
    sum += pass_over(logp, &from, V);
    qsort(entries, n, sizeof *entries, by_rank);
    return row_log_mass(sum);
}

double teacher_tail(const float *logp, size_t V, const int32_t *ids, size_t n) {
    double sum = 0;
    size_t from = 0;
    for (size_t i = 0; i < n; i++) sum += pass_over(logp, &from, (size_t)ids[i]);
    return row_log_mass(sum + pass_over(logp, &from, V));
}

float teacher_most(const float *logp, size_t V, struct teacher_entry *entries, size_t n) {
    float most = ROW_LOG_FLOOR;
    size_t from = 0;
    qsort(entries, n, sizeof *entries, by_id);
    for (size_t i = 0; i <= n; i++) {
        size_t to = i < n ? (size_t)entries[i].id : V;
        if (to > from) most = fmaxf(most, row_max(logp + from, to - from));
        from = to + 1;
    }
    qsort(entries, n, sizeof *entries, by_rank);
    return fminf(most, 0);
}

static size_t choose(const struct teacher_cut *cut, const float *logp, size_t V, int32_t realised,
                     struct teacher_entry *entries) {
    assert(realised < (int32_t)V && cut->eos < (int32_t)V);
    size_t n = teacher_enough(cut, entries, teacher_top(logp, V, cut->top_k, entries));
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

// What is outside entries (n), and the entropy. The row is as it was then, but p of them is 0.
static struct teacher_rest measure_rest(struct teacher_composed *row, size_t V,
                                        const struct teacher_entry *entries, size_t n) {
    double moment = 0;
    for (size_t i = 0; i < n; i++) {
        size_t id = (size_t)entries[i].id;
        if (row->p[id] > 0) moment += (double)row->p[id] * (double)entries[i].logp;
        row->p[id] = 0;
        row->logp[id] = -INFINITY;
    }
    struct row_outside o = row_outside(row->p, row->logp, V);
    for (size_t i = 0; i < n; i++) row->logp[entries[i].id] = entries[i].logp;
    return (struct teacher_rest){.log_tail = row_log_mass(o.mass / row->sum),
                                 .entropy = -(moment + o.moment) / row->sum,
                                 .log_most = fminf(fmaxf(o.most, ROW_LOG_FLOOR), 0)};
}

size_t teacher_truncate_row(const struct teacher_cut *cut, struct teacher_composed *row, size_t V,
                            int32_t realised, struct teacher_entry *entries,
                            struct teacher_rest *rest) {
    size_t n = choose(cut, row->logp, V, realised, entries);
    *rest = measure_rest(row, V, entries, n);
    return n;
}

size_t teacher_take_row(const int32_t *ids, size_t n, const int32_t also[2],
                        struct teacher_composed *row, size_t V, struct teacher_entry *entries,
                        struct teacher_rest *rest) {
    bool in[2] = {also[0] < 0, also[1] < 0 || also[1] == also[0]};
    for (size_t i = 0; i < n; i++) {
        entries[i] = (struct teacher_entry){ids[i], row->logp[ids[i]]};
        for (int k = 0; k < 2; k++) in[k] = in[k] || ids[i] == also[k];
    }
    for (int k = 0; k < 2; k++)
        if (!in[k]) entries[n++] = (struct teacher_entry){also[k], row->logp[also[k]]};
    qsort(entries, n, sizeof *entries, by_rank);
    *rest = measure_rest(row, V, entries, n);
    return n;
}

double teacher_entropy(const float *logp, size_t V) {
    float p[ROW_BLOCK];
    double sum = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK)
        sum -= (double)kernels()->exp_moment(p, logp + at, V - at < ROW_BLOCK ? V - at : ROW_BLOCK);
    return sum;
}

#include "common/method/support.h"
#include "common/engine/kernels.h"
#include "common/engine/rowmath.h"
#include "common/method/teacher.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Tokens below e^-9 of both are no candidates where all of them together take at most a quarter of
// the budget, as they do at most positions; else those below e^-13, or e^-17, together weigh
// little. Their sums are taken as a whole. What is kept anyway is always a candidate.
static const float faint_from[] = {-9, -13, -17};
enum { FAINT = sizeof faint_from / sizeof *faint_from };
static const double spared = 0.25;
static const double tiny = 1e-30;
static const double faint = 1e-5; // a gradient that counts as no smaller: rounding, by and by

// Sums over a set of tokens: of p, q = p*, and products with a = log p - log p*.
struct sums {
    double p, q, pa, pp, ppa, ppaa, qq, pq;
};

// A student on the way to p*: log p = (1 - part) log p_own + part log p* - shift.
struct point {
    float part, shift;
    double limit, typical[SUPPORT_KINDS];
    struct sums all, out;
};

static float larger(float a, float b) {
    return a > b ? a : b;
}

static double most_of(double a, double b) {
    return a > b ? a : b;
}

static float at_point(const struct point *t, float own, float star) {
    return t->part > 0 ? own + t->part * (star - own) - t->shift : own;
}

static void add_token(struct sums *s, const struct support_token *x, int point) {
    double p = (double)x->p[point], q = (double)x->q, pa = (double)x->pa[point];
    s->p += p;
    s->q += q;
    s->pa += pa;
    s->pp += p * p;
    s->ppa += p * pa;
    s->ppaa += pa * pa;
    s->qq += q * q;
    s->pq += p * q;
}

static void add_sums(struct sums *s, const struct sums *x) {
    s->p += x->p;
    s->q += x->q;
    s->pa += x->pa;
    s->pp += x->pp;
    s->ppa += x->ppa;
    s->ppaa += x->ppaa;
    s->qq += x->qq;
    s->pq += x->pq;
}

enum { POINTS = SUPPORT_STUDENTS };
struct students {
    struct point at[POINTS];
    struct sums rest[POINTS]; // over the tokens that are no candidates
};

static const float nothing = -1e4f; // log p of what is not to count

// A block of tokens that are no candidates: those that are have `nothing` in both. q: p* of them.
static void add_block(struct sums *s, const struct point *t, const float *own, const float *star,
                      const float *q, size_t n) {
    float l[ROW_BLOCK], p[ROW_BLOCK], sum[PAIR_SUMS];
    for (size_t i = 0; i < n; i++) {
        float logp = at_point(t, own[i], star[i]);
        l[i] = logp > nothing ? logp : nothing; // padding too
    }
    row_exp(p, l, n, 0);
    kernels()->pair_sums(sum, p, q, l, star, n);
    add_sums(s, &(struct sums){(double)sum[0], (double)sum[1], (double)sum[2], (double)sum[3],
                               (double)sum[4], (double)sum[5], (double)sum[6], (double)sum[7]});
}

static double mix_lse(const float *own, const float *star, size_t V, float part) {
    float x[ROW_BLOCK];
    double sum = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        for (size_t i = 0; i < n; i++) x[i] = own[at + i] + part * (star[at + i] - own[at + i]);
        for (size_t i = 0; i < n; i++) x[i] = x[i] == x[i] ? x[i] : -INFINITY; // padding
        sum += row_sum_exp(x, n, 0);
    }
    return log(fmax(sum, tiny));
}

static int by_rank(const void *a, const void *b) {
    const struct support_token *x = a, *y = b;
    if (x->rank != y->rank) return x->rank > y->rank ? -1 : 1;
    if (x->star != y->star) return x->star > y->star ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

// p, p a and p* of candidates (n, ROW_BLOCK at most), whose star and own are set.
static void fill_tokens(const struct students *s, struct support_token *token, size_t n) {
    float l[ROW_BLOCK], p[ROW_BLOCK];
    for (size_t i = 0; i < n; i++) l[i] = token[i].star;
    row_exp(p, l, n, 0);
    for (size_t i = 0; i < n; i++) token[i].q = p[i];
    for (int k = 0; k < POINTS; k++) {
        for (size_t i = 0; i < n; i++) l[i] = at_point(&s->at[k], token[i].own, token[i].star);
        row_exp(p, l, n, 0);
        for (size_t i = 0; i < n; i++) {
            token[i].p[k] = p[i];
            token[i].pa[k] = p[i] > 0 ? p[i] * (l[i] - token[i].star) : 0;
        }
    }
}

// Candidates, which have log p or log p* from `from` on, ranked by the larger of p and p*; all
// others into the sums of the rest.
static size_t split(struct students *s, float from, const float *star, const float *own, size_t V,
                    struct support_token *token) {
    float p[ROW_BLOCK], q[ROW_BLOCK], e[ROW_BLOCK];
    size_t n = 0;
    memset(s->rest, 0, sizeof s->rest);
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t m = V - at < ROW_BLOCK ? V - at : ROW_BLOCK, first = n;
        for (size_t i = 0; i < m; i++) {
            float most = own[at + i] > star[at + i] ? own[at + i] : star[at + i];
            bool none = most >= from || !(most > -INFINITY);
            p[i] = none ? nothing : own[at + i];
            q[i] = none ? nothing : star[at + i];
        }
        for (size_t i = 0; i < m; i++)
            if (own[at + i] >= from || star[at + i] >= from)
                token[n++] = (struct support_token){
                    .id = (int32_t)(at + i), .star = star[at + i], .own = own[at + i]};
        fill_tokens(s, token + first, n - first);
        row_exp(e, q, m, 0);
        for (int k = 0; k < POINTS; k++) add_block(&s->rest[k], &s->at[k], p, q, e, m);
    }
    for (size_t i = 0; i < n; i++) token[i].rank = larger(token[i].q, token[i].p[0]);
    return n;
}

// What the sums say: the tail's ratio and logarithm, d of support.h, the sizes of the errors and of
// the gradients.
struct terms {
    double ratio, A, d, forward, reverse, g_forward, g_reverse;
};

static struct terms terms_of(const struct point *t) {
    const struct sums *all = &t->all, *o = &t->out;
    double P = most_of(o->p, tiny), Q = most_of(o->q, tiny), r = Q / P, kl = all->pa;
    struct terms x = {.ratio = r, .A = log(P) - log(Q)};
    x.d = o->pa - P * x.A;
    double c = x.A + x.d;
    double forward = o->qq - 2 * r * o->pq + r * r * o->pp;
    double reverse = x.d * x.d * (all->pp - o->pp) + c * c * o->pp - 2 * c * o->ppa + o->ppaa;
    x.forward = sqrt(most_of(forward, 0));
    x.reverse = sqrt(most_of(reverse, 0));
    x.g_forward = sqrt(most_of(all->pp - 2 * all->pq + all->qq, 0));
    x.g_reverse = sqrt(most_of(all->ppaa - 2 * kl * all->ppa + kl * kl * all->pp, 0));
    return x;
}

// What |g - h| may be of each kind, more than 0.
static double forward_limit(const struct point *t, const struct terms *x) {
    return t->limit * most_of(most_of(x->g_forward, t->typical[0]), faint);
}

static double reverse_limit(const struct point *t, const struct terms *x) {
    return t->limit * most_of(most_of(x->g_reverse, t->typical[1]), faint);
}

// Whether what is out takes `share` of the budget at most.
static bool fits(const struct point *t, double share) {
    struct terms x = terms_of(t);
    return x.forward <= share * forward_limit(t, &x) && x.reverse <= share * reverse_limit(t, &x);
}

static bool fit(const struct students *s, double share) {
    bool ok = true;
    for (int k = 0; k < POINTS; k++) ok = ok && fits(&s->at[k], share);
    return ok;
}

// Ranks in classes, eight to an octave: tokens of one class are left out together, but of the last.
enum { CLASSES = 512, CLASSES_BELOW = (127 - 48) * 8 }; // from 2^-48 on

static int class_of(float rank) {
    uint32_t bits;
    memcpy(&bits, &rank, sizeof bits);
    int at = (int)(bits >> 20) - CLASSES_BELOW;
    return at < 0 ? 0 : at < CLASSES ? at : CLASSES - 1;
}

// The first class of ranks that has to stay, from the lowest on: those below are left out within
// the budget, and their sums are what is out at the points. -1: even the rest is too much.
static int first_needed(struct students *s, const struct support_token *token, size_t n) {
    struct sums of[CLASSES][POINTS];
    bool any[CLASSES] = {0};
    for (int k = 0; k < POINTS; k++) s->at[k].out = s->rest[k];
    if (!fit(s, 1)) return -1;
    for (size_t i = 0; i < n; i++) {
        int at = class_of(token[i].rank);
        if (!any[at]) memset(of[at], 0, sizeof of[at]);
        any[at] = true;
        for (int k = 0; k < POINTS; k++) add_token(&of[at][k], &token[i], k);
    }
    for (int at = 0; at < CLASSES - 1; at++) { // the last has what is kept anyway
        struct sums before[POINTS];
        if (!any[at]) continue;
        for (int k = 0; k < POINTS; k++) {
            before[k] = s->at[k].out;
            add_sums(&s->at[k].out, &of[at][k]);
        }
        if (fit(s, 1)) continue;
        for (int k = 0; k < POINTS; k++) s->at[k].out = before[k];
        return at;
    }
    return CLASSES - 1;
}

// Moves the tokens that have to stay to the front, those of the last class ranked, and says how
// many they are, 1 at least.
static size_t fewest(struct students *s, struct support_token *token, size_t n) {
    int needed = first_needed(s, token, n);
    size_t above = 0, end;
    for (size_t pass = 0; pass < 2; pass++) { // higher classes, then this one
        if (pass) end = above;
        for (size_t i = above, *to = pass ? &end : &above; i < n; i++) {
            int at = class_of(token[i].rank);
            if (pass ? at != needed : at <= needed) continue;
            struct support_token x = token[*to];
            token[*to] = token[i];
            token[i] = x;
            ++*to;
        }
    }
    qsort(token + above, end - above, sizeof *token, by_rank);
    while (end > 1 && end > above && !isinf(token[end - 1].rank)) {
        struct sums before[POINTS];
        for (int k = 0; k < POINTS; k++) {
            before[k] = s->at[k].out;
            add_token(&s->at[k].out, &token[end - 1], k);
        }
        if (!fit(s, 1)) {
            for (int k = 0; k < POINTS; k++) s->at[k].out = before[k];
            break;
        }
        end--;
    }
    return end;
}

// Each token's part of the error, in budgets, were it left out with what is. From log p `least` on
// it is beyond all.
static void rank_by_error(const struct students *s, float least, struct support_token *token,
                          size_t n) {
    size_t likely = 0;
    for (size_t i = 0; i < n; i++) {
        token[i].rank = 0;
        if (token[i].star > token[likely].star) likely = i;
    }
    for (int k = 0; k < POINTS; k++) {
        const struct point *t = &s->at[k];
        struct terms x = terms_of(t);
        double forward = 1 / forward_limit(t, &x), reverse = 1 / reverse_limit(t, &x);
        for (size_t i = 0; i < n; i++) {
            const struct support_token *v = &token[i];
            double p = (double)v->p[k], c = x.A + x.d;
            double part = most_of(fabs((double)v->q - p * x.ratio) * forward,
                                  fabs((double)v->pa[k] - p * c) * reverse);
            if (part > (double)v->rank) token[i].rank = (float)part;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (larger(token[i].own, token[i].star) >= least) token[i].rank = INFINITY;
    if (n) token[likely].rank = INFINITY;
}

// p*'s effective number of tokens as a share of ten, 1 at most.
static double sureness(const float *star, size_t V) {
    static const double enough = 10;
    return fmin(exp(teacher_entropy(star, V)) / enough, 1);
}

static struct students students_of(const float *star, const float *own, size_t V) {
    struct students s = {.at = {{.part = 0}, {.part = 0.5f}}};
    s.at[1].shift = (float)mix_lse(own, star, V, s.at[1].part);
    return s;
}

struct support_sizes support_gradients(const float *star, const float *own, size_t V) {
    struct students s = students_of(star, own, V);
    struct support_sizes sizes;
    for (int k = 0; k < POINTS; k++) {
        for (size_t at = 0; at < V; at += ROW_BLOCK) {
            float q[ROW_BLOCK];
            size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
            row_exp(q, star + at, n, 0);
            add_block(&s.at[k].all, &s.at[k], own + at, star + at, q, n);
        }
        struct terms x = terms_of(&s.at[k]);
        sizes.g[k][0] = x.g_forward;
        sizes.g[k][1] = x.g_reverse;
    }
    return sizes;
}

// Candidates from log p `from` on, and the sums of all; what is no candidate is out.
static size_t candidates_from(struct students *s, float from, const float *star, const float *own,
                              size_t V, struct support_token *token) {
    size_t n = split(s, from, star, own, V, token);
    for (int k = 0; k < POINTS; k++) {
        struct point *t = &s->at[k];
        t->all = t->out = s->rest[k];
        for (size_t i = 0; i < n; i++) add_token(&t->all, &token[i], k);
    }
    return n;
}

// As few of them as will do: those from `least` on, and the most likely one, are among them.
static size_t candidates(struct students *s, float least, const float *star, const float *own,
                         size_t V, struct support_token *token) {
    float anyway = fminf(least, row_max(star, V));
    for (int i = 0; i < FAINT - 1; i++) {
        size_t n = candidates_from(s, fminf(faint_from[i], anyway), star, own, V, token);
        if (fit(s, spared)) return n;
    }
    return candidates_from(s, faint_from[FAINT - 1], star, own, V, token);
}

bool support_within(const struct support_budget *b, const struct support_sizes *typical,
                    const float *star, const float *own, size_t V, struct support_token *scratch,
                    int32_t *ids, size_t *n) {
    struct students s = students_of(star, own, V);
    for (int k = 0; k < POINTS; k++) {
        s.at[k].limit = k ? b->middle : b->error;
        memcpy(s.at[k].typical, typical->g[k], sizeof s.at[k].typical);
    }
    float least = b->least > 0 ? (float)log(b->least * sureness(star, V)) : INFINITY;
    size_t all = candidates(&s, least, star, own, V, scratch);
    bool within = first_needed(&s, scratch, all) >= 0;
    rank_by_error(&s, least, scratch, all);
    size_t keep = within ? fewest(&s, scratch, all) : all;
    if (keep > b->most) qsort(scratch, keep, sizeof *scratch, by_rank);
    *n = keep < b->most ? keep : b->most;
    for (size_t i = 0; i < *n; i++) ids[i] = scratch[i].id;
    return within && keep <= b->most;
}

struct support_budget support_budget_of(const struct support_budget *b, double alpha,
                                        double typical) {
    static const double often = 64, least = 1. / 200;
    struct support_budget of = *b;
    of.least *= fmin(fmax(alpha * typical / often, least), 1);
    return of;
}

struct support_sizes support_sizes_of(const struct support_sizes *s, double alpha) {
    struct support_sizes of = *s;
    for (int k = 0; k < SUPPORT_STUDENTS; k++)
        for (int kind = 0; kind < SUPPORT_KINDS; kind++) of.g[k][kind] *= alpha;
    return of;
}

struct support_budget support_budget_default(double error) {
    return (struct support_budget){
        .error = error, .middle = 4 * error, .least = 0.002, .most = 1024};
}

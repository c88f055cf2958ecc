#include "common/method/support.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

// Tokens below e^-17 of both are no candidates: together they weigh little, and their sums are
// taken as a whole.
static const float faintest = -17;
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

static float at_point(const struct point *t, float own, float star) {
    return t->part > 0 ? own + t->part * (star - own) - t->shift : own;
}

static void add_token(struct sums *s, const struct point *t, const struct support_token *x) {
    double logp = (double)at_point(t, x->own, x->star), p = exp(logp), q = exp((double)x->star);
    double a = p > 0 ? logp - (double)x->star : 0;
    s->p += p;
    s->q += q;
    s->pa += p * a;
    s->pp += p * p;
    s->ppa += p * p * a;
    s->ppaa += p * p * a * a;
    s->qq += q * q;
    s->pq += p * q;
}

enum { POINTS = SUPPORT_STUDENTS };
struct students {
    struct point at[POINTS];
    struct sums rest[POINTS]; // over the tokens that are no candidates
};

static const float nothing = -1e4f; // log p of what is not to count

// A block of tokens that are no candidates: those that are have `nothing` in both.
static void add_block(struct sums *s, const struct point *t, const float *own, const float *star,
                      size_t n) {
    float l[ROW_BLOCK], p[ROW_BLOCK], q[ROW_BLOCK], a[ROW_BLOCK], x[ROW_BLOCK];
    for (size_t i = 0; i < n; i++) {
        float logp = at_point(t, own[i], star[i]);
        l[i] = logp > nothing ? logp : nothing; // padding too
    }
    row_exp(p, l, n, 0);
    row_exp(q, star, n, 0);
    for (size_t i = 0; i < n; i++) {
        float d = l[i] - star[i];
        a[i] = p[i] > 0 ? d : 0;
    }
    s->p += row_sum(p, n);
    s->q += row_sum(q, n);
    for (size_t i = 0; i < n; i++) x[i] = p[i] * a[i];
    s->pa += row_sum(x, n);
    for (size_t i = 0; i < n; i++) x[i] = p[i] * p[i];
    s->pp += row_sum(x, n);
    for (size_t i = 0; i < n; i++) x[i] = p[i] * p[i] * a[i];
    s->ppa += row_sum(x, n);
    for (size_t i = 0; i < n; i++) x[i] = p[i] * p[i] * a[i] * a[i];
    s->ppaa += row_sum(x, n);
    for (size_t i = 0; i < n; i++) x[i] = q[i] * q[i];
    s->qq += row_sum(x, n);
    for (size_t i = 0; i < n; i++) x[i] = p[i] * q[i];
    s->pq += row_sum(x, n);
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

// Candidates, in order; all others into the sums of the rest.
static size_t split(struct students *s, const float *star, const float *own, size_t V,
                    struct support_token *token) {
    float p[ROW_BLOCK], q[ROW_BLOCK];
    size_t n = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t m = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        for (size_t i = 0; i < m; i++) {
            float most = own[at + i] > star[at + i] ? own[at + i] : star[at + i];
            bool in = most >= faintest, none = in || !(most > -INFINITY);
            p[i] = none ? nothing : own[at + i];
            q[i] = none ? nothing : star[at + i];
            if (in)
                token[n++] =
                    (struct support_token){(int32_t)(at + i), most, star[at + i], own[at + i]};
        }
        for (int k = 0; k < POINTS; k++) add_block(&s->rest[k], &s->at[k], p, q, m);
    }
    qsort(token, n, sizeof *token, by_rank);
    return n;
}

// What the sums say: the tail's ratio and logarithm, d of support.h, the sizes of the errors and of
// the gradients.
struct terms {
    double ratio, A, d, forward, reverse, g_forward, g_reverse;
};

static struct terms terms_of(const struct point *t) {
    const struct sums *all = &t->all, *o = &t->out;
    double P = fmax(o->p, tiny), Q = fmax(o->q, tiny), r = Q / P, kl = all->pa;
    struct terms x = {.ratio = r, .A = log(P) - log(Q)};
    x.d = o->pa - P * x.A;
    double c = x.A + x.d;
    double forward = o->qq - 2 * r * o->pq + r * r * o->pp;
    double reverse = x.d * x.d * (all->pp - o->pp) + c * c * o->pp - 2 * c * o->ppa + o->ppaa;
    x.forward = sqrt(fmax(forward, 0));
    x.reverse = sqrt(fmax(reverse, 0));
    x.g_forward = sqrt(fmax(all->pp - 2 * all->pq + all->qq, 0));
    x.g_reverse = sqrt(fmax(all->ppaa - 2 * kl * all->ppa + kl * kl * all->pp, 0));
    return x;
}

// What |g - h| may be of each kind, more than 0.
static double forward_limit(const struct point *t, const struct terms *x) {
    return t->limit * fmax(fmax(x->g_forward, t->typical[0]), faint);
}

static double reverse_limit(const struct point *t, const struct terms *x) {
    return t->limit * fmax(fmax(x->g_reverse, t->typical[1]), faint);
}

static bool fits(const struct point *t) {
    struct terms x = terms_of(t);
    return x.forward <= forward_limit(t, &x) && x.reverse <= reverse_limit(t, &x);
}

static bool fit(const struct students *s) {
    bool ok = true;
    for (int k = 0; k < POINTS; k++) ok = ok && fits(&s->at[k]);
    return ok;
}

// The number of the first of token (n) that keep the budget, 0: all of them do not. Leaves the sums
// of what is left out at the points.
static size_t fewest(struct students *s, const struct support_token *token, size_t n) {
    struct sums before[POINTS];
    for (int k = 0; k < POINTS; k++) s->at[k].out = s->rest[k];
    if (!fit(s)) return 0;
    while (n > 1) {
        for (int k = 0; k < POINTS; k++) {
            before[k] = s->at[k].out;
            add_token(&s->at[k].out, &s->at[k], &token[n - 1]);
        }
        if (!fit(s)) {
            for (int k = 0; k < POINTS; k++) s->at[k].out = before[k];
            break;
        }
        n--;
    }
    return n;
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
        for (size_t i = 0; i < n; i++) {
            double l = (double)at_point(t, token[i].own, token[i].star), p = exp(l);
            double q = exp((double)token[i].star), a = l - (double)token[i].star;
            double forward = fabs(q - p * x.ratio) / forward_limit(t, &x);
            double reverse = fabs(p * (a - x.A - x.d)) / reverse_limit(t, &x);
            double part = fmax(forward, reverse);
            if (part > (double)token[i].rank) token[i].rank = (float)part;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (fmaxf(token[i].own, token[i].star) >= least) token[i].rank = INFINITY;
    token[likely].rank = INFINITY;
    qsort(token, n, sizeof *token, by_rank);
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
        for (size_t at = 0; at < V; at += ROW_BLOCK)
            add_block(&s.at[k].all, &s.at[k], own + at, star + at,
                      V - at < ROW_BLOCK ? V - at : ROW_BLOCK);
        struct terms x = terms_of(&s.at[k]);
        sizes.g[k][0] = x.g_forward;
        sizes.g[k][1] = x.g_reverse;
    }
    return sizes;
}

bool support_within(const struct support_budget *b, const struct support_sizes *typical,
                    const float *star, const float *own, size_t V, struct support_token *scratch,
                    int32_t *ids, size_t *n) {
    struct students s = students_of(star, own, V);
    size_t all = split(&s, star, own, V, scratch);
    for (int k = 0; k < POINTS; k++) {
        struct point *t = &s.at[k];
        t->limit = k ? b->middle : b->error;
        for (int kind = 0; kind < SUPPORT_KINDS; kind++) t->typical[kind] = typical->g[k][kind];
        t->all = s.rest[k];
        for (size_t i = all; i-- > 0;) add_token(&t->all, t, &scratch[i]);
    }
    bool within = fewest(&s, scratch, all) > 0;
    float least = b->least > 0 ? (float)log(b->least) : INFINITY;
    rank_by_error(&s, least, scratch, all);
    size_t keep = within ? fewest(&s, scratch, all) : all;
    while (keep < all && isinf(scratch[keep].rank)) keep++;
    *n = keep < b->most ? keep : b->most;
    for (size_t i = 0; i < *n; i++) ids[i] = scratch[i].id;
    return within && keep <= b->most;
}

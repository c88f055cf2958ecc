#include "common/method/divergence.h"
#include "common/engine/rowmath.h"
#include <math.h>

static const double tiny = 1e-30; // the floor of P and Q, METHOD section 4

// One bucket of student mass p, log p and teacher mass q, log q: its share of the divergence, and
// *a, its A of METHOD section 4. What has no mass adds nothing, whatever its logarithm is.
static double bucket(const struct divergence *d, double p, double logp, double q, double logq,
                     double *a) {
    if (d->kind == DIVERGENCE_FKL) {
        *a = 0;
        return q > 0 ? q * (logq - logp) : 0;
    }
    if (d->kind == DIVERGENCE_RKL) {
        *a = p > 0 ? logp - logq : 0;
        return p * *a;
    }
    double logm = log(d->lambda * q + (1 - d->lambda) * p);
    *a = p > 0 ? (1 - d->lambda) * (logp - logm) : 0;
    return (q > 0 ? d->lambda * q * (logq - logm) : 0) + p * *a;
}

// Tokens outside the support that the student makes so likely that p*, in the tail's own shape,
// would be more than the largest there is: they have that much, the rest of the tail shares what is
// left.
enum { CAPPED = 256 };
struct capped {
    size_t n;
    struct {
        size_t id;
        double p, a; // a: its A (fkl: its q)
    } token[CAPPED];
    double p, q; // P and Q of the rest
};

static void list_above(const float *e, size_t V, float limit, struct capped *c) {
    size_t n = 0;
    for (size_t at = 0; n < c->n && at < V; at += ROW_BLOCK) {
        size_t m = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        if (row_max(e + at, m) <= limit) continue;
        for (size_t v = at; v < at + m; v++)
            if (e[v] > limit) c->token[n++].id = v;
    }
}

// e (V): off the support the student's mass times total, 0 on it. With each token that is capped
// the share q / p of the others rises, so the set only grows; beyond CAPPED tokens it stays as it
// is.
static void find_capped(const float *e, size_t V, double total, double most, struct capped *c) {
    double share = c->q / fmax(c->p, tiny), Q = c->q;
    float above = INFINITY;
    c->n = 0;
    if (!(most < 1) || (double)row_max(e, V) / total * share <= most) return;
    for (;;) {
        float limit = (float)(total * most / share);
        double rest;
        size_t n = row_sum_up_to(e, V, limit, &rest);
        double q = Q - (double)n * most;
        if (n == c->n || n > CAPPED || !(q > 0)) break;
        c->n = n;
        above = limit;
        c->p = rest / total;
        c->q = q;
        share = q / fmax(c->p, tiny);
    }
    list_above(e, V, above, c);
}

struct buckets {                // sums over the buckets of one position
    double loss, mean_a;        // mean_a: sum of student mass x A
    double tail, tail_a, ratio; // P; A and Q / P of what shares a bucket
    struct capped capped;
};

// The tokens that are capped, each a bucket; e there becomes 0.
static void add_capped(const struct divergence *d, float *e, double total, double logq,
                       struct buckets *s) {
    double q = exp(logq), a;
    for (size_t i = 0; i < s->capped.n; i++) {
        size_t id = s->capped.token[i].id;
        double p = (double)e[id] / total;
        s->loss += bucket(d, p, log(p), q, logq, &a);
        s->mean_a += p * a;
        s->capped.token[i].p = p;
        s->capped.token[i].a = d->kind == DIVERGENCE_FKL ? q : a;
        e[id] = 0;
    }
}

// e (V): exp(z - most), of which total is the sum, 0 on the support. own (2,n): the logits z of
// the support, which become A (fkl: q); then its p.
static struct buckets sum_buckets(const struct divergence *d, float *e, size_t V,
                                  const struct teacher_position *t, double lse, double total,
                                  float *own) {
    struct buckets s = {0};
    for (size_t i = 0; i < t->n; i++) {
        double l = (double)own[i] - lse, logq = (double)t->logp[i], p = exp(l), q = exp(logq), a;
        s.loss += bucket(d, p, l, q, logq, &a);
        s.mean_a += p * a;
        own[i] = (float)(d->kind == DIVERGENCE_FKL ? q : a);
        own[t->n + i] = (float)p;
    }
    if (t->n >= V) return s;
    s.tail = row_sum(e, V) / total;
    double logq = t->log_tail > ROW_LOG_FLOOR ? (double)t->log_tail : (double)ROW_LOG_FLOOR;
    s.capped.p = s.tail;
    s.capped.q = exp(logq);
    find_capped(e, V, total, exp((double)t->log_most), &s.capped);
    if (s.capped.n) logq = row_log_mass(s.capped.q);
    add_capped(d, e, total, (double)t->log_most, &s);
    s.loss += bucket(d, s.capped.p, row_log_mass(s.capped.p), s.capped.q, logq, &s.tail_a);
    s.mean_a += s.capped.p * s.tail_a;
    s.ratio = s.capped.q / fmax(s.capped.p, tiny);
    return s;
}

// The gradient of a token that is a bucket, of mass p; a: its A (fkl: q).
static float bucket_gradient(const struct divergence *d, const struct buckets *s, double weight,
                             double p, double a) {
    return (float)(weight * (d->kind == DIVERGENCE_FKL ? p - a : p * (a - s->mean_a)));
}

double divergence_sparse(const struct divergence *d, float *logits, size_t V,
                         const struct teacher_position *t, double weight, float *scratch,
                         double *tail) {
    float *e = logits, most;
    for (size_t i = 0; i < t->n; i++) scratch[i] = logits[t->ids[i]];
    double total = row_exp_sum(e, logits, V, &most, NULL), lse = (double)most + log(total);
    for (size_t i = 0; i < t->n; i++) e[t->ids[i]] = 0;
    struct buckets s = sum_buckets(d, e, V, t, lse, total, scratch);
    bool forward = d->kind == DIVERGENCE_FKL;
    row_scale(e, V, (float)(weight / total * (forward ? 1 - s.ratio : s.tail_a - s.mean_a)));
    for (size_t i = 0; i < t->n; i++)
        e[t->ids[i]] =
            bucket_gradient(d, &s, weight, (double)scratch[t->n + i], (double)scratch[i]);
    for (size_t i = 0; i < s.capped.n; i++)
        e[s.capped.token[i].id] =
            bucket_gradient(d, &s, weight, s.capped.token[i].p, s.capped.token[i].a);
    *tail = s.tail;
    return s.loss + (lse - lse); // NaN logits must show
}

struct span { // a block of a row: student p, l = log p; teacher q, s = log q
    float p[ROW_BLOCK], l[ROW_BLOCK], q[ROW_BLOCK], s[ROW_BLOCK], out[ROW_BLOCK];
};

static void load_span(struct span *b, const float *logits, const float *logp, size_t n,
                      double lse) {
    float shift = (float)lse, rest = (float)(lse - (double)shift);
    row_exp(b->p, logits, n, shift);
    row_exp(b->q, logp, n, 0);
    for (size_t i = 0; i < n; i++) {
        float l = logits[i] - shift - rest;
        b->p[i] *= 1 - rest; // exp(-rest), rest being half an ulp of the shift
        b->l[i] = l;
        b->s[i] = logp[i];
    }
}

// log m, and no more than a number where m is 0: nothing is multiplied with it
static void middle(struct span *b, size_t n, float lambda) {
    for (size_t i = 0; i < n; i++) {
        float m = lambda * b->q[i] + (1 - lambda) * b->p[i];
        b->out[i] = m > 0 ? logf(m) : 0;
    }
}

// x (n): a - b where `mass` is, 0 elsewhere: padding columns have logarithms of -INFINITY
static void difference(float *x, const float *mass, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float d = a[i] - b[i];
        x[i] = mass[i] > 0 ? d : 0;
    }
}

// Sum over the block of the divergence's terms; out = A (fkl: the terms).
static double span_terms(const struct divergence *d, struct span *b, size_t n, double *mean_a) {
    float term[ROW_BLOCK], lambda = (float)d->lambda;
    if (d->kind == DIVERGENCE_FKL) {
        difference(b->out, b->q, b->s, b->l, n);
        for (size_t i = 0; i < n; i++) b->out[i] *= b->q[i];
        return row_sum(b->out, n);
    }
    if (d->kind == DIVERGENCE_RKL) {
        difference(b->out, b->p, b->l, b->s, n);
    } else {
        middle(b, n, lambda);
        difference(b->s, b->q, b->s, b->out, n);
        for (size_t i = 0; i < n; i++) b->s[i] *= lambda * b->q[i];
        difference(b->out, b->p, b->l, b->out, n);
        for (size_t i = 0; i < n; i++) b->out[i] *= 1 - lambda;
    }
    for (size_t i = 0; i < n; i++) term[i] = b->p[i] * b->out[i];
    double sum = row_sum(term, n);
    *mean_a += sum;
    return d->kind == DIVERGENCE_JSD ? sum + row_sum(b->s, n) : sum;
}

double divergence_dense(const struct divergence *d, float *logits, size_t V, const float *logp,
                        double weight) {
    struct span b;
    double lse = row_lse(logits, V), loss = 0, mean_a = 0, again = 0;
    bool forward = d->kind == DIVERGENCE_FKL;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        load_span(&b, logits + at, logp + at, n, lse);
        loss += span_terms(d, &b, n, &mean_a);
        if (!forward) continue;
        for (size_t i = 0; i < n; i++) logits[at + i] = (float)weight * (b.p[i] - b.q[i]);
    }
    for (size_t at = 0; at < V && !forward; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        load_span(&b, logits + at, logp + at, n, lse);
        span_terms(d, &b, n, &again);
        for (size_t i = 0; i < n; i++)
            logits[at + i] = (float)weight * b.p[i] * (b.out[i] - (float)mean_a);
    }
    return loss + (lse - lse); // NaN logits must show
}

double divergence_kl(const float *logp_ref, const float *logits, size_t V, double lse) {
    const struct divergence forward = {.kind = DIVERGENCE_FKL};
    struct span b;
    double sum = 0, unused = 0;
    for (size_t at = 0; at < V; at += ROW_BLOCK) {
        size_t n = V - at < ROW_BLOCK ? V - at : ROW_BLOCK;
        load_span(&b, logits + at, logp_ref + at, n, lse);
        sum += span_terms(&forward, &b, n, &unused);
    }
    return sum;
}

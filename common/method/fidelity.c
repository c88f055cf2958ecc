#include "common/method/fidelity.h"
#include "common/base/mem.h"
#include "common/method/divergence.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const enum divergence_kind kinds[FIDELITY_KINDS] = {
    [FIDELITY_FKL] = DIVERGENCE_FKL, [FIDELITY_RKL] = DIVERGENCE_RKL};

static double floored(double log_tail) {
    return log_tail > (double)ROW_LOG_FLOOR ? log_tail : (double)ROW_LOG_FLOOR;
}

// p (log p - log q), 0 where p is
static double excess(double p, double logp, double logq) {
    return p > 0 ? p * (logp - logq) : 0;
}

static void add_rest(struct fidelity_rest *r, const float *p, const float *const g[FIDELITY_KINDS],
                     size_t n) {
    for (size_t i = 0; i < n; i++) {
        double x = (double)p[i];
        r->p += x;
        r->pp += x * x;
        for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
            double d = (double)g[kind][i];
            r->gp[kind] += d * x;
            r->gg[kind] += d * d;
        }
    }
}

void fidelity_dense(const float *logp, const float *star, size_t V, const int32_t *ids, size_t n,
                    float *scratch, struct fidelity_student *s) {
    float *p = scratch, *g[FIDELITY_KINDS] = {scratch + V, scratch + 2 * V};
    for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
        const struct divergence d = {.kind = kinds[kind]};
        memcpy(g[kind], logp, V * sizeof *logp);
        divergence_dense(&d, g[kind], V, star, 1);
    }
    row_exp(p, logp, V, 0);
    for (size_t i = 0; i < n; i++) { // U out of the sums over the rest
        size_t id = (size_t)ids[i];
        s->logp[i] = logp[id];
        p[id] = 0;
        for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
            s->g[kind][i] = g[kind][id];
            g[kind][id] = 0;
        }
    }
    s->rest = (struct fidelity_rest){0};
    add_rest(&s->rest, p, (const float *const[]){g[0], g[1]}, V);
}

double fidelity_cosine(const struct fidelity_sum *s) {
    return s->gg > 0 && s->hh > 0 ? s->gh / sqrt(s->gg * s->hh) : s->gg == s->hh;
}

double fidelity_error(const struct fidelity_sum *s) {
    double e = s->gg + s->hh - 2 * s->gh;
    return e > 0 && s->gg > 0 ? sqrt(e / s->gg) : 0;
}

// What is outside S: what is outside U, and U's tokens that are not kept.
static struct fidelity_rest outside(const struct fidelity_student *s, size_t n, const float *kept) {
    struct fidelity_rest r = s->rest;
    for (size_t i = 0; i < n; i++) {
        float p = expf(s->logp[i]);
        if (isnan(kept[i])) add_rest(&r, &p, (const float *const[]){&s->g[0][i], &s->g[1][i]}, 1);
    }
    return r;
}

// The mass of U's tokens outside S and of what is outside U, but for those above `limit`; *n those.
static double below(const struct fidelity_student *s, size_t n, const float *kept, double limit,
                    size_t *above) {
    double sum = s->rest.p;
    *above = 0;
    for (size_t i = 0; i < n; i++) {
        double p = isnan(kept[i]) ? exp((double)s->logp[i]) : 0;
        sum += p > limit ? 0 : p;
        *above += p > limit;
    }
    return sum;
}

// As divergence_sparse: tokens outside S of which the tail's own shape would make more than the
// largest there is join S with that much. kept (n) and *log_tail become what is trained from.
static void cap(const struct fidelity_student *s, size_t n, float *kept, double *log_tail,
                double log_most) {
    double q = exp(floored(*log_tail)), Q = q, most = exp(log_most), limit = INFINITY;
    size_t capped = 0, above;
    double p = below(s, n, kept, limit, &above);
    for (;;) {
        double next = most * fmax(p, 1e-30) / q;
        double rest = below(s, n, kept, next, &above), left = Q - (double)above * most;
        if (!(most < 1) || above == capped || !(left > 0)) break;
        capped = above;
        limit = next;
        p = rest;
        q = left;
    }
    if (!capped) return;
    for (size_t i = 0; i < n; i++)
        if (isnan(kept[i]) && exp((double)s->logp[i]) > limit) kept[i] = (float)log_most;
    *log_tail = log(q);
}

void fidelity_add(struct fidelity_sum sum[FIDELITY_KINDS], const struct fidelity_student *s,
                  size_t n, const float *given, double log_tail, double log_most) {
    float *kept = xmalloc(n * sizeof *kept);
    memcpy(kept, given, n * sizeof *kept);
    cap(s, n, kept, &log_tail, log_most);
    struct fidelity_rest r = outside(s, n, kept);
    double P = fmax(r.p, 1e-30), log_ratio = log(P) - floored(log_tail), loss = P * log_ratio;
    for (size_t i = 0; i < n; i++)
        if (!isnan(kept[i]))
            loss += excess(exp((double)s->logp[i]), (double)s->logp[i], (double)kept[i]);
    double c[] = {[FIDELITY_FKL] = 1 - exp(-log_ratio), [FIDELITY_RKL] = log_ratio - loss};
    for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
        struct fidelity_sum here = {
            .gg = r.gg[kind], .gh = c[kind] * r.gp[kind], .hh = c[kind] * c[kind] * r.pp};
        for (size_t i = 0; i < n; i++) {
            if (isnan(kept[i])) continue;
            double logp = (double)s->logp[i], p = exp(logp);
            double logq = (double)kept[i], g = (double)s->g[kind][i];
            double h = kind == FIDELITY_FKL ? p - exp(logq) : excess(p, logp, logq) - p * loss;
            here.gg += g * g;
            here.gh += g * h;
            here.hh += h * h;
        }
        sum[kind].gg += here.gg;
        sum[kind].gh += here.gh;
        sum[kind].hh += here.hh;
    }
    free(kept);
}

double fidelity_kl(size_t n, const float *star, const float *kept, double log_tail, double q,
                   double qlogq, size_t V) {
    double sum = 0;
    size_t in = 0;
    for (size_t i = 0; i < n; i++) {
        double logq = (double)star[i], p = exp(logq);
        bool keeps = !isnan(kept[i]);
        in += keeps;
        sum += excess(p, logq, keeps ? (double)kept[i] : 0);
        q += keeps ? 0 : p;
    }
    sum += qlogq;
    return in < V ? sum - q * (floored(log_tail) - log((double)(V - in))) : sum;
}

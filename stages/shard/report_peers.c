// Two ways in which others keep a teacher's most likely tokens, rewritten from their descriptions:
// numbers as they are, and the open toolkits' curve over the ranks with ids in packed bits.
#include "stages/shard/report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TERMS = 6 };

struct form { // of a fitted curve
    size_t exact, degree;
};

static struct form form_of(enum report_coding c) {
    return c == REPORT_FIT ? (struct form){1, 1} : (struct form){16, 4};
}

// x with `bits` of mantissa: 11 for float16, 8 for bfloat16, 24 for float32 (exponents are in range
// but for float16's denormals, which end at 2^-24).
static double rounded(double x, int bits) {
    int e;
    frexp(x, &e);
    int scale = bits - e;
    if (bits == 11 && scale > 24) scale = 24;
    return ldexp(nearbyint(ldexp(x, scale)), -scale);
}

static uint16_t half_bits(double x) { // of a rounded x <= 0
    int e;
    double m = frexp(-x, &e);
    if (x == 0) return 0x8000;
    if (e < -13) return (uint16_t)(0x8000 | (int)ldexp(-x, 24));
    return (uint16_t)(0x8000 | (e + 14) << 10 | ((int)ldexp(m, 11) & 0x3ff));
}

// Columns of the least-squares basis over ranks 0 .. n-1 (scaled to 1), made orthonormal.
static size_t make_basis(size_t n, size_t degree, double *basis) {
    size_t terms = degree + 2 < n ? degree + 2 : n;
    for (size_t t = 0; t < terms; t++) {
        double *b = basis + t * n;
        for (size_t r = 0; r < n; r++) {
            double x = n > 1 ? (double)r / (double)(n - 1) : 0;
            b[r] = t == 2 ? sqrt(x) : pow(x, (double)(t > 2 ? t - 1 : t));
        }
        for (int again = 0; again < 2; again++)
            for (size_t u = 0; u < t; u++) {
                double dot = 0;
                for (size_t r = 0; r < n; r++) dot += b[r] * basis[u * n + r];
                for (size_t r = 0; r < n; r++) b[r] -= dot * basis[u * n + r];
            }
        double norm = 0;
        for (size_t r = 0; r < n; r++) norm += b[r] * b[r];
        for (size_t r = 0; r < n; r++) b[r] /= sqrt(fmax(norm, 1e-300));
    }
    return terms;
}

// y (n) = its projection on the basis
static void fit(double *y, size_t n, const double *basis, size_t terms) {
    double c[MOST_TERMS];
    for (size_t t = 0; t < terms; t++) {
        c[t] = 0;
        for (size_t r = 0; r < n; r++) c[t] += y[r] * basis[t * n + r];
        c[t] = rounded(c[t], 24);
    }
    memset(y, 0, n * sizeof *y);
    for (size_t t = 0; t < terms; t++)
        for (size_t r = 0; r < n; r++) y[r] += c[t] * basis[t * n + r];
}

// kept (p->n) = y (n) scaled to the exact 1 - Q; returns log Q.
static double scale(const struct sample_position *p, const double *y, size_t n, float *kept) {
    double tail = p->q, sum = 0;
    for (size_t k = n; k < p->n; k++) tail += exp((double)p->entry[k].logp);
    for (size_t k = 0; k < n; k++) sum += exp(y[k]);
    double shift = log1p(-fmin(tail, 1 - 1e-9)) - log(sum);
    for (size_t k = 0; k < p->n; k++) kept[k] = k < n ? (float)(y[k] + shift) : NAN;
    return log(fmax(tail, 1e-30));
}

static size_t width(size_t V) { // bits of an id
    size_t bits = 0;
    while ((size_t)1 << bits < V) bits++;
    return bits;
}

// Log-probabilities of the first n ranks as the coding gives them back.
static void decode(const struct report_trial *t, const struct sample_position *p, size_t n,
                   const double *basis, size_t terms, double *y) {
    bool fixed = t->setting.coding == REPORT_FIXED;
    size_t exact = fixed ? n : form_of(t->setting.coding).exact;
    for (size_t k = 0; k < n; k++) {
        y[k] = (double)p->entry[k].logp;
        if (k < exact) y[k] = rounded(y[k], fixed ? 11 : 8);
    }
    if (n > exact) fit(y + exact, n - exact, basis, terms);
}

static size_t least_entries(const struct fidelity_sample *m, size_t k) {
    for (size_t i = 0; i < m->positions; i++)
        if (m->position[i].n < k) k = m->position[i].n;
    return k;
}

void report_peer(const struct report_job *j, struct report_trial *t) {
    const struct fidelity_sample *m = j->sample;
    size_t n = least_entries(m, t->setting.top_k), count = n * m->positions, at = 0;
    bool fixed = t->setting.coding == REPORT_FIXED;
    struct form form = fixed ? (struct form){n, 0} : form_of(t->setting.coding);
    size_t curve = n > form.exact ? n - form.exact : 0;
    double *basis = xmalloc((curve + 1) * MOST_TERMS * sizeof *basis), *y = xmalloc(n * sizeof *y);
    size_t terms = curve ? make_basis(curve, form.degree, basis) : 0;
    float *kept = xmalloc(m->most * sizeof *kept);
    int32_t *ids = xmalloc(count * sizeof *ids);
    uint16_t *half = xmalloc(count * sizeof *half);
    for (size_t i = 0; i < m->positions; i++) {
        const struct sample_position *p = &m->position[i];
        decode(t, p, n, basis, terms, y);
        for (size_t k = 0; fixed && k < n; k++, at++) {
            ids[at] = p->entry[k].id;
            half[at] = half_bits(y[k]);
        }
        report_add(t, j, p, kept, scale(p, y, n, kept), fmin(y[n - 1], 0)); // no other is likelier
    }
    size_t bits = n * width(m->V), head = form.exact < n ? form.exact : n;
    t->bytes = fixed ? (double)(report_stored(ids, count, sizeof *ids, j->zstd_level) +
                                report_stored(half, count, sizeof *half, j->zstd_level))
                     : (double)((bits + 7) / 8 + 2 * head + 4 * terms) * (double)m->positions;
    void *all[] = {basis, y, kept, ids, half};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

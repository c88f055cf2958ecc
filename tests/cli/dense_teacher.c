// dense_teacher CACHE STUDENT DPO REVERSE|- REF|- [ROWS]: how faithful a teacher cache is to a
// student, against the dense teacher worked out here in double from the models' logits and the
// formulas of METHOD.md alone (section 3: TVD, alpha, plausibility, composition; section 4: the
// divergences), no code of common/method but the one that trains from the cache. For both
// divergences, and the positions' weights of both recipes, prints a line
//   fkl|rkl adaptive|published COSINE ERROR LOSS
// of the gradients of the logits as one long vector, cosine and |g - h| / |g|, and the loss that
// the cache gives as a part of the true one; then the student's mass outside the cache and tokens,
// a position.
#include "common/base/parallel.h"
#include "common/method/divergence.h"
#include "common/training/score.h"
#include "formats/models/model_file.h"
#include "formats/teachers/sources.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUDENT, DPO, REVERSE, REF, MODELS, KINDS = 2, WEIGHTS = 2 };

struct sums {
    double gg, hh, gh, loss, dense;
};

struct compared {
    struct model_file file[MODELS];
    struct net *net[MODELS];
    struct teacher_rule rule;
    struct teacher_source source;
    struct batch batch;
    size_t V, first;        // of the chunk
    const float *z[MODELS]; // (count,V) logits of the chunk; NULL: no such model
    float *h;               // (threads,2V) of the cache
    double *g;              // (threads,5V)
    struct sums at[CHUNK_POSITIONS][KINDS];
    double tail[CHUNK_POSITIONS], alpha[CHUNK_POSITIONS];
    struct sums sum[KINDS][WEIGHTS];
    double tails, tokens, positions;
};

static void log_softmax(const float *z, size_t n, double *l) {
    double most = -INFINITY, sum = 0;
    for (size_t v = 0; v < n; v++) most = fmax(most, (double)z[v]);
    for (size_t v = 0; v < n; v++) sum += exp((double)z[v] - most);
    for (size_t v = 0; v < n; v++) l[v] = (double)z[v] - most - log(sum);
}

// KL(p*_alpha || base), all by sums over the vocabulary; d 0 where a token is not extrapolated
static double kl_at(double alpha, const double *base, const double *d, size_t n) {
    double most = -INFINITY, sum = 0, kl = 0;
    for (size_t v = 0; v < n; v++) most = fmax(most, base[v] + alpha * d[v]);
    for (size_t v = 0; v < n; v++) sum += exp(base[v] + alpha * d[v] - most);
    for (size_t v = 0; v < n; v++)
        if (base[v] > -INFINITY)
            kl += exp(base[v] + alpha * d[v] - most) / sum * (alpha * d[v] - most - log(sum));
    return kl;
}

// The alpha of kl:K by halves; d (V) is scratch.
static double alpha_of_kl(const struct teacher_rule *r, const double *dpo, const double *negative,
                          const double *base, double most, size_t n, double *d) {
    double low = 0, high = 30;
    for (size_t v = 0; v < n; v++) {
        bool counts = base[v] > -INFINITY && exp(base[v]) >= r->plausible * exp(most);
        d[v] = counts ? dpo[v] - negative[v] : 0;
    }
    if (kl_at(high, base, d, n) <= r->strength) return high;
    for (int i = 0; i < 60; i++)
        *(kl_at((low + high) / 2, base, d, n) < r->strength ? &low : &high) = (low + high) / 2;
    return low;
}

// log p* into star (V), from log-probabilities; returns alpha_t.
static double compose(const struct teacher_rule *r, const double *dpo, const double *negative,
                      const double *base, size_t n, double *star) {
    double tvd = 0, most = -INFINITY, sum = 0, largest = -INFINITY;
    for (size_t v = 0; v < n; v++) tvd += fabs(exp(dpo[v]) - exp(negative[v])) / 2;
    double alpha = r->strength;
    if (r->alpha == ALPHA_DAMPED) alpha = alpha * (1 - tvd) + 1e-3;
    if (r->alpha == ALPHA_TVD) alpha = alpha * tvd + 1e-3;
    for (size_t v = 0; v < n; v++) most = fmax(most, base[v]);
    if (r->alpha == ALPHA_KL) alpha = alpha_of_kl(r, dpo, negative, base, most, n, star);
    for (size_t v = 0; v < n; v++) {
        bool counts = base[v] > -INFINITY && exp(base[v]) >= r->plausible * exp(most);
        star[v] = base[v] + (counts ? alpha * (dpo[v] - negative[v]) : 0);
        largest = fmax(largest, star[v]);
    }
    for (size_t v = 0; v < n; v++) sum += exp(star[v] - largest);
    for (size_t v = 0; v < n; v++) star[v] -= largest + log(sum);
    return alpha;
}

static double term(double p, double a, double b) {
    return p > 0 ? p * (a - b) : 0;
}

static void compare_position(void *self, size_t i) {
    struct compared *c = self;
    size_t V = c->V, thread = (size_t)parallel_self(), n = c->file[STUDENT].model.config.vocab_used;
    double *l[MODELS + 1];
    for (size_t m = 0; m <= MODELS; m++) l[m] = c->g + thread * 5 * V + m * V;
    for (size_t m = 0; m < MODELS; m++)
        if (c->z[m]) log_softmax(c->z[m] + i * V, n, l[m]);
    double *p = l[STUDENT], *star = l[MODELS], kl = 0;
    c->alpha[i] = compose(&c->rule, l[DPO], l[c->rule.negative_reverse ? REVERSE : REF],
                          l[c->rule.base_dpo ? DPO : REF], n, star);
    for (size_t v = 0; v < n; v++) kl += term(exp(p[v]), p[v], star[v]);
    const struct teacher_position *t = &c->batch.teacher[c->first + i];
    float *h = c->h + thread * 3 * V;
    for (int kind = 0; kind < KINDS; kind++) {
        const struct divergence d = {.kind = kind ? DIVERGENCE_RKL : DIVERGENCE_FKL};
        struct sums s = {0};
        memcpy(h, c->z[STUDENT] + i * V, V * sizeof *h);
        s.loss = divergence_sparse(&d, h, V, t, 1, h + V, &c->tail[i]);
        for (size_t v = 0; v < n; v++) {
            double x = exp(p[v]), q = exp(star[v]);
            double g = kind ? term(x, p[v], star[v]) - x * kl : x - q;
            s.gg += g * g;
            s.hh += (double)h[v] * (double)h[v];
            s.gh += g * (double)h[v];
            s.dense += kind ? 0 : term(q, star[v], p[v]);
        }
        if (kind) s.dense = kl;
        c->at[i][kind] = s;
    }
}

static void add_chunk(struct compared *c, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct batch *b = &c->batch;
        double length = (double)b->response[b->owner[c->first + i]].count;
        for (int kind = 0; kind < KINDS; kind++)
            for (int weights = 0; weights < WEIGHTS; weights++) {
                const struct sums *x = &c->at[i][kind];
                struct sums *to = &c->sum[kind][weights];
                double w = weights ? 1 / (c->alpha[i] * length) : 1;
                to->gg += w * w * x->gg;
                to->hh += w * w * x->hh;
                to->gh += w * w * x->gh;
                to->loss += w * x->loss;
                to->dense += w * x->dense;
            }
        c->tails += c->tail[i];
        c->tokens += (double)b->teacher[c->first + i].n;
        c->positions++;
    }
}

static void compare_batch(struct compared *c) {
    const struct batch *b = &c->batch;
    for (size_t m = 0; m < MODELS; m++)
        if (c->net[m]) net_forward(c->net[m], b);
    for (size_t k = 0; k < batch_chunks(b); k++) {
        struct chunk chunk = batch_chunk(b, k);
        for (size_t m = 0; m < MODELS; m++) {
            if (!c->net[m]) continue;
            float *z = net_logits_buffer(c->net[m]);
            net_logits(c->net[m], chunk, z);
            c->z[m] = z;
        }
        c->first = chunk.first;
        parallel_for(chunk.count, compare_position, c);
        add_chunk(c, chunk.count);
    }
}

static void report(const struct compared *c) {
    static const char *const kinds[] = {"fkl", "rkl"}, *const weights[] = {"adaptive", "published"};
    for (int kind = 0; kind < KINDS; kind++)
        for (int w = 0; w < WEIGHTS; w++) {
            const struct sums *s = &c->sum[kind][w];
            printf("%s %s %.7f %.7f %.7f\n", kinds[kind], weights[w], s->gh / sqrt(s->gg * s->hh),
                   sqrt(fmax(s->gg + s->hh - 2 * s->gh, 0) / s->gg), s->loss / s->dense);
        }
    printf("tail %.5f\ntokens %.1f\n", c->tails / c->positions, c->tokens / c->positions);
}

int main(int argc, char **argv) {
    static struct compared c;
    struct fail f = {0};
    struct source s;
    if (argc < 6) return EXIT_USAGE;
    parallel_init(2);
    for (int m = 0; m < MODELS; m++)
        if (strcmp(argv[2 + m], "-") && !model_file_load(argv[2 + m], &c.file[m], &f)) die_if(&f);
    c.source.set = teacher_set_open(1, (const char *[]){argv[1]}, &f);
    die_if(&f);
    if (!teacher_rule_alpha(teacher_set_info(c.source.set)->rule, &c.rule)) return EXIT_BADDATA;
    source_teacher(&s, &c.source);
    struct net_limits limits = score_limits(&s, 4096);
    for (int m = 0; m < MODELS; m++)
        if (c.file[m].model.n_params) c.net[m] = net_new(&c.file[m].model, &limits);
    c.V = c.file[STUDENT].model.config.vocab_used;
    size_t threads = (size_t)parallel_threads(), rows = argc > 6 ? strtoul(argv[6], NULL, 10) : 0;
    c.h = xmalloc(threads * 3 * c.V * sizeof *c.h);
    c.g = xmalloc(threads * 5 * c.V * sizeof *c.g);
    rows = rows && rows < s.rows ? rows : s.rows;
    for (size_t row = 0; row < rows && !f.code;) {
        row = score_fill(&c.batch, &s, row, rows, 4096, &f);
        if (!f.code) compare_batch(&c);
    }
    die_if(&f);
    report(&c);
    for (int m = 0; m < MODELS; m++) {
        net_free(c.net[m]);
        model_file_release(&c.file[m]);
    }
    batch_release(&c.batch);
    teacher_set_close(c.source.set);
    free(c.h);
    free(c.g);
    return 0;
}

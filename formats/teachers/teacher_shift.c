#include "formats/teachers/teacher_shift.h"
#include "common/base/stats.h"
#include "common/training/score.h"
#include <math.h>
#include <stdlib.h>

// log p* of a token at a position; what is outside the support shares its mass evenly.
static double logp_of(const struct teacher_position *t, int32_t token, size_t V, bool *inside) {
    *inside = true;
    for (uint32_t k = 0; k < t->n; k++)
        if (t->ids[k] == token) return (double)t->logp[k];
    *inside = false;
    return (double)t->log_tail - log(V > t->n ? (double)(V - t->n) : 1);
}

static double correlation(const struct paired_sums *s) { // 0 where there is none
    double r = stats_correlation(s);
    return isnan(r) ? 0 : r;
}

static void compare(const struct batch *b, const double *logp, size_t V,
                    struct teacher_shift *out) {
    struct paired_sums sums[3] = {0},
                       own[3] = {0}; // own: of what is stored as the realised token's
    bool inside;
    for (size_t p = 1; p + 1 < b->positions; p++) {
        if (b->owner[p - 1] != b->owner[p + 1] || b->row[p + 1] - b->row[p - 1] != 2) continue;
        out->positions++;
        for (size_t d = 0; d < 3; d++) {
            size_t at = p + d - 1;
            double x = logp_of(&b->teacher[p], b->target[at], V, &inside);
            if (d == 1) out->strangers += !inside;
            stats_pair(&sums[d], x, logp[at]);
            if (!isnan(b->teacher[p].realised))
                stats_pair(&own[d], (double)b->teacher[p].realised, logp[at]);
        }
    }
    for (size_t d = 0; d < 3; d++)
        out->correlation[d] = fmax(correlation(&sums[d]), correlation(&own[d]));
}

bool teacher_shift_look(struct source *s, const struct model *m, size_t tokens,
                        struct teacher_shift *out, struct fail *f) {
    struct batch b = {0};
    *out = (struct teacher_shift){0};
    score_fill(&b, s, 0, s->rows, tokens, f);
    if (!f->code && b.positions) {
        struct net_limits limits = score_limits(s, tokens);
        struct net *net = net_new(m, &limits);
        double *logp = xmalloc(b.positions * sizeof *logp);
        score_positions(net, &b, logp);
        compare(&b, logp, m->config.vocab_used, out);
        free(logp);
        net_free(net);
    }
    batch_release(&b);
    return !f->code;
}

int teacher_shift_found(const struct teacher_shift *x) {
    enum { LEAST = 32 };
    const double *c = x->correlation;
    int best = c[2] > c[0] ? 1 : -1;
    double there = c[best + 1];
    return x->positions >= LEAST && there >= 0.75 && there >= c[1] + 0.25 ? best : 0;
}

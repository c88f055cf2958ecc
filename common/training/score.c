#include "common/training/score.h"
#include "common/training/passes.h"
#include "common/base/parallel.h"
#include "common/base/ranks.h"
#include "common/engine/rowmath.h"

struct score_job {
    const struct batch *batch;
    const float *logits;
    size_t first, V;
    double *logp;
};

static void score_row(void *self, size_t i) {
    const struct score_job *j = self;
    const float *z = j->logits + i * j->V;
    j->logp[j->first + i] = (double)z[j->batch->target[j->first + i]] - row_lse(z, j->V);
}

void score_chunk(const struct batch *b, struct chunk c, const float *logits, size_t V,
                 double *logp) {
    struct score_job j = {b, logits, c.first, V, logp};
    parallel_for(c.count, score_row, &j);
}

void score_positions(struct net *net, const struct batch *b, double *logp) {
    float *logits = net_logits_buffer(net);
    net_forward(net, b);
    for (size_t i = 0; i < batch_chunks(b); i++) {
        struct chunk c = batch_chunk(b, i);
        net_logits(net, c, logits);
        score_chunk(b, c, logits, net_vocab(net), logp);
    }
}

size_t score_fill(struct batch *b, struct source *s, size_t first, size_t end, size_t tokens,
                  struct fail *f) {
    size_t row = first, used = 0;
    struct step_totals totals = {0};
    batch_clear(b);
    for (; row < end; row++) {
        size_t n = s->measure(s->self, row, &totals);
        if (!n) continue; // lost
        if (used && used + n > tokens) break;
        batch_begin_unit(b);
        if (!s->add(s->self, b, row, f)) return first;
        used += n;
    }
    if (used) batch_end(b);
    return row;
}

bool score_objective(struct objective *o, struct net *net, struct source *s, size_t tokens,
                     struct metrics *m, double *loss, struct fail *f) {
    struct batch b = {0};
    struct step_totals totals = {0};
    for (size_t row = 0; row < s->rows; row++) totals.rows += s->measure(s->self, row, &totals) > 0;
    o->begin_step(o->self, &totals);
    size_t end = ranks_share(s->rows, ranks_self() + 1);
    for (size_t row = ranks_share(s->rows, ranks_self()); row < end && !f->code;) {
        row = score_fill(&b, s, row, end, tokens, f);
        if (!f->code && b.positions) passes_run(o, net, &b, NULL);
    }
    if (!f->code) *loss = o->end_step(o->self, m);
    batch_release(&b);
    return !f->code;
}

struct net_limits score_limits(const struct source *s, size_t tokens) {
    size_t rows = tokens, all = s->rows * s->longest;
    if (all && rows > all) rows = all; // 0: how many there are is not known
    if (rows < s->longest) rows = s->longest;
    return (struct net_limits){.rows = rows, .positions = 2 * rows + 2, .trees_tokens = s->span};
}

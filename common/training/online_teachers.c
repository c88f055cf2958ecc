#include "common/training/online_teachers.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <stdlib.h>

enum { DPO, REVERSE, REF, MODELS };

struct online_teachers {
    struct net *net[MODELS];
    struct teacher_rule rule;
    size_t V;
    float *scratch; // (threads, 2V)
    struct {
        const struct batch *batch; // whose hidden states a net holds
        uint64_t serial;
        struct chunk chunk; // whose logits its buffer holds
    } held[MODELS];
};

static const struct model *pick(const struct teacher_models *m, int k) {
    return k == DPO ? m->dpo : k == REVERSE ? m->reverse : m->ref;
}

static struct net_limits inference(const struct net_limits *l) {
    struct net_limits i = *l;
    i.backward = false;
    return i;
}

static size_t scratch_bytes(size_t V) {
    return (size_t)parallel_threads() * 2 * V * sizeof(float);
}

size_t online_teachers_plan(const struct teacher_models *m, const struct net_limits *limits) {
    struct net_limits l = inference(limits);
    size_t bytes = 0;
    for (int k = 0; k < MODELS; k++)
        if (pick(m, k)) bytes += net_plan(pick(m, k), &l);
    return bytes + (m->dpo ? scratch_bytes(m->dpo->config.vocab_used) : 0);
}

struct online_teachers *online_teachers_new(const struct teacher_models *m,
                                            const struct teacher_rule *rule,
                                            const struct net_limits *limits) {
    struct online_teachers *l = xcalloc(1, sizeof *l);
    struct net_limits i = inference(limits);
    if (rule) l->rule = *rule;
    for (int k = 0; k < MODELS; k++) {
        if (!pick(m, k)) continue;
        l->net[k] = net_new(pick(m, k), &i);
        l->V = pick(m, k)->config.vocab_used;
    }
    if (m->dpo) l->scratch = xmalloc(scratch_bytes(l->V));
    return l;
}

void online_teachers_free(struct online_teachers *l) {
    if (!l) return;
    for (int k = 0; k < MODELS; k++) net_free(l->net[k]);
    free(l->scratch);
    free(l);
}

// Logits of the chunk by model k; the forward pass is run once a micro-batch, the head once a
// chunk.
static const float *logits(struct online_teachers *l, int k, const struct batch *b,
                           struct chunk c) {
    float *z = net_logits_buffer(l->net[k]);
    bool same = l->held[k].batch == b && l->held[k].serial == b->serial;
    if (same && l->held[k].chunk.first == c.first && l->held[k].chunk.count == c.count) return z;
    if (!same) net_forward(l->net[k], b);
    net_logits(l->net[k], c, z);
    l->held[k].batch = b;
    l->held[k].serial = b->serial;
    l->held[k].chunk = c;
    return z;
}

struct compose_job {
    const struct online_teachers *teachers;
    const float *dpo, *negative, *base;
    float *out;
    struct teacher_position *info;
};

static void compose_row(void *self, size_t i) {
    const struct compose_job *j = self;
    size_t V = j->teachers->V, at = i * V;
    float *scratch = j->teachers->scratch + (size_t)parallel_self() * 2 * V;
    struct teacher_composed row = {.logp = j->out + at, .p = scratch};
    double tvd, alpha = teacher_star_row(&j->teachers->rule, j->base + at, j->dpo + at,
                                         j->negative + at, V, &row, &tvd);
    j->info[i].alpha = (float)alpha;
    j->info[i].tvd = (float)tvd;
}

struct online_logits online_teachers_logits(struct online_teachers *l, const struct batch *b,
                                            size_t first, size_t count) {
    struct chunk c = {first, count};
    struct online_logits p = {.dpo = logits(l, DPO, b, c)};
    const float *reverse = l->net[REVERSE] ? logits(l, REVERSE, b, c) : NULL;
    p.ref = l->net[REF] ? logits(l, REF, b, c) : NULL;
    p.negative = l->rule.negative_reverse ? reverse : p.ref;
    p.base = l->rule.base_dpo ? p.dpo : p.ref;
    return p;
}

void online_teachers_compose(void *teachers, const struct batch *b, size_t first, size_t count,
                             float *logp, struct teacher_position *info) {
    struct online_teachers *l = teachers;
    struct online_logits p = online_teachers_logits(l, b, first, count);
    struct compose_job j = {l, p.dpo, p.negative, p.base, logp, info};
    parallel_for(count, compose_row, &j);
}

struct measure_job {
    const struct online_teachers *teachers;
    struct online_logits logits;
    const float *student, *star;
    const int32_t *token;
    struct policy_position *out;
};

static void measure_row(void *self, size_t i) {
    const struct measure_job *j = self;
    size_t V = j->teachers->V, at = i * V;
    struct policy_logits z = {.student = j->student + at,
                              .dpo = j->logits.dpo + at,
                              .negative = j->logits.negative + at,
                              .base = j->logits.base + at,
                              .ref = j->logits.ref ? j->logits.ref + at : NULL,
                              .star = j->star + at,
                              .V = V};
    policy_measure(&j->teachers->rule, &z, j->token[i], &j->out[i]);
}

void online_teachers_measure(struct online_teachers *l, const struct batch *b, size_t first,
                             size_t count, const float *student, const float *logp,
                             const struct teacher_position *info, struct policy_position *out) {
    struct online_logits p = online_teachers_logits(l, b, first, count);
    struct measure_job j = {l, p, student, logp, b->target + first, out};
    for (size_t i = 0; i < count; i++)
        out[i] =
            (struct policy_position){.alpha = (double)info[i].alpha, .tvd = (double)info[i].tvd};
    parallel_for(count, measure_row, &j);
}

struct softmax_job {
    const float *z;
    float *out;
    size_t V;
};

static void log_softmax_row(void *self, size_t i) {
    const struct softmax_job *j = self;
    const float *z = j->z + i * j->V;
    float lse = (float)row_lse(z, j->V);
    for (size_t v = 0; v < j->V; v++) j->out[i * j->V + v] = z[v] - lse;
}

void online_teachers_reference(void *teachers, const struct batch *b, size_t first, size_t count,
                               float *logp) {
    struct online_teachers *l = teachers;
    struct softmax_job j = {logits(l, REF, b, (struct chunk){first, count}), logp, l->V};
    parallel_for(count, log_softmax_row, &j);
}

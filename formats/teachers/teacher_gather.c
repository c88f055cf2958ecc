#include "formats/teachers/teacher_gather.h"
#include "common/base/mem.h"
#include "common/engine/rowmath.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct teacher_gather {
    struct teacher_rule rule;
    struct teacher_grid grid;
    size_t V;
    int threads;
    struct workspace { // of one thread
        float *logp;   // (grid, V) log p*
        uint8_t *in;   // (V) 1: in the union
        size_t room;
        struct teacher_entry *entry; // (room)
        struct support_token *token; // (V), of a budget
        int32_t *ids;                // (V)
    } * workspace;
};

struct teacher_gather *teacher_gather_new(const struct teacher_rule *rule,
                                          const struct teacher_grid *grid, size_t V, int threads) {
    struct teacher_gather *g = xcalloc(1, sizeof *g);
    *g = (struct teacher_gather){.rule = *rule, .grid = *grid, .V = V, .threads = threads};
    g->workspace = xcalloc((size_t)threads, sizeof *g->workspace);
    for (int i = 0; i < threads; i++) {
        g->workspace[i].logp = xmalloc(grid->n * V * sizeof(float));
        g->workspace[i].in = xcalloc(V, 1);
    }
    return g;
}

size_t teacher_gather_bytes(const struct teacher_grid *grid, size_t V, bool budget) {
    size_t own = budget ? V * (sizeof(struct support_token) + sizeof(int32_t)) : 0;
    return grid->n ? grid->n * V * sizeof(float) + V + own : 0;
}

void teacher_gather_free(struct teacher_gather *g) {
    for (int i = 0; g && i < g->threads; i++) {
        free(g->workspace[i].logp);
        free(g->workspace[i].in);
        free(g->workspace[i].entry);
        free(g->workspace[i].token);
        free(g->workspace[i].ids);
    }
    if (g) free(g->workspace);
    free(g);
}

size_t teacher_gather_room(const struct teacher_grid *grid, const struct teacher_cut *cut,
                           size_t V) {
    size_t room = grid->n * cut->top_k + 2 + cut->n_must;
    return room < V ? room : V;
}

static void compose_all(struct teacher_gather *g, float *logp, const struct teacher_logits *z) {
    teacher_compose_each(&g->rule, g->grid.alpha, g->grid.n, z->base, z->dpo, z->negative, g->V,
                         logp);
}

// log p* at the ends and the tails, on to->ids; then p* of the rule itself, in logp's first row.
static bool take_numbers(struct teacher_gather *g, float *logp, const struct teacher_logits *z,
                         struct teacher_gathered *to) {
    const float *first = logp, *last = logp + (g->grid.n - 1) * g->V;
    bool finite = true;
    for (uint32_t i = 0; i < to->n; i++) {
        to->low[i] = fmaxf(first[to->ids[i]], -1e4f);
        to->high[i] = fmaxf(last[to->ids[i]], -1e4f);
        finite = finite && isfinite(to->low[i]) && isfinite(to->high[i]);
    }
    for (size_t k = 0; k < g->grid.n; k++)
        to->tail[k] = (float)teacher_tail(logp + k * g->V, g->V, to->ids, to->n);
    to->alpha = teacher_star(&g->rule, z->base, z->dpo, z->negative, g->V, logp, &to->tvd);
    to->entropy = teacher_entropy(logp, g->V);
    return finite && isfinite(to->alpha) && isfinite(to->entropy);
}

static bool take_union(struct teacher_gather *g, struct workspace *p,
                       const struct teacher_logits *z, struct teacher_gathered *to) {
    to->n = 0;
    for (size_t v = 0; v < g->V; v++)
        if (p->in[v]) to->ids[to->n++] = (int32_t)v;
    return take_numbers(g, p->logp, z, to);
}

bool teacher_gather(struct teacher_gather *g, int self, const struct teacher_logits *z,
                    const struct teacher_cut *cut, int32_t realised, struct teacher_gathered *to) {
    struct workspace *p = &g->workspace[self];
    grow(&p->entry, &p->room, cut->top_k + 2 + cut->n_must, sizeof *p->entry);
    compose_all(g, p->logp, z);
    memset(p->in, 0, g->V);
    for (size_t k = 0; k < g->grid.n; k++) {
        double tail;
        size_t n = teacher_truncate(cut, p->logp + k * g->V, g->V, realised, p->entry, &tail);
        for (size_t i = 0; i < n; i++) p->in[p->entry[i].id] = 1;
    }
    return take_union(g, p, z, to);
}

bool teacher_gather_within(struct teacher_gather *g, int self, const struct teacher_logits *z,
                           const struct support_budget *b, const struct support_sizes *typical,
                           const float *own, const int32_t also[2], struct teacher_gathered *to,
                           bool *within) {
    struct workspace *p = &g->workspace[self];
    if (!p->token) {
        p->token = xmalloc(g->V * sizeof *p->token);
        p->ids = xmalloc(g->V * sizeof *p->ids);
    }
    compose_all(g, p->logp, z);
    memset(p->in, 0, g->V);
    *within = true;
    for (size_t k = 0; k < g->grid.n; k++) {
        size_t n;
        const float *star = p->logp + k * g->V;
        *within = support_within(b, &typical[k], star, own, g->V, p->token, p->ids, &n) && *within;
        for (size_t i = 0; i < n; i++) p->in[p->ids[i]] = 1;
    }
    for (int k = 0; k < 2; k++)
        if (also[k] >= 0) p->in[also[k]] = 1;
    return take_union(g, p, z, to);
}

void teacher_gather_sizes(struct teacher_gather *g, int self, const struct teacher_logits *z,
                          const float *own, struct support_sizes *sizes) {
    float *logp = g->workspace[self].logp;
    compose_all(g, logp, z);
    for (size_t k = 0; k < g->grid.n; k++) sizes[k] = support_gradients(logp + k * g->V, own, g->V);
}

const float *teacher_gather_star(const struct teacher_gather *g, int self) {
    return g->workspace[self].logp; // where take_numbers put it
}

bool teacher_gather_given(struct teacher_gather *g, int self, const struct teacher_logits *z,
                          struct teacher_gathered *to) {
    struct workspace *p = &g->workspace[self];
    compose_all(g, p->logp, z);
    return take_numbers(g, p->logp, z, to);
}

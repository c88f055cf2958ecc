#include "formats/teachers/fidelity_sample.h"
#include "common/base/parallel.h"
#include "common/engine/rowmath.h"
#include "common/training/score.h"
#include "common/base/stop.h"
#include "formats/teachers/sources.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIKED = 64 }; // of each student's most likely tokens are in U

struct sample_pass {
    struct fidelity_sample *s;
    struct source all;
    struct online_teachers *online, **student;
    struct batch batch;
    float *star, **own;           // (CHUNK_POSITIONS, V): log p*; each student's
    float *scratch;               // (threads, 3V)
    struct support_token *tokens; // (threads, V), where there are budgets
    struct support_sizes *sizes;  // (CHUNK_POSITIONS) of the pass for what is typical, else NULL
    size_t sized;                 // positions of that pass
    struct teacher_entry *entries, *top; // (threads, room)
    int32_t *ids;                        // (threads, room)
    size_t room;
    struct teacher_position info[CHUNK_POSITIONS];
    size_t first; // position of the chunk in the batch
};

static size_t measure(void *self, size_t i, struct step_totals *totals) {
    struct sample_pass *p = self;
    return p->all.measure(p->all.self, p->s->row[i], totals);
}

static bool add(void *self, struct batch *b, size_t i, struct fail *f) {
    struct sample_pass *p = self;
    return p->all.add(p->all.self, b, p->s->row[i], f);
}

// A student's n most likely tokens into ids.
static size_t take_own(struct sample_pass *p, size_t i, size_t student, size_t n, int32_t *ids) {
    struct teacher_entry *top = p->top + (size_t)parallel_self() * p->room;
    if (student >= p->s->students || !n) return 0;
    n = teacher_top(p->own[student] + i * p->s->V, p->s->V, n, top);
    for (size_t k = 0; k < n; k++) ids[k] = top[k].id;
    return n;
}

// What a budget keeps into ids.
static size_t take_within(struct sample_pass *p, size_t i, size_t budget, float alpha,
                          int32_t *ids) {
    const struct fidelity_sample *s = p->s;
    struct support_budget b = s->budget[budget];
    struct support_sizes typical = s->typical;
    size_t V = s->V, n;
    if (s->inverse_alpha) {
        b = support_budget_of(&b, (double)alpha, s->typical_weight);
        typical = support_sizes_of(&typical, (double)alpha);
    }
    support_within(&b, &typical, p->star + i * V, p->own[0] + i * V, V,
                   p->tokens + (size_t)parallel_self() * V, ids, &n);
    return n;
}

static void mark_within(struct sample_pass *p, size_t i, int32_t *ids,
                        struct sample_position *out) {
    uint32_t *mark = xcalloc(p->s->V, sizeof *mark);
    for (size_t b = 0; b < p->s->budgets; b++) {
        size_t n = take_within(p, i, b, out->alpha, ids);
        for (size_t k = 0; k < n; k++) mark[ids[k]] |= (uint32_t)1 << b;
    }
    for (size_t k = 0; k < out->n; k++) out->within[k] = mark[out->entry[k].id];
    free(mark);
}

// Which tokens are kept: the most likely, those of budgets, the first student's most likely, the
// realised one, the end; and of every student what it likes, which a cache may not foresee.
static void choose(struct sample_pass *p, size_t i, struct sample_position *out) {
    struct fidelity_sample *s = p->s;
    size_t self = (size_t)parallel_self() * p->room, likely, n;
    const float *star = p->star + i * s->V;
    struct teacher_entry *e = p->entries + self;
    int32_t *ids = p->ids + self;
    double tail;
    likely = n = take_own(p, i, 0, s->student_k, ids);
    for (size_t m = 0; m < s->students; m++) n += take_own(p, i, m, LIKED, ids + n);
    for (size_t b = 0; b < s->budgets; b++) n += take_within(p, i, b, out->alpha, ids + n);
    const struct teacher_cut cut = {
        .top_k = s->top_k, .mass = 1, .eos = s->eos, .must = ids, .n_must = n};
    out->n = teacher_truncate(&cut, star, s->V, out->target, e, &tail);
    out->entry = xmalloc(out->n * sizeof *out->entry);
    out->rank = xmalloc(out->n * sizeof *out->rank);
    out->within = xcalloc(out->n, sizeof *out->within);
    memcpy(out->entry, e, out->n * sizeof *e);
    out->most = teacher_most(star, s->V, e, out->n);
    for (size_t k = 0; k < out->n; k++) {
        out->rank[k] = UINT16_MAX;
        for (size_t r = 0; r < likely; r++)
            if (ids[r] == out->entry[k].id) out->rank[k] = (uint16_t)r;
    }
    if (s->budgets) mark_within(p, i, ids, out);
}

static void sum_rest(const float *star, size_t V, float *scratch, struct sample_position *out) {
    row_exp(scratch, star, V, 0);
    for (size_t k = 0; k < out->n; k++) scratch[out->entry[k].id] = 0;
    for (size_t v = 0; v < V; v++) {
        double q = (double)scratch[v];
        out->q += q;
        if (q > 0) out->qlogq += q * (double)star[v];
    }
}

static void take_position(void *self, size_t i) {
    struct sample_pass *p = self;
    struct fidelity_sample *s = p->s;
    struct sample_position *out = &s->position[s->positions + i];
    const float *star = p->star + i * s->V;
    size_t own = (size_t)parallel_self();
    float *scratch = p->scratch + own * 3 * s->V;
    int32_t *ids = p->ids + own * p->room;
    *out = (struct sample_position){
        .target = p->batch.target[p->first + i], .alpha = p->info[i].alpha, .tvd = p->info[i].tvd};
    out->realised = star[out->target];
    out->entropy = (float)teacher_entropy(star, s->V);
    choose(p, i, out);
    sum_rest(star, s->V, scratch, out);
    for (size_t k = 0; k < out->n; k++) ids[k] = out->entry[k].id;
    out->student = xcalloc(s->students, sizeof *out->student);
    for (size_t m = 0; m < s->students; m++) {
        struct fidelity_student *t = &out->student[m];
        t->logp = xmalloc(out->n * sizeof *t->logp);
        for (int kind = 0; kind < FIDELITY_KINDS; kind++)
            t->g[kind] = xmalloc(out->n * sizeof *t->g[kind]);
        fidelity_dense(p->own[m] + i * s->V, star, s->V, ids, out->n, scratch, t);
    }
}

// ---- what is typical, for budgets

static void size_position(void *self, size_t i) {
    struct sample_pass *p = self;
    size_t V = p->s->V;
    p->sizes[i] = support_gradients(p->star + i * V, p->own[0] + i * V, V);
}

// Sums of squares of a chunk (n).
static void add_sizes(struct sample_pass *p, size_t n) {
    struct fidelity_sample *s = p->s;
    for (size_t i = 0; i < n; i++) {
        double w = s->inverse_alpha ? 1 / (double)p->info[i].alpha : 1;
        s->typical_weight += w * w;
        for (int k = 0; k < SUPPORT_STUDENTS; k++)
            for (int kind = 0; kind < SUPPORT_KINDS; kind++)
                s->typical.g[k][kind] += pow(w * p->sizes[i].g[k][kind], 2);
    }
    p->sized += n;
}

static void take_roots(struct sample_pass *p) {
    struct fidelity_sample *s = p->s;
    double n = fmax((double)p->sized, 1);
    s->typical_weight = sqrt(s->typical_weight / n);
    for (int k = 0; k < SUPPORT_STUDENTS; k++)
        for (int kind = 0; kind < SUPPORT_KINDS; kind++)
            s->typical.g[k][kind] = sqrt(s->typical.g[k][kind] / n);
}

static bool take_batch(struct sample_pass *p, struct fail *f) {
    struct fidelity_sample *s = p->s;
    const struct batch *b = &p->batch;
    size_t before = s->positions;
    grow(&s->position, &s->capacity, s->positions + b->positions, sizeof *s->position);
    for (size_t u = 0; u < b->units; u++)
        for (size_t at = b->unit_position[u]; at < b->unit_position[u + 1];) {
            size_t left = b->unit_position[u + 1] - at;
            size_t n = left < CHUNK_POSITIONS ? left : CHUNK_POSITIONS;
            p->first = at;
            online_teachers_compose(p->online, b, at, n, p->star, p->info);
            for (size_t m = 0; m < s->students; m++)
                online_teachers_reference(p->student[m], b, at, n, p->own[m]);
            parallel_for(n, p->sizes ? size_position : take_position, p);
            if (p->sizes)
                add_sizes(p, n);
            else
                s->positions += n;
            at += n;
        }
    for (size_t i = before; i < s->positions; i++)
        if (!isfinite(s->position[i].realised) || !isfinite(s->position[i].alpha))
            return fail_set(f, EXIT_FAILED,
                            "the teachers' logits are not finite; the models diverged");
    return true;
}

static void allocate(struct sample_pass *p) {
    struct fidelity_sample *s = p->s;
    struct net_limits limits = score_limits(&p->all, s->micro_tokens);
    size_t threads = (size_t)parallel_threads();
    s->V = s->models.dpo->config.vocab_used;
    p->room = s->top_k + 2 + s->student_k + s->students * LIKED;
    for (size_t b = 0; b < s->budgets; b++) p->room += s->budget[b].most;
    p->online = online_teachers_new(&s->models, &s->rule, &limits);
    p->student = xmalloc(s->students * sizeof *p->student);
    p->own = xmalloc(s->students * sizeof *p->own);
    for (size_t m = 0; m < s->students; m++) {
        p->student[m] =
            online_teachers_new(&(struct teacher_models){.ref = s->student[m]}, NULL, &limits);
        p->own[m] = xmalloc(CHUNK_POSITIONS * s->V * sizeof **p->own);
    }
    p->star = xmalloc(CHUNK_POSITIONS * s->V * sizeof *p->star);
    p->scratch = xmalloc(threads * 3 * s->V * sizeof *p->scratch);
    p->entries = xmalloc(threads * p->room * sizeof *p->entries);
    p->top = xmalloc(threads * p->room * sizeof *p->top);
    p->ids = xmalloc(threads * p->room * sizeof *p->ids);
    p->tokens = s->budgets ? xmalloc(threads * s->V * sizeof *p->tokens) : NULL;
}

static void release(struct sample_pass *p) {
    for (size_t m = 0; m < p->s->students; m++) {
        online_teachers_free(p->student[m]);
        free(p->own[m]);
    }
    online_teachers_free(p->online);
    batch_release(&p->batch);
    void *all[] = {p->student, p->own, p->star, p->scratch, p->entries, p->top, p->ids, p->tokens};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void take_rows(struct sample_pass *p, struct source *chosen, struct fail *f) {
    struct fidelity_sample *s = p->s;
    for (size_t row = 0; row < s->rows && !f->code && !stop_requested();) {
        row = score_fill(&p->batch, chosen, row, s->rows, s->micro_tokens, f);
        if (f->code || !take_batch(p, f)) break;
        log_progress(s->log, "row", row, s->rows, NULL);
    }
    log_end_progress(s->log);
}

int fidelity_sample_run(struct fidelity_sample *s, struct fail *f) {
    struct sample_pass *p = xcalloc(1, sizeof *p);
    struct source chosen = {.self = p, .rows = s->rows, .measure = measure, .add = add};
    p->s = s;
    source_tokens(&p->all, s->tokens);
    allocate(p);
    if (s->budgets) {
        p->sizes = xmalloc(CHUNK_POSITIONS * sizeof *p->sizes);
        take_rows(p, &chosen, f);
        free(p->sizes);
        p->sizes = NULL;
        take_roots(p);
    }
    take_rows(p, &chosen, f);
    for (size_t i = 0; i < s->positions; i++)
        if (s->position[i].n > s->most) s->most = s->position[i].n;
    release(p);
    free(p);
    return f->code ? f->code : stop_requested() ? EXIT_STOPPED : EXIT_DONE;
}

void fidelity_sample_release(struct fidelity_sample *s) {
    for (size_t i = 0; i < s->positions; i++) {
        struct sample_position *p = &s->position[i];
        for (size_t m = 0; m < s->students; m++) {
            free(p->student[m].logp);
            for (int kind = 0; kind < FIDELITY_KINDS; kind++) free(p->student[m].g[kind]);
        }
        free(p->student);
        free(p->entry);
        free(p->rank);
        free(p->within);
    }
    free(s->position);
    s->position = NULL;
    s->positions = s->capacity = 0;
}

// Token k of U joins what is kept, or what is not.
static void keep_or_leave(const struct sample_position *p, size_t k, bool keep, float *kept,
                          double *tail, double *log_most) {
    double logp = (double)p->entry[k].logp;
    kept[k] = keep ? p->entry[k].logp : NAN;
    if (keep) return;
    *tail += exp(logp);
    *log_most = fmax(*log_most, fmin(logp, 0));
}

static double log_of_tail(double tail) {
    return tail > 1e-30 ? log(tail) : (double)ROW_LOG_FLOOR;
}

double fidelity_sample_cut(const struct sample_position *p, const struct teacher_cut *cut,
                           size_t student_k, float *kept, double *log_most) {
    size_t by_mass = teacher_enough(cut, p->entry, p->n);
    double tail = p->q;
    *log_most = (double)p->most;
    for (size_t k = 0; k < p->n; k++) {
        int32_t id = p->entry[k].id;
        bool keep = k < by_mass || id == p->target || id == cut->eos || p->rank[k] < student_k;
        keep_or_leave(p, k, keep, kept, &tail, log_most);
    }
    return log_of_tail(tail);
}

double fidelity_sample_within(const struct sample_position *p, size_t budget, int32_t eos,
                              float *kept, double *log_most) {
    double tail = p->q;
    *log_most = (double)p->most;
    for (size_t k = 0; k < p->n; k++) {
        int32_t id = p->entry[k].id;
        bool keep = (p->within[k] >> budget & 1) || id == p->target || id == eos;
        keep_or_leave(p, k, keep, kept, &tail, log_most);
    }
    return log_of_tail(tail);
}

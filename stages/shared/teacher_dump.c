#include "stages/shared/teacher_dump.h"
#include "common/base/clock.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/training/runaway.h"
#include "common/training/score.h"
#include "common/base/stop.h"
#include "formats/teachers/sources.h"
#include "formats/teachers/teacher_gather.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct dump_pass {
    struct teacher_dump *d;
    struct online_teachers *online, *student;
    struct source source;
    struct batch batch;
    size_t V, room;                // vocabulary; entries a position may have
    struct arena arena;            // of what follows
    float *own;                    // (CHUNK_POSITIONS, V): log p of the student
    float *star;                   // (threads, 3V): of the position that a thread is at
    struct teacher_position *info; // (positions)
    float *entropy;                // (positions)
    float *moved; // (positions): mass out of the base's most likely tokens; NAN: not computed
    double moved_sum, moved_count;
    int32_t *ids;                  // (positions, room)
    float *values;                 // (positions, room)
    struct teacher_entry *entries; // (threads, room)
    int32_t *must;                 // (threads, student_k; of a budget its most)
    struct support_token *tokens;  // (threads, V), where there is a budget
    bool *beyond;                  // (positions): the budget is not met
    bool sizing;                   // the pass is for `typical`: nothing is written
    struct support_sizes *sizes;   // (positions, alphas of the grid), of that pass
    size_t beyond_count, positions;
    struct chunk chunk;
    struct online_logits logits; // of the chunk
    // of the components layout, with `values` its low ends
    struct teacher_gather *gather;
    struct teacher_components *components; // (positions)
    float *high;                           // (positions, room)
    float *tails;                          // (positions, grid)
};

// The student's most likely tokens, which carry the reverse KL, into cut->must.
static void add_student(struct dump_pass *p, size_t i, struct teacher_cut *cut) {
    size_t self = (size_t)parallel_self(), k = p->d->student_k;
    struct teacher_entry *e = p->entries + self * p->room;
    int32_t *must = p->must + self * k;
    cut->n_must = teacher_top(p->own + i * p->V, p->V, k, e);
    for (size_t n = 0; n < cut->n_must; n++) must[n] = e[n].id;
    cut->must = must;
}

// Whether p*, logp (V) of position i of the chunk, leaves its base: every 16th position of a
// response is enough to see it.
static void note_moved_mass(struct dump_pass *p, size_t i, const float *logp) {
    const struct batch *b = &p->batch;
    size_t at = p->chunk.first + i;
    bool looked = (at - b->response[b->owner[at]].first) % 16 == 0;
    p->moved[at] = looked ? (float)policy_moved(p->logits.base + i * p->V, logp, p->V) : NAN;
}

static bool has_budget(const struct teacher_dump *d) {
    return d->student && d->budget.error > 0;
}

// What is typical of the step's loss, in the position's own scale.
static struct support_sizes scaled(const struct dump_pass *p, size_t at, size_t alpha) {
    const struct support_sizes *s = &p->d->typical[alpha];
    return p->d->inverse_alpha ? support_sizes_of(s, (double)p->info[at].alpha) : *s;
}

static struct support_budget budget_at(const struct dump_pass *p, size_t at) {
    const struct support_budget *b = &p->d->budget;
    double alpha = (double)p->info[at].alpha;
    return p->d->inverse_alpha ? support_budget_of(b, alpha, p->d->typical_weight) : *b;
}

// p* of position i of the chunk, in this thread's row, and its alpha and TVD.
static struct teacher_composed compose_row(struct dump_pass *p, size_t i) {
    size_t V = p->V;
    const struct online_logits *l = &p->logits;
    struct teacher_position *t = &p->info[p->chunk.first + i];
    float *row = p->star + (size_t)parallel_self() * 3 * V;
    struct teacher_composed star = {.logp = row, .p = row + V};
    double tvd;
    if (i + 1 < p->chunk.count) star.next = l->dpo + (i + 1) * V; // that it most likely has next
    t->alpha = (float)teacher_star_row(&p->d->rule, l->base + i * V, l->dpo + i * V,
                                       l->negative + i * V, V, &star, &tvd);
    t->tvd = (float)tvd;
    return star;
}

// The tokens that the student's gradient wants within the budget.
static size_t take_within(struct dump_pass *p, size_t i, struct teacher_composed *star,
                          struct teacher_entry *e, struct teacher_rest *rest) {
    size_t self = (size_t)parallel_self(), at = p->chunk.first + i, V = p->V, n;
    int32_t *ids = p->must + self * p->d->budget.most;
    const int32_t also[2] = {p->batch.target[at], p->d->cut.eos};
    struct support_sizes typical = scaled(p, at, 0);
    struct support_budget budget = budget_at(p, at);
    p->beyond[at] = !support_within(&budget, &typical, star->logp, p->own + i * V, V,
                                    p->tokens + self * V, ids, &n);
    return teacher_take_row(ids, n, also, star, V, e, rest);
}

static size_t take_by_cut(struct dump_pass *p, size_t i, struct teacher_composed *star,
                          struct teacher_entry *e, struct teacher_rest *rest) {
    struct teacher_cut cut = p->d->cut;
    size_t at = p->chunk.first + i;
    if (p->student) add_student(p, i, &cut);
    p->beyond[at] = false;
    return teacher_truncate_row(&cut, star, p->V, p->batch.target[at], e, rest);
}

static void truncate_row(void *self, size_t i) {
    struct dump_pass *p = self;
    size_t at = p->chunk.first + i;
    struct teacher_composed star = compose_row(p, i);
    struct teacher_entry *e = p->entries + (size_t)parallel_self() * p->room;
    struct teacher_position *t = &p->info[at];
    struct teacher_rest rest;
    size_t n = p->tokens ? take_within(p, i, &star, e, &rest) : take_by_cut(p, i, &star, e, &rest);
    for (size_t k = 0; k < n; k++) {
        p->ids[at * p->room + k] = e[k].id;
        p->values[at * p->room + k] = e[k].logp;
    }
    t->n = (uint32_t)n;
    t->ids = p->ids + at * p->room;
    t->logp = p->values + at * p->room;
    t->log_tail = (float)rest.log_tail;
    t->log_most = rest.log_most;
    t->realised = star.logp[p->batch.target[at]];
    p->entropy[at] = (float)rest.entropy;
    note_moved_mass(p, i, star.logp);
}

static float own_alpha(const struct dump_pass *p, const struct teacher_logits *z) {
    return (float)teacher_alpha(&p->d->rule, teacher_tvd(z->dpo, z->negative, p->V));
}

static void gather_row(void *self, size_t i) {
    struct dump_pass *p = self;
    size_t at = p->chunk.first + i, V = p->V;
    const struct online_logits *l = &p->logits;
    struct teacher_logits z = {l->base + i * V, l->dpo + i * V, l->negative + i * V};
    struct teacher_gathered to = {.ids = p->ids + at * p->room,
                                  .low = p->values + at * p->room,
                                  .high = p->high + at * p->room,
                                  .tail = p->tails + at * p->d->grid.n};
    struct teacher_cut cut = p->d->cut;
    const int32_t also[2] = {p->batch.target[at], cut.eos};
    bool finite, within = true;
    if (has_budget(p->d)) {
        struct support_sizes typical[GRID_MOST];
        size_t alphas = p->d->grid.n;
        p->info[at].alpha = own_alpha(p, &z);
        for (size_t k = 0; k < alphas; k++) typical[k] = scaled(p, at, k);
        struct support_budget budget = budget_at(p, at);
        finite = teacher_gather_within(p->gather, parallel_self(), &z, &budget, typical,
                                       p->own + i * V, also, &to, &within);
    } else {
        if (p->student) add_student(p, i, &cut);
        finite = teacher_gather(p->gather, parallel_self(), &z, &cut, also[0], &to);
    }
    p->beyond[at] = !within;
    p->info[at] = (struct teacher_position){
        .n = to.n, .ids = to.ids, .tvd = (float)to.tvd, .alpha = finite ? (float)to.alpha : NAN};
    p->components[at] = (struct teacher_components){to.low, to.high, to.tail};
    p->entropy[at] = (float)to.entropy;
    note_moved_mass(p, i, teacher_gather_star(p->gather, parallel_self()));
}

// ---- how large gradients are, for the budget ----

static size_t alphas_of(const struct teacher_dump *d) {
    return d->grid.n ? d->grid.n : 1;
}

static void size_row(void *self, size_t i) {
    struct dump_pass *p = self;
    size_t V = p->V, at = p->chunk.first + i;
    const struct online_logits *l = &p->logits;
    struct support_sizes *sizes = p->sizes + at * alphas_of(p->d);
    const float *own = p->own + i * V;
    if (!p->gather) {
        sizes[0] = support_gradients(compose_row(p, i).logp, own, V);
        return;
    }
    struct teacher_logits z = {l->base + i * V, l->dpo + i * V, l->negative + i * V};
    p->info[at].alpha = own_alpha(p, &z);
    teacher_gather_sizes(p->gather, parallel_self(), &z, own, sizes);
}

// Sums of squares into `typical`.
static void add_sizes(struct dump_pass *p) {
    size_t alphas = alphas_of(p->d);
    for (size_t at = 0; at < p->batch.positions; at++) {
        double alpha = (double)p->info[at].alpha, w = p->d->inverse_alpha ? 1 / alpha : 1;
        p->d->typical_weight += w * w;
        for (size_t k = 0; k < alphas; k++) {
            const struct support_sizes *s = &p->sizes[at * alphas + k];
            for (int m = 0; m < SUPPORT_STUDENTS * SUPPORT_KINDS; m++) {
                double x = w * s->g[m / SUPPORT_KINDS][m % SUPPORT_KINDS];
                p->d->typical[k].g[m / SUPPORT_KINDS][m % SUPPORT_KINDS] += x * x;
            }
        }
    }
    p->positions += p->batch.positions;
}

// ---- chunks, batches, rows ----

// One chunk of positions, from hidden states to what is kept of them.
static void dump_chunk(struct dump_pass *p) {
    const struct batch *b = &p->batch;
    size_t first = p->chunk.first, count = p->chunk.count;
    if (p->student) online_teachers_reference(p->student, b, first, count, p->own);
    p->logits = online_teachers_logits(p->online, b, first, count);
    parallel_for(count, p->sizes ? size_row : p->gather ? gather_row : truncate_row, p);
}

static bool write_rows(struct dump_pass *p) {
    const struct batch *b = &p->batch;
    const struct tokens *t = p->d->tokens;
    struct columns_writer *columns = teacher_writer_columns(p->d->writer);
    for (size_t r = 0; r < b->responses; r++) {
        const struct response *y = &b->response[r];
        size_t row = y->row, first = t->first[row];
        for (size_t i = y->first; i < y->first + y->count; i++)
            if ((!p->gather && !isfinite(p->info[i].realised)) || !isfinite(p->info[i].alpha))
                return fail_set(columns_fail(columns), EXIT_FAILED,
                                "row %zu: the teachers' logits are not finite; the models diverged",
                                row);
        struct teacher_row out = {.n = t->first[row + 1] - first,
                                  .prompt_length = (size_t)t->prompt_length[row],
                                  .ids = t->ids + first,
                                  .mask = t->mask + first,
                                  .positions = y->count,
                                  .position = p->info + y->first,
                                  .entropy = p->entropy + y->first,
                                  .components = p->gather ? p->components + y->first : NULL};
        if (!teacher_write(p->d->writer, &out)) return false;
        p->positions += y->count;
        for (size_t i = y->first; i < y->first + y->count; i++) {
            p->beyond_count += p->beyond[i];
            if (isnan(p->moved[i])) continue;
            p->moved_sum += (double)p->moved[i];
            p->moved_count++;
        }
    }
    return true;
}

static bool dump_batch(struct dump_pass *p) {
    const struct batch *b = &p->batch;
    for (size_t i = 0; i < batch_chunks(b); i++) {
        p->chunk = batch_chunk(b, i);
        dump_chunk(p);
        if (stop_requested()) return true; // the batch is dropped
    }
    if (p->sizes) add_sizes(p);
    return p->sizes ? true : write_rows(p);
}

static int run(struct dump_pass *p, struct fail *f) {
    struct teacher_dump *d = p->d;
    struct columns_writer *columns = teacher_writer_columns(d->writer);
    size_t row = d->first + columns_rows(columns), end = d->first + d->count, saved = row;
    double last = clock_seconds();
    while (row < end && !f->code) {
        size_t next = score_fill(&p->batch, &p->source, row, end, d->micro_tokens, f);
        if (f->code || !dump_batch(p)) break;
        if (stop_requested()) {
            log_end_progress(d->log);
            return columns_checkpoint(columns, NULL, 0) ? EXIT_STOPPED
                                                        : columns_fail(columns)->code;
        }
        row = next;
        log_progress(d->log, "row", row - d->first, d->count, NULL);
        const struct opt_every *e = &d->checkpoint_every;
        bool due = e->steps ? row - saved >= (size_t)e->steps
                            : e->seconds > 0 && clock_seconds() - last >= e->seconds;
        if (!due) continue;
        if (!columns_checkpoint(columns, NULL, 0)) break;
        last = clock_seconds();
        saved = row;
    }
    log_end_progress(d->log);
    return fail_pass(f, columns_fail(columns)) ? EXIT_DONE : f->code;
}

// What the pass holds in addition to the models and their nets; n: positions of a micro-batch.
static void place_arrays(struct dump_pass *p, struct arena *a, size_t n) {
    const struct teacher_grid *g = &p->d->grid;
    size_t threads = (size_t)parallel_threads(), row = CHUNK_POSITIONS * p->V;
    struct teacher_cut most = p->d->cut;
    bool budget = has_budget(p->d);
    most.n_must = budget ? 0 : p->d->student_k;
    if (budget) most.top_k = p->d->budget.most;
    p->room = g->n ? teacher_gather_room(g, &most, p->V) : most.top_k + 2 + most.n_must;
    p->own = p->d->student ? arena_take(a, row * sizeof *p->own) : NULL;
    size_t must = budget ? p->d->budget.most : p->d->student_k;
    p->must = arena_take(a, threads * must * sizeof *p->must);
    p->tokens = budget && !g->n ? arena_take(a, threads * p->V * sizeof *p->tokens) : NULL;
    p->beyond = arena_take(a, n * sizeof *p->beyond);
    p->sizes = p->sizing ? arena_take(a, n * alphas_of(p->d) * sizeof *p->sizes) : NULL;
    p->info = arena_take(a, n * sizeof *p->info);
    p->entropy = arena_take(a, n * sizeof *p->entropy);
    p->moved = arena_take(a, n * sizeof *p->moved);
    p->ids = arena_take(a, n * p->room * sizeof *p->ids);
    p->values = arena_take(a, n * p->room * sizeof *p->values);
    p->entries = arena_take(a, threads * p->room * sizeof *p->entries);
    if (g->n) {
        p->components = arena_take(a, n * sizeof *p->components);
        p->high = arena_take(a, n * p->room * sizeof *p->high);
        p->tails = arena_take(a, n * g->n * sizeof *p->tails);
    } else {
        p->star = arena_take(a, threads * 3 * p->V * sizeof *p->star);
    }
}

static struct net_limits begin(struct dump_pass *p, struct teacher_dump *d, bool sizing) {
    *p = (struct dump_pass){.d = d, .V = d->models.dpo->config.vocab_used, .sizing = sizing};
    source_tokens(&p->source, d->tokens);
    struct net_limits limits = score_limits(&p->source, d->micro_tokens);
    place_arrays(p, &p->arena, limits.positions); // measures
    return limits;
}

static void allocate(struct dump_pass *p, const struct net_limits *limits) {
    struct teacher_dump *d = p->d;
    arena_init(&p->arena, p->arena.peak);
    place_arrays(p, &p->arena, limits->positions);
    p->online = online_teachers_new(&d->models, &d->rule, limits);
    if (d->student)
        p->student = online_teachers_new(&(struct teacher_models){.ref = d->student}, NULL, limits);
    if (d->grid.n) p->gather = teacher_gather_new(&d->rule, &d->grid, p->V, parallel_threads());
}

size_t teacher_dump_plan(struct teacher_dump *d) {
    struct dump_pass p;
    struct net_limits limits = begin(&p, d, false);
    const struct teacher_models student = {.ref = d->student};
    return p.arena.peak + online_teachers_plan(&d->models, &limits) +
           online_teachers_plan(&student, &limits) +
           (size_t)parallel_threads() * teacher_gather_bytes(&d->grid, p.V, has_budget(d));
}

static void warn_of_mass(const struct dump_pass *p) {
    double mean = p->moved_count > 0 ? p->moved_sum / p->moved_count : 0;
    if (mean > RUNAWAY_OUTSIDE)
        warn("p* leaves its base: mass moved out of the base's 64 most likely tokens %.2g on "
             "average, more than %g; try a lower strength in --alpha, or --plausible",
             mean, RUNAWAY_OUTSIDE);
}

static void tell_of_budget(const struct dump_pass *p) {
    if (p->beyond_count && p->d->log)
        log_note(p->d->log,
                 "%zu of %zu positions have --top-k %zu tokens and would want more for "
                 "--error-budget %g",
                 p->beyond_count, p->positions, p->d->budget.most, p->d->budget.error);
}

static void close_pass(struct dump_pass *p) {
    online_teachers_free(p->online);
    online_teachers_free(p->student);
    batch_release(&p->batch);
    teacher_gather_free(p->gather);
    arena_release(&p->arena);
}

int teacher_dump_typical(struct teacher_dump *d, struct fail *f) {
    struct tokens rows = teacher_dump_sample(d->tokens);
    struct teacher_dump sample = *d;
    struct dump_pass p;
    sample.tokens = &rows;
    memset(sample.typical, 0, sizeof sample.typical);
    sample.typical_weight = 0;
    struct net_limits limits = begin(&p, &sample, true);
    allocate(&p, &limits);
    for (size_t row = 0; row < rows.rows && !f->code && !stop_requested();) {
        row = score_fill(&p.batch, &p.source, row, rows.rows, d->micro_tokens, f);
        if (!f->code) dump_batch(&p);
    }
    for (size_t k = 0; k < alphas_of(d); k++)
        for (int m = 0; m < SUPPORT_STUDENTS * SUPPORT_KINDS; m++) {
            double *g = &sample.typical[k].g[m / SUPPORT_KINDS][m % SUPPORT_KINDS];
            *g = p.positions ? sqrt(*g / (double)p.positions) : 0;
        }
    memcpy(d->typical, sample.typical, sizeof d->typical);
    d->typical_weight = p.positions ? sqrt(sample.typical_weight / (double)p.positions) : 0;
    close_pass(&p);
    tokens_release(&rows);
    return f->code ? f->code : stop_requested() ? EXIT_STOPPED : EXIT_DONE;
}

int teacher_dump_run(struct teacher_dump *d, struct fail *f) {
    struct dump_pass p;
    struct net_limits limits = begin(&p, d, false);
    allocate(&p, &limits);
    if (d->begun) d->begun(d->self);
    int code = run(&p, f);
    warn_of_mass(&p);
    tell_of_budget(&p);
    if (code == EXIT_DONE) {
        if (!teacher_writer_commit(d->writer, NULL)) code = f->code ? f->code : EXIT_FAILED;
    } else {
        teacher_writer_abandon(d->writer, true);
    }
    close_pass(&p);
    return code;
}

struct tokens teacher_dump_sample(const struct tokens *t) {
    enum { ROWS = 32, TOKENS = 2048 };
    struct tokens s = {.kind = t->kind,
                       .vocab = t->vocab,
                       .tokenizer = t->tokenizer,
                       .longest = t->longest,
                       .parts = 1};
    size_t n = t->rows < ROWS ? t->rows : ROWS;
    s.first = xcalloc(n + 1, sizeof *s.first);
    s.prompt_length = xcalloc(n, sizeof *s.prompt_length);
    s.ids = xmalloc((TOKENS + t->longest) * sizeof *s.ids);
    s.mask = xmalloc(TOKENS + t->longest);
    for (; s.rows < n && s.first[s.rows] < TOKENS; s.rows++) {
        size_t row = s.rows * t->rows / n, at = t->first[row], length = t->first[row + 1] - at;
        memcpy(s.ids + s.first[s.rows], t->ids + at, length * sizeof *s.ids);
        memcpy(s.mask + s.first[s.rows], t->mask + at, length);
        s.prompt_length[s.rows] = t->prompt_length[row];
        s.first[s.rows + 1] = s.first[s.rows] + length;
    }
    s.part_rows = xcalloc(1, sizeof *s.part_rows);
    s.part_rows[0] = s.rows;
    return s;
}

// ---- rows of tokens ----

static void append(struct tokens *t, const int32_t *prompt, size_t np, const int32_t *y, size_t n) {
    size_t at = t->first[t->rows], total = np + n;
    memcpy(t->ids + at, prompt, np * sizeof *prompt);
    memcpy(t->ids + at + np, y, n * sizeof *y);
    memset(t->mask + at, 0, np);
    memset(t->mask + at + np, 1, n);
    t->prompt_length[t->rows++] = (int32_t)np;
    t->first[t->rows] = at + total;
    if (total > t->longest) t->longest = total;
}

bool teacher_dump_responses(const struct pairs *p, bool chosen, bool rejected, struct tokens *t) {
    size_t per = (size_t)chosen + (size_t)rejected, R = p->rows;
    size_t room = per * p->prompt_first[R] + p->chosen_first[R] + p->rejected_first[R];
    *t = (struct tokens){.kind = TOKENS_SFT, .vocab = p->vocab, .tokenizer = p->tokenizer};
    t->first = xcalloc(per * R + 1, sizeof *t->first);
    t->prompt_length = xmalloc(per * R * sizeof *t->prompt_length);
    t->ids = xmalloc(room * sizeof *t->ids);
    t->mask = xmalloc(room);
    t->parts = 1;
    t->part_rows = xmalloc(sizeof *t->part_rows);
    t->part_rows[0] = per * R;
    for (size_t i = 0; i < R; i++) {
        const int32_t *x = p->prompt + p->prompt_first[i];
        size_t np = p->prompt_first[i + 1] - p->prompt_first[i];
        if (chosen)
            append(t, x, np, p->chosen + p->chosen_first[i],
                   p->chosen_first[i + 1] - p->chosen_first[i]);
        if (rejected)
            append(t, x, np, p->rejected + p->rejected_first[i],
                   p->rejected_first[i + 1] - p->rejected_first[i]);
    }
    parents_add_all(&t->parents, &p->parents);
    return t->rows > 0;
}

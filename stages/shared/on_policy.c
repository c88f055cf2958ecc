#include "stages/shared/on_policy.h"
#include "common/training/score.h"
#include "common/base/ranks.h"
#include "common/base/stop.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

void on_policy_rows(struct options *o, struct on_policy_options *p) {
    const struct opt_row rows[] = {
        {"reward-level", OPT_CHOICE, OPT_RESULT, &p->level, .value = "distribution",
         .choices = "distribution|token|response|group",
         .help = "how samples train: by distilling p*; by policy gradients on values of tokens or "
                 "of whole responses, which are noisier and need a lower --lr; or without a "
                 "teacher, by scores standardised in groups (GRPO)"},
        {"exact", OPT_FLAG, OPT_RESULT, &p->exact,
         .help = "also follow the gradient over whole responses (with rkl; unbiased with "
                 "--normalise sum)"},
        {"max-new", OPT_INT, OPT_RESULT, &p->max_new, .value = "256", .low = 1, .high = 1e6,
         .metavar = "N", .help = "most tokens of a sampled response"},
        {"slots", OPT_INT, OPT_EXEC, &p->slots, .value = "32", .low = 1, .high = 4096,
         .metavar = "N", .help = "sequences decoded at once; more need more memory"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

// ---- the rows ----

static size_t part_rows(void *self, size_t part) {
    return ((struct on_policy *)self)->prompts->part_rows[part];
}

static size_t measure(void *self, size_t row, struct step_totals *totals) {
    const struct on_policy *p = self;
    size_t n = tokens_prompt_length(p->prompts, row), i = p->place ? p->place[row] : SIZE_MAX;
    size_t count = p->source.longest - n; // of a plan: the most it can be
    if (i != SIZE_MAX)
        count = p->jobs[i].count;
    else if (count > p->max_new)
        count = p->max_new;
    totals->tokens += count;
    totals->responses++;
    return n + count;
}

static void add_sample(struct on_policy *p, struct batch *b, size_t i) {
    size_t n = sample_job_row(&p->jobs[i], p->row_ids, p->row_mask);
    batch_sequence(b, p->row_ids, p->row_mask, n, i, RESPONSE_ONLY);
}

static bool weighted(const struct on_policy *p) {
    return p->exact || p->level != REWARD_DISTRIBUTION;
}

static bool add(void *self, struct batch *b, size_t row, struct fail *f) {
    struct on_policy *p = self;
    size_t i = p->place[row], first = b->positions;
    (void)f;
    add_sample(p, b, i);
    if (weighted(p))
        memcpy(b->weight + first, p->weight + p->first[i], p->jobs[i].count * sizeof *b->weight);
    return true;
}

// ---- before a step ----

static bool sample_step(struct on_policy *p, uint64_t step, const size_t *rows, size_t n) {
    const struct tokens *t = p->prompts;
    for (size_t i = 0; i < p->source.rows; i++) p->place[i] = SIZE_MAX;
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        p->place[rows[i]] = i;
        p->jobs[i] = (struct sample_job){.prompt = t->ids + t->first[rows[i]],
                                         .n = tokens_prompt_length(t, rows[i]),
                                         .row = step * (uint64_t)p->train->batch_size + i,
                                         .ids = p->ids + i * p->max_new};
    }
    if (!sample_run_together(&p->sampler, p->jobs, n)) return false;
    p->first[0] = 0;
    for (size_t i = 0; i < n; i++) p->first[i + 1] = p->first[i] + p->jobs[i].count;
    return true;
}

static size_t measure_sample(void *self, size_t i, struct step_totals *totals) {
    const struct on_policy *p = self;
    (void)totals;
    return p->jobs[i].n + p->jobs[i].count;
}

static bool add_weighed(void *self, struct batch *b, size_t i, struct fail *f) {
    (void)f;
    add_sample(self, b, i);
    return true;
}

static void measure_batch(struct on_policy *p, size_t offset) {
    float *logits = net_logits_buffer(p->net);
    net_forward(p->net, &p->batch);
    for (size_t i = 0; i < batch_chunks(&p->batch); i++) {
        struct chunk c = batch_chunk(&p->batch, i);
        net_logits(p->net, c, logits);
        online_teachers_compose(p->online, &p->batch, c.first, c.count, p->logp, p->info);
        online_teachers_measure(p->online, &p->batch, c.first, c.count, logits, p->logp, p->info,
                                p->position + offset + c.first);
    }
}

// Every sample is a unit of its own here: its numbers do not depend on its neighbours.
static bool measure_step(struct on_policy *p, struct fail *f) {
    struct source samples = {.self = p, .measure = measure_sample, .add = add_weighed};
    size_t i = ranks_share(p->n, ranks_self()), end = ranks_share(p->n, ranks_self() + 1);
    size_t bytes = p->first[p->n] * sizeof *p->position;
    grow(&p->position, &p->position_capacity, p->first[p->n], sizeof *p->position);
    memset(p->position, 0, bytes);
    while (i < end && !stop_requested()) {
        size_t offset = p->first[i];
        i = score_fill(&p->batch, &samples, i, end, (size_t)p->train->micro_tokens, f);
        measure_batch(p, offset);
    }
    bool fine = !ranks_or(stop_requested());
    ranks_merge(p->position, bytes);
    return fine;
}

static bool prepare(void *self, uint64_t step, const size_t *rows, size_t n, struct fail *f) {
    struct on_policy *p = self;
    if (!sample_step(p, step, rows, n)) return false;
    if (!weighted(p)) return true;
    if (!measure_step(p, f)) return false;
    struct policy_step s = {.responses = n,
                            .first = p->first,
                            .position = p->position,
                            .level = p->level,
                            .inverse_alpha = p->inverse_alpha,
                            .reward_beta = p->reward_beta};
    grow(&p->weight, &p->weight_capacity, p->first[n], sizeof *p->weight);
    policy_weights(&s, p->weight);
    return true;
}

// ---- opening ----

bool on_policy_source(struct on_policy *p, struct source *s, struct fail *f) {
    const struct tokens *t = p->prompts;
    size_t most = p->student->config.max_positions, longest = tokens_longest_prompt(t, most, f);
    if (f->code) return false;
    longest += p->max_new;
    if (longest > most) longest = most;
    *s = (struct source){.self = p,
                         .rows = t->rows,
                         .parts = t->parts,
                         .longest = longest,
                         .span = longest,
                         .part_rows = part_rows,
                         .prepare = prepare,
                         .measure = measure,
                         .add = add};
    p->source = *s;
    size_t batch = train_batch(p->train, s->rows);
    if (batch < p->slots) p->slots = batch;
    return true;
}

size_t on_policy_plan(const struct on_policy *p) {
    struct net_limits limits = train_limits(p->train, &p->source), i = limits;
    size_t bytes = online_teachers_plan(&p->teachers, &limits) +
                   decoder_plan(p->student, p->slots, p->source.longest) +
                   sample_plan(1, p->slots, p->student->config.vocab_used);
    const struct model *all[] = {p->student, p->teachers.dpo, p->teachers.reverse, p->teachers.ref};
    bytes += models_bytes(4, all) - models_bytes(1, all);
    i.backward = false;
    bytes += p->source.rows * sizeof *p->place;
    if (!weighted(p)) return bytes;
    return bytes + net_plan(p->student, &i) +
           CHUNK_POSITIONS * p->student->config.vocab_used * sizeof *p->logp;
}

double on_policy_passes(const struct on_policy *p) {
    const struct teacher_models *m = &p->teachers;
    return (m->dpo != NULL) + (m->reverse != NULL) + (m->ref != NULL) + weighted(p) + 2;
}

void on_policy_open(struct on_policy *p) {
    size_t batch = train_batch(p->train, p->source.rows), longest = p->source.longest;
    struct net_limits limits = train_limits(p->train, &p->source);
    p->decoder = decoder_new(p->student, p->slots, longest);
    p->sampler = (struct sampler){.decoders = 1,
                                  .decoder = &p->decoder,
                                  .slots = p->slots,
                                  .length = longest,
                                  .seed = p->seed,
                                  .n_eos = p->eos >= 0,
                                  .eos = &p->eos};
    p->sampler.options =
        (struct sample_options){.temperature = 1, .top_p = 1, .max_new = (int64_t)p->max_new};
    p->jobs = xmalloc(batch * sizeof *p->jobs);
    p->ids = xmalloc(batch * p->max_new * sizeof *p->ids);
    p->place = xmalloc(p->source.rows * sizeof *p->place);
    p->first = xmalloc((batch + 1) * sizeof *p->first);
    p->row_ids = xmalloc(longest * sizeof *p->row_ids);
    p->row_mask = xmalloc(longest);
    p->online = online_teachers_new(&p->teachers, &p->rule, &limits);
    if (!weighted(p)) return;
    limits.backward = false;
    p->net = net_new(p->student, &limits);
    p->logp = xmalloc(CHUNK_POSITIONS * p->student->config.vocab_used * sizeof *p->logp);
    p->info = xmalloc(CHUNK_POSITIONS * sizeof *p->info);
}

void on_policy_close(struct on_policy *p) {
    void *all[] = {p->jobs,     p->ids,  p->place, p->first,    p->row_ids,
                   p->row_mask, p->logp, p->info,  p->position, p->weight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    decoder_free(p->decoder);
    online_teachers_free(p->online);
    if (p->net) net_free(p->net);
    batch_release(&p->batch);
}

// ---- for the objective ----

void on_policy_teacher(void *self, const struct batch *b, size_t first, size_t count, float *logp,
                       struct teacher_position *info) {
    online_teachers_compose(((struct on_policy *)self)->online, b, first, count, logp, info);
}

void on_policy_watch(void *self, const struct batch *b, size_t first, size_t count,
                     const float *logits, const float *logp, const struct teacher_position *info,
                     struct policy_position *out) {
    struct on_policy *p = self;
    if (logp) {
        online_teachers_measure(p->online, b, first, count, logits, logp, info, out);
        return;
    }
    for (size_t k = 0; k < count; k++) { // measured by prepare, before the step
        size_t at = first + k;
        const struct response *r = &b->response[b->owner[at]];
        out[k] = p->position[p->first[r->row] + at - r->first];
    }
}

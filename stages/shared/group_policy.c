#include "stages/shared/group_policy.h"
#include "common/base/ranks.h"
#include "common/base/stats.h"
#include "common/base/stop.h"
#include "common/training/score.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void group_policy_rows(struct options *o, struct group_policy_options *p) {
    const struct opt_row rows[] = {
        {"group", OPT_INT, OPT_RESULT, &p->samples, .value = "8", .low = 2, .high = 4096,
         .metavar = "G", .help = "--reward-level group: responses to each prompt"},
        {"inner-steps", OPT_INT, OPT_RESULT, &p->inner_steps, .value = "1", .low = 1, .high = 1000,
         .metavar = "K", .help = "--reward-level group: steps on the same responses"},
        {"clip-ratio", OPT_REAL, OPT_RESULT, &p->clip, .value = "0.2", .low = 0, .high = 1,
         .metavar = "C",
         .help = "--reward-level group: a token's probability counts up to 1 + C times, down to "
                 "1 - C times, what it was when sampled"},
        {"group-kl", OPT_REAL, OPT_RESULT, &p->kl, .value = "0.04", .low = 0, .high = 1e6,
         .metavar = "X",
         .help = "--reward-level group: weight of the KL to --ref, or to the start model"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    scorer_rows(o, &p->scorer);
}

void group_policy_refuse(const struct options *o) {
    options_refuse(o, "group|inner-steps|clip-ratio|group-kl|reward-model|scorer|scorer-timeout",
                   "is for --reward-level group");
}

// ---- the rows ----

static size_t samples(const struct group_policy *p) {
    return (size_t)p->options->samples;
}

static size_t part_rows(void *self, size_t part) {
    return ((struct group_policy *)self)->prompts->part_rows[part];
}

static size_t measure(void *self, size_t row, struct step_totals *totals) {
    const struct group_policy *p = self;
    size_t G = samples(p), at = p->place ? p->place[row] : SIZE_MAX;
    size_t n = tokens_prompt_length(p->prompts, row), tokens = 0;
    for (size_t k = 0; k < G; k++) // of a plan: the most it can be
        tokens += at == SIZE_MAX ? p->max_new : p->jobs[at + k].count;
    totals->tokens += tokens;
    totals->responses += G;
    return n + tokens;
}

static bool add(void *self, struct batch *b, size_t row, struct fail *f) {
    struct group_policy *p = self;
    size_t G = samples(p), at = p->place[row], position = b->positions;
    const int32_t **response = xmalloc(G * sizeof *response);
    enum response_role *role = xcalloc(G, sizeof *role); // RESPONSE_ONLY
    size_t *n = xmalloc(G * sizeof *n);
    (void)f;
    for (size_t k = 0; k < G; k++) {
        response[k] = p->jobs[at + k].ids;
        n[k] = p->jobs[at + k].count;
    }
    size_t first = b->responses;
    batch_shared(b, p->jobs[at].prompt, p->jobs[at].n, G, response, n, role, row);
    for (size_t k = 0; k < G; k++) {
        b->response[first + k].row = at + k; // its job, for the record
        for (size_t t = 0; t < n[k]; t++, position++) {
            size_t i = (at + k) * p->max_new + t;
            b->weight[position] = (float)p->advantage[at + k];
            b->behaviour[position] = p->first ? NAN : p->behaviour[i];
            b->reference[position] = p->reference_logp[i];
        }
    }
    free(response);
    free(role);
    free(n);
    return true;
}

void group_policy_record(void *self, const struct batch *b, size_t position, double logp) {
    struct group_policy *p = self;
    const struct response *r = &b->response[b->owner[position]];
    if (p->first) p->behaviour[r->row * p->max_new + position - r->first] = (float)logp;
}

// ---- samples and their scores ----

static size_t measure_job(void *self, size_t i, struct step_totals *totals) {
    const struct group_policy *p = self;
    (void)totals;
    return p->jobs[i].n + p->jobs[i].count;
}

static bool add_job(void *self, struct batch *b, size_t i, struct fail *f) {
    const struct group_policy *p = self;
    const struct sample_job *j = &p->jobs[i];
    const int32_t *response = j->ids;
    (void)f;
    batch_shared(b, j->prompt, j->n, 1, &response, &j->count, (enum response_role[]){RESPONSE_ONLY},
                 i);
    return true;
}

// log p of all sampled tokens under a model: to (jobs, max_new), or NULL; sum (jobs), or NULL. Each
// rank runs a share.
static bool pass(struct group_policy *p, struct net *net, float *to, double *sum, struct fail *f) {
    struct source jobs = {.self = p, .measure = measure_job, .add = add_job};
    size_t i = ranks_share(p->n, ranks_self()), end = ranks_share(p->n, ranks_self() + 1);
    if (to) memset(to, 0, p->n * p->max_new * sizeof *to);
    if (sum) memset(sum, 0, p->n * sizeof *sum);
    while (i < end && !stop_requested()) {
        i = score_fill(&p->batch, &jobs, i, end, (size_t)p->train->micro_tokens, f);
        grow(&p->logp, &p->logp_capacity, p->batch.positions, sizeof *p->logp);
        score_positions(net, &p->batch, p->logp);
        for (size_t r = 0; r < p->batch.responses; r++) {
            const struct response *y = &p->batch.response[r];
            double total = 0;
            for (size_t t = 0; t < y->count; t++) {
                if (to) to[y->row * p->max_new + t] = (float)p->logp[y->first + t];
                total += p->logp[y->first + t];
            }
            if (sum) sum[y->row] = total;
        }
    }
    if (to) ranks_merge(to, p->n * p->max_new * sizeof *to);
    if (sum) ranks_merge(sum, p->n * sizeof *sum);
    return !ranks_or(stop_requested());
}

static bool sample_draw(struct group_policy *p, uint64_t draw, const size_t *rows, size_t n) {
    const struct tokens *t = p->prompts;
    size_t G = samples(p);
    for (size_t i = 0; i < p->source.rows; i++) p->place[i] = SIZE_MAX;
    p->n = n * G;
    for (size_t i = 0; i < p->n; i++) {
        size_t row = rows[i / G];
        p->place[row] = i / G * G;
        p->jobs[i] = (struct sample_job){.prompt = t->ids + t->first[row],
                                         .n = tokens_prompt_length(t, row),
                                         .row = draw * (uint64_t)p->train->batch_size + i / G,
                                         .sample = i % G,
                                         .ids = p->ids + i * p->max_new};
    }
    if (!sample_run_together(&p->sampler, p->jobs, p->n)) return false;
    for (size_t i = 0; i < p->n; i++) p->count[i] = p->jobs[i].count;
    return true;
}

// A command sees all texts, on rank 0.
static bool run_scorer(struct group_policy *p, struct fail *f) {
    bool alone = p->options->scorer.command != NULL;
    size_t first = alone ? 0 : ranks_share(p->n, ranks_self());
    size_t end = !alone ? ranks_share(p->n, ranks_self() + 1) : ranks_self() ? 0 : p->n;
    struct reward_text *text = xmalloc(p->n * sizeof *text);
    int32_t *to = p->text;
    for (size_t i = 0; i < p->n; i++) {
        const struct sample_job *j = &p->jobs[i];
        memcpy(to, j->prompt, j->n * sizeof *to);
        memcpy(to + j->n, j->ids, j->count * sizeof *to);
        text[i] = (struct reward_text){to, to + j->n, j->n, j->count};
        to += j->n + j->count;
    }
    memset(p->score, 0, p->n * sizeof *p->score);
    bool good =
        end == first || scorer_run(&p->options->scorer, text + first, end - first,
                                   (size_t)p->train->micro_tokens, NULL, p->score + first, f);
    free(text);
    if (good || stop_requested()) // else this rank ends all
        ranks_merge(p->score, p->n * sizeof *p->score);
    return good;
}

// b0 (log p_dpo - log p_ref) of whole responses
static bool implicit_reward(struct group_policy *p, struct fail *f) {
    double *reference = xmalloc(p->n * sizeof *reference);
    bool good = pass(p, p->reference_net, p->reference_logp, reference, f) &&
                pass(p, p->dpo_net, NULL, p->score, f);
    for (size_t i = 0; good && i < p->n; i++)
        p->score[i] = p->reward_beta * (p->score[i] - reference[i]);
    free(reference);
    return good;
}

static void standardise(struct group_policy *p) {
    struct group_numbers *n = &p->numbers;
    size_t G = samples(p), groups = p->n / G;
    *n = (struct group_numbers){0};
    for (size_t g = 0; g < groups; g++) {
        const double *score = p->score + g * G;
        double deviation = stats_deviation(score, G);
        group_advantages(score, G, p->advantage + g * G);
        n->deviation += deviation / (double)groups;
        n->idle += !(deviation > 0) / (double)groups;
    }
    for (size_t i = 0; i < p->n; i++) {
        n->score += p->score[i] / (double)p->n;
        n->length += (double)p->jobs[i].count / (double)p->n;
    }
}

static bool check_scores(const struct group_policy *p, struct fail *f) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->jobs[i].broken)
            return fail_set(f, EXIT_FAILED,
                            "the student's logits are not finite; it diverged, try "
                            "a lower --lr");
        if (!isfinite(p->score[i]))
            return fail_set(f, EXIT_FAILED,
                            "a response's score is not finite; is what scores sound?");
    }
    return true;
}

// Of a draw.
static size_t most_jobs(const struct group_policy *p) {
    return train_batch(p->train, p->source.rows) * samples(p);
}

static bool prepare(void *self, uint64_t step, const size_t *rows, size_t n, struct fail *f) {
    struct group_policy *p = self;
    uint64_t draw = step / (uint64_t)p->options->inner_steps;
    p->first = draw != p->draw;
    if (!p->first) return true;
    p->whole = false;
    // each rank records what it runs
    memset(p->behaviour, 0, most_jobs(p) * p->max_new * sizeof *p->behaviour);
    p->draw = UINT64_MAX; // these samples are no draw's until all are scored
    if (!sample_draw(p, draw, rows, n)) return false;
    bool good = p->dpo ? implicit_reward(p, f)
                       : pass(p, p->reference_net, p->reference_logp, NULL, f) && run_scorer(p, f);
    if (!good || !check_scores(p, f)) return false;
    standardise(p);
    p->draw = draw;
    return true;
}

// ---- checkpoints: the samples are kept, since the student that drew them is gone ----

struct field { // of a draw, by job
    void *at;
    size_t bytes;
};

// The arrays that later inner steps need. Returns how many.
static size_t fields_of(struct group_policy *p, struct field to[6]) {
    size_t each = p->n * p->max_new;
    const struct field all[] = {{p->ids, each * sizeof *p->ids},
                                {p->behaviour, each * sizeof *p->behaviour},
                                {p->reference_logp, each * sizeof *p->reference_logp},
                                {p->advantage, p->n * sizeof *p->advantage},
                                {&p->numbers, sizeof p->numbers},
                                {p->count, p->n * sizeof *p->count}};
    memcpy(to, all, sizeof all);
    return sizeof all / sizeof *all;
}

bool group_policy_after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct group_policy *p = self;
    (void)step, (void)end, (void)f;
    if (p->first) ranks_merge(p->behaviour, p->n * p->max_new * sizeof *p->behaviour);
    p->whole = true;
    return true;
}

void group_policy_keep(void *self, struct str *extra) {
    struct group_policy *p = self;
    uint64_t draw = p->whole ? p->draw : UINT64_MAX;
    struct field field[6];
    size_t n = fields_of(p, field);
    str_add(extra, &draw, sizeof draw);
    str_add(extra, &p->n, sizeof p->n);
    for (size_t i = 0; i < n && draw != UINT64_MAX; i++)
        str_add(extra, field[i].at, field[i].bytes);
    if (draw != UINT64_MAX) str_add(extra, p->place, p->source.rows * sizeof *p->place);
}

static bool restore_jobs(struct group_policy *p) {
    const struct tokens *t = p->prompts;
    for (size_t row = 0; row < p->source.rows; row++) {
        if (p->place[row] == SIZE_MAX) continue;
        if (p->place[row] % samples(p) || p->place[row] + samples(p) > p->n) return false;
        for (size_t k = 0; k < samples(p); k++) {
            size_t i = p->place[row] + k;
            if (!p->count[i] || p->count[i] > p->max_new) return false;
            p->jobs[i] = (struct sample_job){.prompt = t->ids + t->first[row],
                                             .n = tokens_prompt_length(t, row),
                                             .ids = p->ids + i * p->max_new,
                                             .count = p->count[i]};
        }
    }
    return true;
}

bool group_policy_restore(void *self, const struct str *extra) {
    struct group_policy *p = self;
    struct field field[6];
    size_t at = sizeof p->draw + sizeof p->n, most = most_jobs(p);
    if (extra->length < at) return false;
    memcpy(&p->draw, extra->text, sizeof p->draw);
    memcpy(&p->n, extra->text + sizeof p->draw, sizeof p->n);
    if (p->draw == UINT64_MAX) return extra->length == at;
    if (p->n > most) return false;
    size_t n = fields_of(p, field), whole = at + p->source.rows * sizeof *p->place;
    for (size_t i = 0; i < n; i++) whole += field[i].bytes;
    if (extra->length != whole) return false;
    for (size_t i = 0; i < n; at += field[i++].bytes)
        memcpy(field[i].at, extra->text + at, field[i].bytes);
    memcpy(p->place, extra->text + at, p->source.rows * sizeof *p->place);
    return p->whole = restore_jobs(p);
}

// ---- opening ----

bool group_policy_source(struct group_policy *p, struct source *s, struct fail *f) {
    const struct tokens *t = p->prompts;
    size_t most = p->student->config.max_positions, longest = tokens_longest_prompt(t, most, f);
    if (f->code) return false;
    if (p->max_new > most - longest) p->max_new = most - longest;
    *s = (struct source){.self = p,
                         .rows = t->rows,
                         .parts = t->parts,
                         .longest = longest + samples(p) * p->max_new,
                         .span = longest + p->max_new,
                         .part_rows = part_rows,
                         .prepare = prepare,
                         .measure = measure,
                         .add = add};
    p->source = *s;
    p->draw = UINT64_MAX;
    size_t jobs = most_jobs(p);
    if (jobs < p->slots) p->slots = jobs;
    return true;
}

static struct net_limits pass_limits(const struct group_policy *p) {
    size_t rows = (size_t)p->train->micro_tokens, span = p->source.span;
    if (rows > most_jobs(p) * span) rows = most_jobs(p) * span;
    if (rows < span) rows = span;
    return (struct net_limits){.rows = rows, .positions = rows + 1, .trees_tokens = span};
}

size_t group_policy_plan(const struct group_policy *p) {
    struct net_limits l = pass_limits(p);
    size_t jobs = most_jobs(p), each = jobs * p->max_new;
    size_t bytes = decoder_plan(p->student, p->slots, p->source.span) +
                   sample_plan(1, p->slots, p->student->config.vocab_used);
    bytes += model_bytes(p->reference) + net_plan(p->reference, &l);
    if (p->dpo) bytes += model_bytes(p->dpo) + net_plan(p->dpo, &l);
    bytes += scorer_plan(&p->options->scorer, p->source.span, (size_t)p->train->micro_tokens);
    bytes += each * (sizeof *p->ids + sizeof *p->behaviour + sizeof *p->reference_logp);
    return bytes + jobs * p->source.span * sizeof *p->text + p->source.rows * sizeof *p->place;
}

void group_policy_open(struct group_policy *p) {
    size_t jobs = most_jobs(p), each = jobs * p->max_new;
    struct net_limits l = pass_limits(p);
    p->decoder = decoder_new(p->student, p->slots, p->source.span);
    p->sampler = (struct sampler){.decoders = 1,
                                  .decoder = &p->decoder,
                                  .slots = p->slots,
                                  .length = p->source.span,
                                  .seed = p->seed,
                                  .n_eos = p->eos >= 0,
                                  .eos = &p->eos};
    p->sampler.options =
        (struct sample_options){.temperature = 1, .top_p = 1, .max_new = (int64_t)p->max_new};
    p->reference_net = net_new(p->reference, &l);
    if (p->dpo) p->dpo_net = net_new(p->dpo, &l);
    p->jobs = xcalloc(jobs, sizeof *p->jobs);
    p->place = xmalloc(p->source.rows * sizeof *p->place);
    p->ids = xcalloc(each, sizeof *p->ids);
    p->count = xcalloc(jobs, sizeof *p->count);
    p->behaviour = xcalloc(each, sizeof *p->behaviour);
    p->reference_logp = xcalloc(each, sizeof *p->reference_logp);
    p->advantage = xcalloc(jobs, sizeof *p->advantage);
    p->score = xcalloc(jobs, sizeof *p->score);
    p->text = xmalloc(jobs * p->source.span * sizeof *p->text);
    for (size_t i = 0; i < p->source.rows; i++) p->place[i] = SIZE_MAX;
}

void group_policy_close(struct group_policy *p) {
    void *all[] = {p->jobs,           p->count,     p->place, p->ids,  p->behaviour,
                   p->reference_logp, p->advantage, p->score, p->logp, p->text};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    decoder_free(p->decoder);
    if (p->reference_net) net_free(p->reference_net);
    if (p->dpo_net) net_free(p->dpo_net);
    batch_release(&p->batch);
}

#include "stages/shared/target_kl.h"
#include "common/base/path.h"
#include "common/method/divergence.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/training/score.h"
#include "common/method/teacher_sampler.h"
#include "common/base/stop.h"
#include "formats/store/artefact.h"
#include "formats/bytes/json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 32, MOST_TRIALS = 24 };
static const double close_enough = 0.01; // of K

void target_kl_rows(struct options *o, struct target_kl_options *t) {
    const struct opt_row rows[] = {
        {"target-kl", OPT_REAL, OPT_RESULT, &t->kl, .value = "0", .low = 0, .high = 1e9,
         .metavar = "K",
         .help = "choose the strength of --alpha so that p* is K nats per response from --ref, 0 = "
                 "do not"},
        {"target-rows", OPT_INT, OPT_RESULT, &t->rows, .value = "256", .low = 1, .high = 1e9,
         .metavar = "N", .help = "prompts on which --target-kl is measured"},
        {"max-new", OPT_INT, OPT_RESULT, &t->max_new, .value = "256", .low = 1, .high = 1e6,
         .metavar = "N", .help = "most tokens of a response sampled for --target-kl"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

// ---- the sampled responses as a source ----

struct trial {
    struct target_kl *t;
    size_t n, length; // responses; most tokens of a sequence
    struct sample_job *jobs;
    int32_t *ids, *row_ids;
    uint8_t *row_mask;
};

static size_t measure(void *self, size_t i, struct step_totals *totals) {
    const struct trial *r = self;
    (void)totals;
    return r->jobs[i].n + r->jobs[i].count;
}

static bool add(void *self, struct batch *b, size_t i, struct fail *f) {
    const struct trial *r = self;
    (void)f;
    size_t n = sample_job_row(&r->jobs[i], r->row_ids, r->row_mask);
    batch_sequence(b, r->row_ids, r->row_mask, n, i, RESPONSE_ONLY);
    return true;
}

// The prompts of the search: the first rows of a seeded order.
static void choose_prompts(struct trial *r) {
    const struct tokens *t = r->t->prompts;
    size_t *order = xmalloc(t->rows * sizeof *order), max_new = (size_t)r->t->options->max_new;
    rng_permute(r->t->seed, RNG_ORDER, UINT64_MAX, t->rows, order);
    for (size_t i = 0; i < r->n; i++)
        r->jobs[i] = (struct sample_job){.prompt = t->ids + t->first[order[i]],
                                         .n = tokens_prompt_length(t, order[i]),
                                         .row = i,
                                         .ids = r->ids + i * max_new};
    free(order);
}

// The most tokens of a sequence; 0, with f set, where the rows have no fit prompts.
static size_t sequence_length(const struct target_kl *t, struct fail *f) {
    size_t most = t->models.dpo->config.max_positions;
    if (t->prompts->kind == TOKENS_TEXT)
        fail_set(f, EXIT_BADDATA, "--target-kl needs prompts, and these are texts");
    size_t length = tokens_longest_prompt(t->prompts, most, f) + (size_t)t->options->max_new;
    if (f->code) return 0;
    return length < most ? length : most;
}

static size_t trial_rows(const struct target_kl *t) {
    size_t wanted = (size_t)t->options->rows;
    return wanted < t->prompts->rows ? wanted : t->prompts->rows;
}

static void open_trial(struct trial *r, struct target_kl *t) {
    struct fail f = {0}; // the search has looked at the prompts
    *r = (struct trial){.t = t, .n = trial_rows(t), .length = sequence_length(t, &f)};
    r->jobs = xmalloc(r->n * sizeof *r->jobs);
    r->ids = xmalloc(r->n * (size_t)t->options->max_new * sizeof *r->ids);
    r->row_ids = xmalloc(r->length * sizeof *r->row_ids);
    r->row_mask = xmalloc(r->length);
    choose_prompts(r);
}

static void close_trial(struct trial *r) {
    free(r->jobs);
    free(r->ids);
    free(r->row_ids);
    free(r->row_mask);
}

static bool sample(struct trial *r, const struct teacher_rule *rule) {
    const struct target_kl *t = r->t;
    struct teacher_sampler teachers;
    struct sampler s = {.seed = t->seed,
                        .n_eos = t->eos >= 0,
                        .eos = &t->eos,
                        .options = {.temperature = 1, .top_p = 1, .max_new = t->options->max_new}};
    teacher_sampler_init(&teachers, &t->models, rule);
    teacher_sampler_open(&teachers, SLOTS, r->length, &s);
    bool done = sample_run(&s, r->jobs, r->n);
    teacher_sampler_close(&teachers);
    return done;
}

// ---- their KL ----

struct sums {
    double *kl; // (responses)
    double alpha, positions;
};

struct kl_pass {
    struct online_teachers *online;
    size_t V;
    float *star, *ref; // (CHUNK_POSITIONS, V) log-probabilities
    struct teacher_position info[CHUNK_POSITIONS];
    double kl[CHUNK_POSITIONS];
};

static void kl_row(void *self, size_t i) {
    struct kl_pass *p = self; // log-probabilities are logits whose lse is 0
    p->kl[i] = divergence_kl(p->star + i * p->V, p->ref + i * p->V, p->V, 0);
}

// first: the number of the batch's first response
static void add_batch(struct kl_pass *p, const struct batch *b, size_t first, struct sums *s) {
    for (size_t k = 0; k < batch_chunks(b); k++) {
        struct chunk c = batch_chunk(b, k);
        online_teachers_compose(p->online, b, c.first, c.count, p->star, p->info);
        online_teachers_reference(p->online, b, c.first, c.count, p->ref);
        parallel_for(c.count, kl_row, p);
        for (size_t i = 0; i < c.count; i++) s->kl[first + b->owner[c.first + i]] += p->kl[i];
        for (size_t i = 0; i < c.count; i++) s->alpha += (double)p->info[i].alpha;
        s->positions += (double)c.count;
    }
}

static bool sum_kl(struct trial *r, const struct teacher_rule *rule, struct sums *s) {
    struct fail f = {0}; // samples in memory do not fail
    struct batch b = {0};
    struct source source = {.self = r,
                            .rows = r->n,
                            .longest = r->length,
                            .span = r->length,
                            .measure = measure,
                            .add = add};
    struct net_limits limits = score_limits(&source, r->t->micro_tokens);
    struct kl_pass *p = xcalloc(1, sizeof *p);
    p->V = r->t->models.dpo->config.vocab_used;
    p->online = online_teachers_new(&r->t->models, rule, &limits);
    p->star = xmalloc(CHUNK_POSITIONS * p->V * sizeof *p->star);
    p->ref = xmalloc(CHUNK_POSITIONS * p->V * sizeof *p->ref);
    for (size_t i = 0; i < r->n && !stop_requested();) {
        size_t first = i;
        i = score_fill(&b, &source, i, r->n, r->t->micro_tokens, &f);
        add_batch(p, &b, first, s);
    }
    online_teachers_free(p->online);
    free(p->star);
    free(p->ref);
    free(p);
    batch_release(&b);
    return !stop_requested();
}

size_t target_kl_plan(const struct target_kl *t, struct fail *f) {
    struct teacher_sampler teachers;
    size_t length = sequence_length(t, f);
    if (!length) return 0;
    size_t rows = 2 * CHUNK_POSITIONS * t->models.dpo->config.vocab_used;
    struct source source = {.rows = trial_rows(t), .longest = length, .span = length};
    struct net_limits limits = score_limits(&source, t->micro_tokens);
    teacher_sampler_init(&teachers, &t->models, &t->rule);
    size_t sampling = teacher_sampler_plan(&teachers, SLOTS, length);
    size_t measuring = online_teachers_plan(&t->models, &limits) + rows * sizeof(float);
    return sampling > measuring ? sampling : measuring;
}

bool target_kl_try(struct target_kl *t, double strength, struct target_kl_trial *out) {
    struct trial r;
    struct sums s = {0};
    struct teacher_rule rule = t->rule;
    rule.strength = strength;
    open_trial(&r, t);
    s.kl = xcalloc(r.n, sizeof *s.kl);
    bool done = sample(&r, &rule) && sum_kl(&r, &rule, &s);
    *out = (struct target_kl_trial){.strength = strength,
                                    .kl = stats_mean(s.kl, r.n),
                                    .error = r.n > 1 ? stats_standard_error(s.kl, r.n) : 0,
                                    .alpha = s.alpha / s.positions,
                                    .length = s.positions / (double)r.n};
    free(s.kl);
    close_trial(&r);
    return done;
}

// ---- the search ----

static double six_digits(double x) {
    char text[32];
    snprintf(text, sizeof text, "%.6g", x);
    return strtod(text, NULL);
}

struct search {
    struct target_kl *t;
    struct target_kl_trial low, high, best; // low, high: strength 0 where there is none yet
    int trials;
};

static double distance(const struct search *s, const struct target_kl_trial *x) {
    return fabs(log(x->kl / s->t->options->kl));
}

static void tell(const struct target_kl *t, const struct target_kl_trial *x) {
    log_note(t->log,
             "strength %-8g  KL %9.4f +- %.4f nats per response  mean alpha %7.4f  length %6.1f",
             x->strength, x->kl, x->error, x->alpha, x->length);
}

// The base without a teacher is as far away already: no strength, or one that holds it back by
// chance, would give K.
static bool beyond_base(struct target_kl *t, struct fail *f) {
    struct target_kl_trial x;
    if (!t->rule.base_dpo) return true; // it is the reference itself
    if (!target_kl_try(t, 0, &x))
        return fail_set(f, EXIT_STOPPED, "stopped while looking for the strength");
    tell(t, &x);
    if (t->options->kl > x.kl) return true;
    return fail_set(
        f, EXIT_FAILED,
        "--target-kl %g: the base, the DPO model, is %.4f +- %.4f nats per response from "
        "the reference by itself; take a larger K, or --base ref",
        t->options->kl, x.kl, x.error);
}

static bool attempt(struct search *s, double strength, struct fail *f) {
    struct target_kl_trial x;
    if (!target_kl_try(s->t, six_digits(strength), &x))
        return fail_set(f, EXIT_STOPPED, "stopped while looking for the strength");
    tell(s->t, &x);
    *(x.kl < s->t->options->kl ? &s->low : &s->high) = x;
    if (!s->trials++ || distance(s, &x) < distance(s, &s->best)) s->best = x;
    return true;
}

static bool bracket(struct search *s, struct fail *f) {
    double S = s->t->rule.strength > 0 ? s->t->rule.strength : 1, K = s->t->options->kl;
    if (!attempt(s, S, f)) return false;
    bool up = s->low.strength > 0;
    while (!(s->low.strength > 0 && s->high.strength > 0)) {
        if (distance(s, &s->best) < close_enough) return true;
        if (s->trials > MOST_TRIALS / 2)
            return fail_set(f, EXIT_FAILED,
                            "no strength gives a KL of %g nats: %g at strength %g; "
                            "%s",
                            K, s->best.kl, s->best.strength,
                            up ? "p* has no more to give, take another --plausible or --base"
                               : "that is the base's own, take --base ref or a larger K");
        S = up ? 2 * S : S / 2;
        if (!attempt(s, S, f)) return false;
    }
    return true;
}

bool target_kl_search(struct target_kl *t, struct target_kl_trial *best, struct fail *f) {
    struct search s = {.t = t};
    if (!sequence_length(t, f) || !beyond_base(t, f) || !bracket(&s, f)) return false;
    while (distance(&s, &s.best) >= close_enough && s.trials < MOST_TRIALS) {
        double middle = six_digits(sqrt(s.low.strength * s.high.strength));
        if (middle == s.low.strength || middle == s.high.strength) break;
        if (!attempt(&s, middle, f)) return false;
    }
    *best = s.best;
    return true;
}

double target_kl_recorded(const char *path, struct fail *f) {
    struct fail other = {0}; // than one of ours: nothing is recorded
    struct artefact a;
    if (!path_is_there(path, f)) return 0;
    if (!artefact_read(path, "teacher", &a, &other)) {
        if (other.code == EXIT_FAILED) fail_pass(f, &other);
        return 0;
    }
    struct json *j = json_parse(a.options, strlen(a.options), path, &other);
    double strength = choice_number(json_text(json_get(j, "alpha"), NULL));
    json_free(j);
    artefact_release(&a);
    return strength > 0 ? strength : 0;
}

#include "tests/bench/engine/bench.h"
#include "common/base/mem.h"
#include "common/engine/adapter.h"
#include "common/training/passes.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void step_gradient(const struct step_bench *s, struct batch *b) {
    struct objective *o = s->objective;
    optim_zero(s->optim, s->optim->grads);
    o->begin_step(o->self, &s->totals);
    passes_run(o, s->net, b, s->optim->grads);
    net_end_step(s->net, s->optim->grads);
    o->end_step(o->self, NULL);
}

static double update(const struct step_bench *s) {
    static const struct optim_options options = {.lr = 1e-4,
                                                 .min_lr = 0.1,
                                                 .beta1 = 0.9,
                                                 .beta2 = 0.95,
                                                 .epsilon = 1e-8,
                                                 .weight_decay = 0.1,
                                                 .clip = 1,
                                                 .schedule = "constant"};
    double start = bench_clock();
    optim_step(s->optim, &options, 10, 100);
    return bench_clock() - start;
}

static double whole_step(const struct step_bench *s, struct batch *b) {
    double start = bench_clock();
    step_gradient(s, b);
    update(s);
    return bench_clock() - start;
}

static double forward(const struct step_bench *s, struct batch *b) {
    double start = bench_clock();
    net_forward(s->net, b);
    for (size_t i = 0, n = batch_chunks(b); i < n; i++)
        net_logits(s->net, batch_chunk(b, i), net_logits_buffer(s->net));
    return bench_clock() - start;
}

static double replayed(struct replay *r, bool backward) {
    double start = bench_clock();
    replay_run(r, backward);
    return bench_clock() - start;
}

struct rounds {
    struct series replay_forward, replay, forward, step, recompute, update;
    struct series peak_replay, peak_step;            // what they take at the peak of multiply-adds
    struct series replay_bf16, peak_bf16, step_bf16; // the first two in bf16
    struct series adapter;                           // an adapter in place of the weights
};

// A step's FLOPs by the usual count: 6 a parameter and token.
static double step_flops(const struct model *m, double tokens) {
    return 6 * (double)model_count(m) * tokens;
}

struct variants { // of the step
    struct step_bench plain, again, low, bf16;
};

static void one_round(struct rounds *t, struct replay *r, const struct variants *v, struct batch *b,
                      size_t i) {
    const struct step_bench *s = &v->plain;
    double products = replay_flops(s->model, b, true);
    t->replay_forward.at[i] = replayed(r, false);
    t->forward.at[i] = forward(s, b);
    t->peak_replay.at[i] = products / bench_peak(false);
    t->replay.at[i] = replayed(r, true);
    t->peak_step.at[i] = step_flops(s->model, (double)b->n) / bench_peak(false);
    t->step.at[i] = whole_step(s, b);
    s->model->rounded = true;
    t->peak_bf16.at[i] = products / bench_peak(true);
    t->replay_bf16.at[i] = replayed(r, true);
    s->model->rounded = false;
    t->step_bf16.at[i] = whole_step(&v->bf16, b);
    t->adapter.at[i] = whole_step(&v->low, b);
    t->recompute.at[i] = whole_step(&v->again, b);
    t->update.at[i] = update(s);
}

static void add(struct report *r, const struct shape *s, const char *what, double tokens,
                const struct series *t, double ratio, const char *against) {
    char *name = xasprintf("%s: %s", s->name, what);
    report_add(r, name, tokens / series_median(t), "tokens/s", ratio, against, series_spread(t));
    free(name);
}

static void tell(struct report *r, const struct shape *s, const struct ceilings *c,
                 const struct step_bench *b, const struct rounds *t, double tokens) {
    add(r, s, "replay of the step's products", tokens, &t->replay,
        series_ratio(&t->peak_replay, &t->replay), "multiply-add peak (aim 0.8)");
    add(r, s, "forward with logits", tokens, &t->forward,
        series_ratio(&t->replay_forward, &t->forward), "its products alone");
    add(r, s, "sft step", tokens, &t->step, series_ratio(&t->peak_step, &t->step),
        "multiply-add peak, 6 N FLOPs a token");
    add(r, s, "sft step, beside its products", tokens, &t->step, series_ratio(&t->replay, &t->step),
        "its products alone (aim 0.85)");
    // without the CPU's instructions for it, bf16 is only slower
    double share = series_ratio(&t->peak_bf16, &t->replay_bf16);
    add(r, s, "replay of the step's products, bf16", tokens, &t->replay_bf16, share,
        "multiply-add peak of bf16");
    add(r, s, "sft step, bf16", tokens, &t->step_bf16, series_ratio(&t->step, &t->step_bf16),
        isnan(share) ? "speed of the float32 step" : "speed of the float32 step (aim 1.5)");
    add(r, s, "sft step, --recompute", tokens, &t->recompute, series_ratio(&t->recompute, &t->step),
        "time of the plain step (aim < 1.35)");
    add(r, s, "sft step of an adapter, rank 16", tokens, &t->adapter,
        series_ratio(&t->adapter, &t->step), "time of the plain step (aim < 0.75)");
    char *name = xasprintf("%s: optimiser step", s->name);
    // parameters and moments are read and written, gradients read twice
    double bytes = 32.0 * (double)b->model->n_params;
    report_add(r, name, 1e3 * series_median(&t->update), "ms",
               bytes / series_median(&t->update) / c->read, "memory read rate",
               series_spread(&t->update));
    free(name);
}

static struct net_limits limits_of(const struct shape *s, size_t rows, bool recompute) {
    return (struct net_limits){.rows = rows,
                               .positions = rows,
                               .trees_tokens = s->length,
                               .backward = true,
                               .recompute = recompute};
}

// The same weights with an adapter on all projections.
static struct model adapted(struct model *m) {
    struct model low;
    struct adapter_config c = {.rank = 16, .alpha = 32};
    char why[200];
    adapter_targets_all(&m->config, c.target);
    model_share(&low, m);
    if (!adapter_attach(&low, &c, why, sizeof why)) abort();
    adapter_randomise(&low, 1, false);
    return low;
}

static struct variants variants_new(struct model *m, const struct shape *s, const struct batch *b,
                                    struct objective *sft, struct model other[2]) {
    struct net_limits plain = limits_of(s, b->n, false), lean = limits_of(s, b->n, true);
    struct step_bench step = {
        m, net_new(m, &plain), sft, optim_new(m), {.rows = b->responses, .tokens = b->positions}};
    struct variants v = {step, step, step, step};
    v.again.net = net_new(m, &lean);
    other[0] = adapted(m);
    v.low.model = &other[0];
    v.low.net = net_new(&other[0], &plain);
    v.low.optim = optim_new(&other[0]);
    model_share(&other[1], m);
    other[1].rounded = true;
    v.bf16.model = &other[1];
    v.bf16.net = net_new(&other[1], &plain);
    return v;
}

static void variants_free(struct variants *v) {
    net_free(v->plain.net);
    net_free(v->again.net);
    net_free(v->low.net);
    net_free(v->bf16.net);
    optim_free(v->low.optim);
    optim_free(v->plain.optim);
    model_release(v->low.model);
    model_release(v->bf16.model);
}

void bench_steps(struct report *r, const struct shape *s, const struct ceilings *c) {
    struct model m, other[2];
    struct batch b = {0};
    struct rounds t = {0};
    shape_model(s, &m);
    shape_sequences(s, &b, s->tokens);
    struct objective sft = objective_sft_new(m.config.vocab_used);
    struct variants v = variants_new(&m, s, &b, &sft, other);
    struct replay *replay = replay_new(&m, &b);
    one_round(&t, replay, &v, &b, 0); // warms up
    struct others before = others_now();
    size_t rounds = s->only_steps && !bench_quick() ? 3 : bench_rounds();
    for (size_t i = 0; i < rounds; i++) one_round(&t, replay, &v, &b, i);
    t.replay_forward.n = t.replay.n = t.forward.n = t.step.n = t.recompute.n = rounds;
    t.adapter.n = t.update.n = t.peak_replay.n = t.peak_step.n = rounds;
    t.replay_bf16.n = t.peak_bf16.n = t.step_bf16.n = rounds;
    report_section(r, before);
    tell(r, s, c, &v.plain, &t, (double)b.n);
    replay_free(replay);
    variants_free(&v);
    objective_free(&sft);
    batch_release(&b);
    model_release(&m);
    const double ours[2] = {series_median(&t.step), series_median(&t.step_bf16)};
    if (s->only_steps || (bench_quick() && s->config.width > 500)) return;
    bench_blas(r, s, ours[0]);
    bench_torch(r, s, ours);
}

double bench_step_seconds(const char *shape) {
    struct shape s = shape_named(shape);
    struct model m;
    struct batch b = {0};
    shape_model(&s, &m);
    shape_sequences(&s, &b, s.tokens);
    struct net_limits limits = limits_of(&s, b.n, false);
    struct objective sft = objective_sft_new(m.config.vocab_used);
    struct step_bench step = {&m,
                              net_new(&m, &limits),
                              &sft,
                              optim_new(&m),
                              {.rows = b.responses, .tokens = b.positions}};
    double best = INFINITY;
    whole_step(&step, &b);
    for (int i = 0; i < 2; i++) best = fmin(best, whole_step(&step, &b));
    return best;
}

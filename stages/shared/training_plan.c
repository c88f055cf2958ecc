#include "stages/shared/training_plan.h"
#include "common/engine/adapter.h"
#include "common/engine/net.h"
#include "stages/shared/plan.h"
#include "stages/shared/training_outcome.h"
#include "stages/shared/training_ranks.h"
#include <string.h>

size_t training_plan_passes(struct training *t, const struct model *m) {
    struct net_limits limits = train_limits(t->train, &t->source);
    size_t passes = net_plan(m, &limits), last = training_outcome_plan(t, m);
    return passes > last ? passes : last;
}

// What rank 0 needs for its outcome beyond those.
static size_t outcome_excess(struct training *t, const struct model *m) {
    size_t passes = training_plan_passes(t, m);
    size_t last = training_outcome_plan(t, m) + training_outcome_start_bytes(t, m);
    return last > passes ? last - passes : 0;
}

// Weights, what is trained with its gradient and moments, and the passes.
static double training_bytes(struct training *t, const struct model *m) {
    const struct model *held[] = {m};
    return (double)(models_bytes(1, held) + training_plan_passes(t, m)) +
           12.0 * (double)model_trained(m).n;
}

// The memory of training the other way: by an adapter in place of all, or all in place of that.
static void tell_other_way(struct training *t, double memory) {
    enum { RANK = 16 };
    const struct model *m = &t->model->model;
    struct adapter_config c = {.rank = RANK, .alpha = 2 * RANK};
    bool half = !m->adapter && !strcmp(model_file_came_in(t->start), "bf16");
    struct model other;
    char why[200];
    if (!(half ? model_init_bf16 : model_init)(&other, &m->config, why, sizeof why))
        die(EXIT_FAILED, "%s", why);
    other.rounded = m->rounded;
    adapter_targets_all(&m->config, c.target);
    if (!m->adapter && !adapter_attach(&other, &c, why, sizeof why)) die(EXIT_FAILED, "%s", why);
    memory += training_bytes(t, &other) - training_bytes(t, m);
    if (m->adapter)
        log_note(t->log, "without --lora-rank, all trained: %.2f GiB", memory / (1 << 30));
    else
        log_note(t->log, "with --lora-rank %d%s: %.2f GiB", RANK,
                 half ? " on the model in bf16" : "", memory / (1 << 30));
    model_release(&other);
}

double training_plan_tokens(const struct source *s) {
    double sample = 0, tokens = 0;
    for (size_t i = 0; i < s->rows; i += 1 + s->rows / 1000, sample++) {
        struct step_totals totals = {0};
        tokens += (double)s->measure(s->self, i, &totals);
    }
    return sample > 0 ? tokens / sample * (double)s->rows : 0;
}

// A forward pass takes two operations for a weight and token, a backward pass as many for what it
// passes on, and again for the gradients of the weights, where these are trained.
static double seconds_planned(const struct training *t, uint64_t steps) {
    const struct train_options *o = t->train;
    uint64_t repeat = o->repeat ? o->repeat : 1;
    double rows = (double)(o->steps ? steps * train_batch(o, t->source.rows)
                                    : t->source.rows * (uint64_t)o->epochs * repeat);
    double passes = (t->model->model.adapter ? 2 : 3) + o->recompute + t->more_passes;
    double tokens = training_plan_tokens(&t->source) * rows / (double)t->source.rows;
    double work = 2 * (double)model_count(&t->model->model);
    return work * (passes * tokens + t->more_tokens) / plan_product_rate(t->model->model.rounded);
}

// Checkpoints, of which the former stays until the next one is whole; the output; snapshots.
static double disk_planned(const struct training *t, uint64_t steps) {
    uint64_t every = (uint64_t)t->train->snapshot_every;
    double models = 1 + (double)(every ? (steps - 1) / every : 0);
    return (2 * (12 + t->checkpoint_more) + 4 * models) * (double)model_trained(&t->model->model).n;
}

void training_plan_print(struct training *t) {
    const struct model *m = &t->model->model;
    const struct model *held[] = {m};
    double state = (double)models_bytes(1, held),
           arena = (double)(training_plan_passes(t, m) + t->objective->bytes +
                            train_order_bytes(t->train, &t->source) + t->more_bytes);
    uint64_t steps = train_steps(t->train, t->source.rows);
    double other = state + arena + (double)MEM_PROGRAM, more = (double)outcome_excess(t, m);
    struct plan plan = {.memory = other + more + training_ranks_memory(t, 0),
                        .disk = disk_planned(t, steps),
                        .seconds = seconds_planned(t, steps),
                        .output = t->output};
    if (t->read_fail) die_if(t->read_fail);
    print_result("parameters\t%zu", model_count(m));
    print_result("rows\t%zu", t->source.rows);
    print_result("steps\t%llu", (unsigned long long)steps);
    plan_print(t->log, &plan);
    if (t->train->lanes <= 1) tell_other_way(t, plan.memory);
    training_ranks_plan(t, other, more);
}

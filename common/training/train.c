#include "common/training/train.h"
#include "common/training/lanes.h"
#include "common/training/passes.h"
#include "common/base/clock.h"
#include "common/base/order.h"
#include "common/base/ranks.h"
#include "common/base/stop.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void describe_rate(struct train_options *t, enum rate_kind kind) {
    char own[RATE_HELP], reward[RATE_HELP];
    bool two = kind == RATE_DPO; // of a stage that trains both
    learning_rate_words(kind, own);
    learning_rate_words(RATE_REWARD, reward);
    snprintf(t->rate_help, sizeof t->rate_help,
             "peak learning rate; if not given, by the parameters of the model: %s%s%s; an "
             "adapter's is ten times that, %g at most",
             own, two ? "; with --loss reward " : "", two ? reward : "",
             learning_rate_default(kind, 0, true));
}

void train_options_rows(struct options *o, struct train_options *t, enum rate_kind kind,
                        const char *batch_size) {
    const struct opt_row rows[] = {
        {"batch-size", OPT_INT, OPT_RESULT, &t->batch_size, .value = batch_size, .low = 1,
         .high = 1e9, .metavar = "N", .help = "rows per step: sequences, or pairs"},
        {"epochs", OPT_INT, OPT_RESULT, &t->epochs, .value = "1", .low = 1, .high = 1e6,
         .metavar = "N", .help = "passes over the data"},
        {"steps", OPT_INT, OPT_RESULT, &t->steps, .value = "0", .low = 0, .high = 1e12,
         .metavar = "N", .help = "steps to train instead of --epochs, 0 = as --epochs says"},
        {"unit-tokens", OPT_INT, OPT_RESULT, &t->unit_tokens, .value = "2048", .low = 1,
         .high = 1e9, .metavar = "N",
         .help = "tokens that are summed as one unit; changes the last bits of the result"},
        {"shuffle-window", OPT_INT, OPT_RESULT, &t->window, .value = "8", .low = 1, .high = 1e9,
         .metavar = "N", .help = "shards whose rows are mixed with each other"},
        {"lanes", OPT_INT, OPT_RESULT, &t->lanes, .value = "1", .low = 1, .high = 65536,
         .metavar = "L", .late = true,
         .help = "groups of a step's rows that are summed apart, then added in pairs: under mpirun "
                 "or srun at least as many as ranks, which is then the default; changes the last "
                 "bits of the result"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    describe_rate(t, kind);
    optim_options_rows(o, &t->optim, t->rate_help);
    const struct opt_row exec[] = {
        {"micro-tokens", OPT_INT, OPT_EXEC, &t->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N",
         .help = "tokens computed at once; more need more memory and can be faster"},
        {"recompute", OPT_FLAG, OPT_EXEC, &t->recompute,
         .help = "save memory by computing the activations twice"},
        {"checkpoint-every", OPT_EVERY, OPT_EXEC, &t->checkpoint_every, .value = "10m",
         .metavar = "T",
         .help =
             "save a checkpoint, x.h5.ckpt of -o x.h5, every so many steps or after a time such "
             "as 10m"},
        {"stop-after", OPT_TIME, OPT_EXEC, &t->stop_after, .value = "0", .metavar = "T",
         .help = "save and exit 75 after a time such as 3h50m, 0 = never"},
        {"continue", OPT_FLAG, OPT_EXEC, &t->longer,
         .help = "go on with a stopped or finished run that had fewer --epochs: the learning rates "
                 "are those of the longer run from there on; the output records where"},
        {"snapshot-every", OPT_INT, OPT_EXEC, &t->snapshot_every, .value = "0", .low = 0,
         .high = 1e12, .metavar = "N",
         .help = "also save the model every N steps, as x.step-N.h5 of -o x.h5; 0 = never"},
        {"shard-optimizer", OPT_FLAG, OPT_EXEC, &t->shard_optimizer,
         .help = "several ranks: each holds the moments of its share of the weights only (ZeRO-1)"},
        {"ranks", OPT_INT, OPT_EXEC, &t->ranks, .value = "0", .low = 0, .high = 65536,
         .metavar = "N",
         .help = "--dry-run: plan for N ranks, 0 = those that there are; a run's come from its "
                 "launcher, "
                 "best one for each NUMA node: mpirun --map-by numa --bind-to numa, srun "
                 "--ntasks-per-node=2"},
    };
    options_add(o, exec, sizeof exec / sizeof *exec);
}

static size_t epoch_steps(const struct train_options *o, size_t rows) {
    return (rows + (size_t)o->batch_size - 1) / (size_t)o->batch_size;
}

static uint64_t repeats(const struct train_options *o) {
    return o->repeat ? o->repeat : 1;
}

size_t train_batch(const struct train_options *o, size_t rows) {
    return (size_t)o->batch_size < rows ? (size_t)o->batch_size : rows;
}

uint64_t train_steps(const struct train_options *o, size_t rows) {
    if (o->steps) return (uint64_t)o->steps;
    return (uint64_t)o->epochs * epoch_steps(o, rows) * repeats(o);
}

// The pass over the data, from 1, that step `step` (from 0) belongs to.
static uint64_t epoch_of(const struct train *t, uint64_t step) {
    return step / (epoch_steps(t->options, t->source->rows) * repeats(t->options)) + 1;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

struct net_limits train_limits(const struct train_options *o, const struct source *s) {
    size_t unit = larger((size_t)o->unit_tokens, s->longest), batch = train_batch(o, s->rows);
    // No step has more rows than its batch, however large the micro-batch may be.
    size_t most = batch * s->longest;
    size_t rows = larger((size_t)o->micro_tokens, unit);
    if (rows > most) rows = larger(most, s->longest);
    return (struct net_limits){.rows = rows,
                               .positions = rows + 2 * batch,
                               .trees_tokens = s->span,
                               .backward = true,
                               .recompute = o->recompute};
}

size_t train_order_bytes(const struct train_options *o, const struct source *s) {
    size_t window = (size_t)o->window < s->parts ? (size_t)o->window : s->parts;
    return s->rows * window / s->parts * sizeof(size_t);
}

struct loop { // the loop's own state
    struct train *t;
    struct net *net;
    struct lanes *lanes;
    struct net_limits limits;
    struct batch batch;
    struct order order;
    size_t n, *rows, *tokens; // of the current step
    uint64_t steps;
    double start, before; // seconds: when the run began; of the log that it continues
    uint64_t counted;     // tokens since
    double last_save;
    struct ranks_traffic traffic; // before the step
    struct fail *f;
};

static bool choose_rows(struct loop *l, uint64_t step, struct step_totals *totals) {
    struct train *t = l->t;
    struct source *s = t->source;
    size_t per_epoch = epoch_steps(t->options, s->rows), batch = (size_t)t->options->batch_size;
    uint64_t draw = step / repeats(t->options);
    size_t first = draw % per_epoch * batch;
    l->n = s->rows - first < batch ? s->rows - first : batch;
    for (size_t i = 0; i < l->n; i++)
        l->rows[i] = order_row(&l->order, draw / per_epoch, first + i);
    if (s->prepare && !s->prepare(s->self, step, l->rows, l->n, l->f)) return false;
    size_t n = 0;
    *totals = (struct step_totals){.step = step};
    for (size_t i = 0; i < l->n; i++) {
        l->rows[n] = l->rows[i];
        l->tokens[n] = s->measure(s->self, l->rows[n], totals);
        n += l->tokens[n] > 0;
    }
    l->n = totals->rows = n;
    return true;
}

// The unit that starts at row `at` of the step ends before the row returned, `last` at most;
// *tokens: its size.
static size_t unit_end(const struct loop *l, size_t at, size_t last, size_t *tokens) {
    size_t end = at + 1;
    *tokens = l->tokens[at];
    while (end < last && *tokens + l->tokens[end] <= (size_t)l->t->options->unit_tokens)
        *tokens += l->tokens[end++];
    return end;
}

// Fills the batch with whole units from row `at` of the step on; returns the next row.
static size_t fill_micro(struct loop *l, size_t at, size_t last) {
    struct source *s = l->t->source;
    size_t used = 0, tokens;
    batch_clear(&l->batch);
    while (at < last) {
        size_t end = unit_end(l, at, last, &tokens);
        if (used && used + tokens > (size_t)l->t->options->micro_tokens) break;
        batch_begin_unit(&l->batch);
        for (; at < end; at++)
            if (!s->add(s->self, &l->batch, l->rows[at], l->f)) return last;
        used += tokens;
    }
    batch_end(&l->batch);
    return at;
}

static bool broken(struct loop *l, uint64_t step, const char *what, double value) {
    size_t lowest = SIZE_MAX, highest = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->rows[i] < lowest) lowest = l->rows[i];
        highest = larger(highest, l->rows[i]);
    }
    return fail_set(l->f, EXIT_FAILED,
                    "the %s is %g at step %llu (%zu rows between %zu and %zu of the data); "
                    "the last checkpoint is kept, try a lower --lr",
                    what, isnan(value) ? (double)NAN : value, // never "-nan"
                    (unsigned long long)step + 1, l->n, lowest, highest);
}

// The gradient of one of this rank's lanes. False: stopped or failed.
static bool run_lane(struct loop *l, size_t i) {
    struct train *t = l->t;
    size_t at, end, before;
    lanes_range(l->lanes, i, &at, &end, &before);
    float *grads = lanes_begin(l->lanes);
    net_begin_rows(l->net, before);
    while (at < end) {
        at = fill_micro(l, at, end);
        if (l->f->code) return false;
        lanes_watch(l->lanes, l->net, at == end);
        if (!passes_run(t->objective, l->net, &l->batch, grads)) return false;
    }
    lanes_watch(l->lanes, l->net, false);
    net_end_step(l->net, grads);
    lanes_end(l->lanes);
    return true;
}

// The step's gradient, on every rank that needs it. False: failed here, or stopped anywhere.
static bool run_lanes(struct loop *l) {
    bool fine = true;
    lanes_cut(l->lanes, l->tokens, l->n);
    for (size_t i = 0; fine && i < lanes_own(l->lanes); i++) fine = run_lane(l, i);
    if (l->f->code) return false;
    if (fine || ranks_count() > 1) lanes_sum(l->lanes); // the others wait for what is ours
    return !ranks_or(!fine);
}

static void log_step(struct loop *l, uint64_t step, double norm, size_t tokens, double start) {
    struct train *t = l->t;
    struct ranks_traffic traffic = ranks_traffic();
    double now = clock_seconds();
    metrics_value(t->metrics, "grad_norm", norm);
    metrics_value(t->metrics, "lr", optim_rate(&t->options->optim, step, l->steps));
    metrics_value(t->metrics, "epoch", (double)epoch_of(t, step));
    metrics_value(t->metrics, "tokens", (double)tokens);
    metrics_value(t->metrics, "tokens_per_second", (double)tokens / (now - start));
    metrics_value(t->metrics, "seconds", round(1e3 * (l->before + now - l->start)) / 1e3);
    l->counted += tokens;
    if (ranks_count() == 1) return;
    metrics_extra(t->metrics, "bytes_sent", (double)(traffic.bytes - l->traffic.bytes));
    metrics_extra(t->metrics, "seconds_waited", traffic.seconds - l->traffic.seconds);
}

// False: stopped (f fine) or failed. True: the step is in the parameters.
static bool run_step(struct loop *l, uint64_t step) {
    struct train *t = l->t;
    struct step_totals totals;
    double start = clock_seconds();
    l->traffic = ranks_traffic();
    bool chosen = choose_rows(l, step, &totals);
    if (!chosen && l->f->code && !stop_requested()) return false;
    if (ranks_or(!chosen)) return false;
    if (!l->n) return true; // all of its rows are lost: nothing changes
    net_begin_step(l->net, t->seed, step);
    t->objective->begin_step(t->objective->self, &totals);
    if (!run_lanes(l)) return false;
    double loss = t->objective->end_step(t->objective->self, t->metrics);
    metrics_value(t->metrics, "loss", loss);
    if (!isfinite(loss)) return broken(l, step, "loss", loss);
    if (step == 0 && t->hooks.first_loss && !t->hooks.first_loss(t->hooks.self, loss, l->f))
        return false;
    double norm = optim_step(t->optim, &t->options->optim, step, l->steps);
    if (!isfinite(norm)) return broken(l, step, "gradient's norm", norm);
    if (t->optim->sharded) exchange_spread(t->exchange, t->optim->trained.values);
    log_step(l, step, norm, totals.tokens, start);
    return true;
}

static void add_number(const struct loop *l, const char *metric, const char *format, double scale,
                       struct str *s) {
    double x = metrics_get(l->t->metrics, metric);
    if (!isnan(x)) str_printf(s, format, scale * x);
}

// What the progress line says of the step that ended.
static void show(struct loop *l, uint64_t step) {
    struct train *t = l->t;
    struct str s = {0};
    double elapsed = clock_seconds() - l->start;
    str_printf(&s, "epoch %llu", (unsigned long long)epoch_of(t, step - 1));
    if (!t->options->steps) str_printf(&s, "/%lld", (long long)t->options->epochs);
    add_number(l, "loss", ", loss %.4f", 1, &s);
    add_number(l, "reward_accuracy", ", accuracy %.0f%%", 100, &s);
    add_number(l, "kl", ", KL %.3g", 1, &s); // to p*
    add_number(l, "score", ", score %.3g", 1, &s);
    if (elapsed > 0) str_printf(&s, ", %.3g tokens/s", (double)l->counted / elapsed);
    log_progress(t->log, "step", step, l->steps, s.text);
    str_release(&s);
}

// What follows a step that is in the parameters, whatever happens: `step` are done.
static bool end_step(struct loop *l, uint64_t step, bool *end) {
    struct train *t = l->t;
    if (t->hooks.after_step && !t->hooks.after_step(t->hooks.self, step, end, l->f)) return false;
    show(l, step);
    if (l->n) metrics_row(t->metrics, step);
    return true;
}

static bool save(struct loop *l, uint64_t step) {
    metrics_sync(l->t->metrics);
    l->last_save = clock_seconds();
    return l->t->hooks.save(l->t->hooks.self, step, l->f);
}

static bool due(const struct loop *l, uint64_t step) {
    const struct opt_every *e = &l->t->options->checkpoint_every;
    if (e->steps) return step % (uint64_t)e->steps == 0;
    return e->seconds > 0 &&
           ranks_or(!ranks_self() && clock_seconds() - l->last_save >= e->seconds);
}

static int run(struct loop *l) {
    struct train *t = l->t;
    bool end = false;
    uint64_t step = t->step;
    while (step < l->steps && !end) {
        bool done = !ranks_or(stop_requested()) && run_step(l, step);
        if (!done && stop_requested()) *l->f = (struct fail){0}; // a pipe closed by the same signal
        if (l->f->code) return l->f->code;
        if (!done) return save(l, step) ? EXIT_STOPPED : l->f->code;
        if (!end_step(l, ++step, &end)) return l->f->code;
        uint64_t every = (uint64_t)t->options->snapshot_every;
        if (every && step % every == 0 && !t->hooks.snapshot(t->hooks.self, step, l->f))
            return l->f->code;
        if (step < l->steps && !end && due(l, step) && !save(l, step)) return l->f->code;
    }
    return EXIT_DONE;
}

int train_run(struct train *t, struct fail *f) {
    struct source *s = t->source;
    struct loop l = {.t = t,
                     .limits = train_limits(t->options, s),
                     .f = f,
                     .start = clock_seconds(),
                     .before = metrics_resumed(t->metrics, "seconds"),
                     .last_save = clock_seconds(),
                     .steps = train_steps(t->options, s->rows)};
    l.net = net_new(t->model, &l.limits);
    l.lanes = lanes_new(t->optim, t->exchange, t->options->lanes ? (size_t)t->options->lanes : 1);
    size_t batch = train_batch(t->options, s->rows);
    l.rows = xmalloc(batch * sizeof *l.rows);
    l.tokens = xmalloc(batch * sizeof *l.tokens);
    order_init(&l.order, t->seed, s->rows, s->parts, (size_t)t->options->window, s->part_rows,
               s->self);
    int code = run(&l);
    log_drop_progress(t->log);
    order_release(&l.order);
    batch_release(&l.batch);
    lanes_free(l.lanes);
    net_free(l.net);
    free(l.rows);
    free(l.tokens);
    return code;
}

#include "stages/shared/training.h"
#include "common/base/outputs.h"
#include "common/base/path.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"
#include "common/base/ranks.h"
#include "common/base/stop.h"
#include "common/base/jsonout.h"
#include "formats/models/checkpoint.h"
#include "stages/shared/training_outcome.h"
#include "stages/shared/training_continue.h"
#include "stages/shared/training_plan.h"
#include "stages/shared/training_ranks.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool first_rank(void) {
    return ranks_self() == 0;
}

void training_begin(struct training *t) {
    if (first_rank()) metrics_check(t->common->log);
    training_ranks_lanes(t);
    parallel_init((int)t->common->threads);
    kernels_choose(t->common->kernels);
    stop_init(t->train->stop_after);
    t->log = first_rank() ? log_open(t->common->progress, t->common->quiet, t->common->verbose)
                          : log_open("never", true, false);
    training_options(t);
    t->checkpoint_path = xasprintf("%s.ckpt", t->output);
    t->lineage.kind = "model";
    t->lineage.stage = t->stage;
    t->lineage.version = 1;
}

void training_add_hook(struct training *t, struct training_hook hook) {
    assert(t->n_hooks < TRAINING_HOOKS);
    t->hook[t->n_hooks++] = hook;
}

void training_options(struct training *t) {
    free(t->options_json);
    char *json = options_json(t->options);
    if (t->continued) { // one more member
        char *all =
            xasprintf("%.*s,\"continued\":\"%s\"}", (int)strlen(json) - 1, json, t->continued);
        free(json);
        json = all;
    }
    t->lineage.options = t->options_json = json;
}

void training_about(struct training *t, const char *name, const char *text) {
    str_printf(&t->about, ",\"%s\":", name);
    jsonout_text(&t->about, text);
}

void training_rate(struct training *t, struct train_options *o, enum rate_kind kind,
                   const struct model *m, bool adapter) {
    char count[16];
    if (options_given(t->options, "lr")) return;
    o->optim.lr = learning_rate_default(kind, model_count(m), adapter);
    learning_rate_count(model_count(m), count);
    t->rate_note = xasprintf("lr %g, the default for %s%s parameters", o->optim.lr,
                             adapter ? "an adapter on " : "", count);
    training_options(t);
}

static struct lineage whole_lineage(const struct training *t) {
    struct lineage l = t->lineage;
    const struct parents *known[] = {&t->lineage.parents, &t->rest};
    l.parents = (struct parents){0};
    for (size_t k = 0; k < 2; k++) parents_add_all(&l.parents, known[k]);
    return l;
}

bool training_current(struct training *t) {
    training_continue(t);
    struct fail f = {0};
    if (t->common->force || t->common->dry_run) return false;
    training_ranks_agree(t);
    struct lineage whole = whole_lineage(t);
    bool there = first_rank() && artefact_is_current(t->output, &whole, t->common->no_clobber, &f);
    die_if(&f);
    parents_release(&whole.parents);
    if (!ranks_or(there)) return false;
    if (first_rank()) checkpoint_sweep(t->checkpoint_path, &t->lineage);
    log_note(t->log, "'%s' is up to date: made with the same options and inputs", t->output);
    print_result("%s", t->output);
    return true;
}

static bool may_be_current(const struct training *t) {
    struct fail f = {0};
    struct artefact a;
    if (t->common->force || t->common->dry_run) return false;
    bool there = path_is_there(t->output, &f);
    die_if(&f);
    if (!there) return false;
    bool same = artefact_read(t->output, NULL, &a, &f);
    if (same) {
        if (a.parents.n > t->lineage.parents.n) a.parents.n = t->lineage.parents.n;
        char *found = artefact_lineage(&a), *wanted = lineage_text(t->lineage.kind, &t->lineage);
        same = !strcmp(found, wanted);
        free(found);
        free(wanted);
        artefact_release(&a);
    }
    if (!same && t->common->no_clobber)
        die(EXIT_FAILED, "'%s' exists and --no-clobber was given", t->output);
    return same;
}

bool training_may_be_current(const struct training *t) {
    return ranks_or(first_rank() && may_be_current(t));
}

// ---- hooks ----

static void quiet(struct training *t, bool on) {
    if (t->source.quiet) t->source.quiet(t->source.self, on);
}

// Each hook's state behind its length.
static void keep_states(const struct training *t, struct str *to) {
    for (size_t i = 0; i < t->n_hooks; i++) {
        struct str own = {0};
        if (!t->hook[i].keep) continue;
        t->hook[i].keep(t->hook[i].self, &own);
        str_printf(to, "%zu\n", own.length);
        str_add(to, own.text ? own.text : "", own.length);
        str_release(&own);
    }
}

static bool restore_states(const struct training *t, const struct str *from) {
    size_t at = 0;
    for (size_t i = 0; i < t->n_hooks; i++) {
        if (!t->hook[i].restore) continue;
        char *text = from->length > at ? from->text + at : NULL, *end = NULL;
        unsigned long long n = text ? strtoull(text, &end, 10) : 0;
        if (!text || end == text || *end != '\n' ||
            n > from->length - (size_t)(end + 1 - from->text))
            return false;
        struct str own = {.length = (size_t)n, .text = end + 1}; // its NUL: the next one's digits
        char kept = own.text[n];
        own.text[n] = 0;
        bool fine = t->hook[i].restore(t->hook[i].self, &own);
        own.text[n] = kept;
        if (!fine) return false;
        at = (size_t)(end + 1 - from->text) + (size_t)n;
    }
    return at == from->length;
}

static void collect_moment(void *self, int moment, float *whole) {
    struct training *t = self;
    exchange_collect(t->exchange, moment ? t->optim->v : t->optim->m, whole);
}

static void keep_moment(void *self, int moment, const float *whole) {
    struct training *t = self;
    exchange_keep(t->exchange, moment ? t->optim->v : t->optim->m, whole);
}

// Between steps the gradients' buffer is free for moments that no rank holds whole.
static struct checkpoint checkpoint_of(struct training *t) {
    struct optim *o = t->optim;
    return (struct checkpoint){.n_params = o->trained.n,
                               .params = o->trained.values,
                               .m = o->m,
                               .v = o->v,
                               .whole = o->sharded ? o->grads : NULL,
                               .collect = collect_moment,
                               .keep = keep_moment,
                               .self = t};
}

static bool save_checkpoint(void *self, uint64_t step, struct fail *f) {
    struct training *t = self;
    struct checkpoint c = checkpoint_of(t);
    c.step = step;
    for (int i = 0; i < 4 && t->optim->sharded && !first_rank(); i++)
        collect_moment(t, i % 2, t->optim->grads);
    if (!first_rank()) return true;
    snprintf(c.kernels, sizeof c.kernels, "%s", kernels()->name);
    keep_states(t, &c.extra);
    quiet(t, true);
    bool ok = checkpoint_save(t->checkpoint_path, &t->lineage, &c, f);
    quiet(t, false);
    str_release(&c.extra);
    return ok;
}

static bool save_model(struct training *t, const char *path, const struct lineage *l,
                       struct fail *f) {
    if (!first_rank()) return true;
    t->model->reward_beta = t->reward_beta;
    t->model->reversed = t->reversed;
    quiet(t, true);
    bool ok = t->model->model.adapter ? adapter_file_save(path, t->model, t->model->content, l, f)
                                      : model_file_save(path, t->model, l, f);
    quiet(t, false);
    return ok;
}

static bool finish(struct training *t, struct fail *f) {
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hook[i].finish && !t->hook[i].finish(t->hook[i].self, &t->rest, f)) return false;
    return true;
}

static bool save_result(struct training *t, struct fail *f) {
    struct lineage whole = whole_lineage(t);
    bool ok = save_model(t, t->output, &whole, f);
    parents_release(&whole.parents);
    return ok;
}

static char *snapshot_path(const struct training *t, uint64_t step) {
    size_t n = strlen(t->output);
    if (n > 3 && !strcmp(t->output + n - 3, ".h5")) n -= 3;
    return xasprintf("%.*s.step-%llu.h5", (int)n, t->output, (unsigned long long)step);
}

// With --no-clobber one that a stopped run of the same kind made stays.
static bool save_snapshot(void *self, uint64_t step, struct fail *f) {
    struct training *t = self;
    char *path = snapshot_path(t, step);
    bool there = t->common->no_clobber && artefact_is_current(path, &t->lineage, true, f);
    bool ok = there || save_model(t, path, &t->lineage, f);
    free(path);
    return ok;
}

static void check_snapshots(const struct training *t, uint64_t steps, struct fail *f) {
    uint64_t every = (uint64_t)t->train->snapshot_every;
    for (uint64_t step = every; every && step <= steps && !f->code; step += every) {
        char *path = snapshot_path(t, step);
        outputs_may_renew(path, f);
        free(path);
    }
}

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct training *t = self;
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hook[i].after_step && !t->hook[i].after_step(t->hook[i].self, step, end, f))
            return false;
    return true;
}

static bool first_loss(void *self, double loss, struct fail *f) {
    struct training *t = self;
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hook[i].first_loss && !t->hook[i].first_loss(t->hook[i].self, loss, f)) return false;
    return true;
}

// ---- the run ----

static void resume(struct training *t, uint64_t *step) {
    struct fail f = {0};
    bool found = false;
    struct checkpoint c = checkpoint_of(t);
    if (t->common->force) {
        if (first_rank()) unlink(t->checkpoint_path);
        return;
    }
    quiet(t, true);
    struct lineage from = t->lineage;
    if (t->continue_options) from.options = t->continue_options;
    checkpoint_load(t->checkpoint_path, &from, &c, &found, &f);
    quiet(t, false);
    die_if(&f);
    training_ranks_resume(t, found ? c.step : UINT64_MAX);
    if (!found && training_continue_output(t, step)) return;
    if (!found) return;
    *step = c.step;
    if (!restore_states(t, &c.extra))
        die(EXIT_BADDATA, "'%s' is damaged; remove it to start again", t->checkpoint_path);
    log_note(t->log, "continuing from '%s' at step %llu", t->checkpoint_path,
             (unsigned long long)c.step);
    if (!kernels_same_bits(c.kernels, t->model->model.rounded))
        warn("the checkpoint was made with the kernel level '%s', this run has '%s': the last bits "
             "may differ",
             c.kernels, kernels()->name);
    str_release(&c.extra);
}

// What goes wrong behind the last step does not cost it.
static void keep_last_step(struct training *t) {
    struct fail f = {0};
    save_checkpoint(t, train_steps(t->train, t->source.rows), &f);
    die_if(&f);
}

// A stop while the last parents are waited for keeps the last step, after which none is left.
static int stop_waiting(struct training *t, const struct fail *why) {
    keep_last_step(t);
    if (ranks_count() == 1) die_if(why);
    log_note(t->log, "stopped while the last inputs were waited for; run the same command again");
    return EXIT_STOPPED;
}

static int train_and_save(struct training *t, struct training_outcome *outcome) {
    struct fail f = {0};
    struct train run = {.model = &t->model->model,
                        .optim = t->optim,
                        .exchange = t->exchange,
                        .objective = t->objective,
                        .source = &t->source,
                        .options = t->train,
                        .seed = (uint64_t)t->common->seed,
                        .log = t->log};
    resume(t, &run.step);
    training_continue_tell(t, run.step, train_steps(t->train, t->source.rows));
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hook[i].begin) t->hook[i].begin(t->hook[i].self);
    run.hooks = (struct train_hooks){.self = t,
                                     .save = save_checkpoint,
                                     .snapshot = save_snapshot,
                                     .after_step = after_step,
                                     .first_loss = first_loss};
    run.metrics = t->metrics = metrics_open(first_rank() ? t->common->log : NULL, run.step);
    int code = train_run(&run, &f);
    metrics_close(run.metrics);
    if (code == EXIT_STOPPED)
        log_note(t->log, "stopped; the state is in '%s': run the same command again to continue",
                 t->checkpoint_path);
    die_if(&f);
    if (code) return code;
    finish(t, &f);
    if (f.code && f.code != EXIT_STOPPED) {
        if (ranks_count() == 1) keep_last_step(t); // of several, the others do not know
        die_if(&f);
    }
    if (ranks_or(f.code == EXIT_STOPPED)) return stop_waiting(t, &f);
    save_result(t, &f);
    die_if(&f);
    if (first_rank()) unlink(t->checkpoint_path);
    training_outcome_tell(outcome);
    print_result("%s", t->output);
    return EXIT_DONE;
}

int training_run(struct training *t) {
    struct fail f = {0};
    if (t->rate_note) log_note(t->log, "%s", t->rate_note);
    if (t->common->dry_run) {
        training_plan_print(t);
        return EXIT_DONE;
    }
    training_continue(t); // of a stream
    training_ranks_agree(t);
    if (first_rank()) {
        checkpoint_sweep_finished(t->checkpoint_path, t->output);
        whole_file_prepare(t->output, &f);
        // also sweeps what a run killed while saving left
        whole_file_prepare_state(t->checkpoint_path, &f);
        check_snapshots(t, train_steps(t->train, t->source.rows), &f);
    }
    die_if(&f);
    ranks_or(0); // nobody reads before
    bool sharded = t->train->shard_optimizer && ranks_count() > 1;
    t->optim = (sharded ? optim_new_sharded : optim_new)(&t->model->model);
    t->exchange = exchange_new(t->optim);
    struct training_outcome outcome;
    training_outcome_start(&outcome, t);
    int code = train_and_save(t, &outcome);
    training_ranks_sum_up(t);
    exchange_free(t->exchange);
    optim_free(t->optim);
    t->lineage.record = NULL;
    training_outcome_close(&outcome);
    finish_stdout();
    return code;
}

void training_end(struct training *t) {
    parents_release(&t->lineage.parents);
    parents_release(&t->rest);
    log_close(t->log);
    free(t->options_json);
    free(t->rate_note);
    free(t->continued);
    free(t->continue_options);
    str_release(&t->about);
    free(t->checkpoint_path);
}

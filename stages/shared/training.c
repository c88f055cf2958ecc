#include "stages/shared/training.h"
#include "common/base/clock.h"
#include "common/engine/kernels.h"
#include "common/base/parallel.h"
#include "common/base/stop.h"
#include "formats/models/checkpoint.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void training_begin(struct training *t) {
    metrics_check(t->common->log);
    parallel_init((int)t->common->threads);
    kernels_choose(t->common->kernels);
    stop_init(t->train->stop_after);
    t->log = log_open(t->common->progress, t->common->quiet, t->common->verbose);
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
    t->lineage.options = t->options_json = options_json(t->options);
}

static struct lineage whole_lineage(const struct training *t) {
    struct lineage l = t->lineage;
    const struct parents *known[] = {&t->lineage.parents, &t->rest};
    l.parents = (struct parents){0};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < known[k]->n; i++)
            parents_add(&l.parents, known[k]->items[i].kind, known[k]->items[i].hash);
    return l;
}

bool training_current(struct training *t) {
    struct fail f = {0};
    if (t->common->force || t->common->dry_run) return false;
    struct lineage whole = whole_lineage(t);
    bool there = artefact_is_current(t->output, &whole, t->common->no_clobber, &f);
    die_if(&f);
    parents_release(&whole.parents);
    if (!there) return false;
    checkpoint_sweep(t->checkpoint_path, &t->lineage);
    log_note(t->log, "'%s' is up to date: made with the same options and inputs", t->output);
    print_result("%s", t->output);
    return true;
}

bool training_may_be_current(const struct training *t) {
    struct fail f = {0};
    struct artefact a;
    if (t->common->force || t->common->dry_run || access(t->output, F_OK)) return false;
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

static bool save_checkpoint(void *self, uint64_t step, struct fail *f) {
    struct training *t = self;
    struct checkpoint c = {.step = step,
                           .n_params = t->optim->trained.n,
                           .params = t->optim->trained.values,
                           .m = t->optim->m,
                           .v = t->optim->v};
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
    t->model->reward_beta = t->reward_beta;
    t->model->reversed = t->reversed;
    quiet(t, true);
    bool ok = t->model->model.adapter ? adapter_file_save(path, t->model, t->model->content, l, f)
                                      : model_file_save(path, t->model, l, f);
    quiet(t, false);
    return ok;
}

static bool save_result(struct training *t, struct fail *f) {
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hook[i].finish && !t->hook[i].finish(t->hook[i].self, &t->rest, f)) return false;
    struct lineage whole = whole_lineage(t);
    bool ok = save_model(t, t->output, &whole, f);
    parents_release(&whole.parents);
    return ok;
}

static bool save_snapshot(void *self, uint64_t step, struct fail *f) {
    struct training *t = self;
    size_t n = strlen(t->output);
    if (n > 3 && !strcmp(t->output + n - 3, ".h5")) n -= 3;
    char *path = xasprintf("%.*s.step-%llu.h5", (int)n, t->output, (unsigned long long)step);
    bool ok = save_model(t, path, &t->lineage, f);
    free(path);
    return ok;
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

// ---- the dry run ----

static double product_rate(void) { // FLOP/s of a short run of products
    enum { N = 512 };
    float *a = xcalloc(3 * N * N, sizeof *a);
    size_t rows[2] = {0, N};
    struct rowplan p = {.units = 1, .first = rows};
    double start = clock_seconds(), done = 0;
    while (clock_seconds() - start < 0.1) {
        gemm_forward(&p, a + 2 * N * N, N, a, N, (struct weights){.f32 = a + N * N}, N, N, false);
        done += 2.0 * N * N * N;
    }
    double rate = done / (clock_seconds() - start);
    free(a);
    return rate;
}

static void print_plan(struct training *t) {
    const struct model *m = &t->model->model;
    struct net_limits limits = train_limits(t->train, &t->source);
    const struct model *held[] = {m};
    size_t trained = model_trained(m).n;
    double state = (double)models_bytes(1, held) + 12.0 * (double)trained,
           arena = (double)(net_plan(m, &limits) + train_order_bytes(t->train, &t->source) +
                            t->more_bytes);
    uint64_t steps = train_steps(t->train, t->source.rows);
    double rows = (double)(t->train->steps ? steps * (uint64_t)t->train->batch_size
                                           : t->source.rows * (uint64_t)t->train->epochs);
    double sample = 0, tokens = 0;
    for (size_t i = 0; i < t->source.rows; i += 1 + t->source.rows / 1000, sample++) {
        struct step_totals totals = {0};
        tokens += (double)t->source.measure(t->source.self, i, &totals);
    }
    if (t->read_fail) die_if(t->read_fail);
    tokens *= rows / (sample > 0 ? sample : 1);
    print_result("parameters\t%zu", model_count(m));
    print_result("rows\t%zu", t->source.rows);
    print_result("steps\t%llu", (unsigned long long)steps);
    print_result("memory_bytes\t%.0f", state + arena + (double)MEM_PROGRAM);
    print_result("disk_bytes\t%.0f", 16.0 * (double)trained);
    print_result("estimated_seconds\t%.0f", 6 * (double)model_count(m) * tokens / product_rate());
}

// ---- the run ----

static void resume(struct training *t, uint64_t *step) {
    struct fail f = {0};
    bool found = false;
    struct checkpoint c = {.n_params = t->optim->trained.n,
                           .params = t->optim->trained.values,
                           .m = t->optim->m,
                           .v = t->optim->v};
    if (t->common->force) {
        unlink(t->checkpoint_path);
        return;
    }
    quiet(t, true);
    checkpoint_load(t->checkpoint_path, &t->lineage, &c, &found, &f);
    quiet(t, false);
    die_if(&f);
    if (!found) return;
    *step = c.step;
    if (!restore_states(t, &c.extra))
        die(EXIT_BADDATA, "'%s' is damaged; remove it to start again", t->checkpoint_path);
    log_note(t->log, "continuing from '%s' at step %llu", t->checkpoint_path,
             (unsigned long long)c.step);
    if (strcmp(c.kernels, kernels()->name))
        warn("the checkpoint was made with the kernel level '%s', this run has '%s': the last bits "
             "may differ",
             c.kernels, kernels()->name);
    str_release(&c.extra);
}

static int train_and_save(struct training *t) {
    struct fail f = {0};
    struct train run = {.model = &t->model->model,
                        .optim = t->optim,
                        .objective = t->objective,
                        .source = &t->source,
                        .options = t->train,
                        .seed = (uint64_t)t->common->seed,
                        .log = t->log};
    resume(t, &run.step);
    for (size_t i = 0; i < t->n_hooks; i++)
        if (t->hook[i].begin) t->hook[i].begin(t->hook[i].self);
    run.hooks = (struct train_hooks){.self = t,
                                     .save = save_checkpoint,
                                     .snapshot = save_snapshot,
                                     .after_step = after_step,
                                     .first_loss = first_loss};
    run.metrics = t->metrics = metrics_open(t->common->log, run.step);
    int code = train_run(&run, &f);
    metrics_close(run.metrics);
    if (code == EXIT_STOPPED)
        log_note(t->log, "stopped; the state is in '%s': run the same command again to continue",
                 t->checkpoint_path);
    die_if(&f);
    if (code) return code;
    // A stop while the last parents are waited for keeps the last step, after which none is left.
    if (!save_result(t, &f) && f.code == EXIT_STOPPED) {
        struct fail g = {0};
        save_checkpoint(t, train_steps(t->train, t->source.rows), &g);
        die_if(&g);
    }
    die_if(&f);
    unlink(t->checkpoint_path);
    print_result("%s", t->output);
    return EXIT_DONE;
}

int training_run(struct training *t) {
    struct fail f = {0};
    if (t->common->dry_run) {
        print_plan(t);
        return EXIT_DONE;
    }
    whole_file_prepare(t->output, &f);
    whole_file_prepare(t->checkpoint_path, &f); // also sweeps what a run killed while saving left
    die_if(&f);
    t->optim = optim_new(&t->model->model);
    int code = train_and_save(t);
    optim_free(t->optim);
    finish_stdout();
    return code;
}

void training_end(struct training *t) {
    parents_release(&t->lineage.parents);
    parents_release(&t->rest);
    log_close(t->log);
    free(t->options_json);
    free(t->checkpoint_path);
}

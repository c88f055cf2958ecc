#include "stages/shared/kept_samples.h"
#include "common/base/path.h"
#include "common/base/ranks.h"
#include "formats/tokens/tokens.h"
#include <stdio.h>
#include <stdlib.h>

void kept_samples_row(struct options *o, struct kept_samples *k) {
    const struct opt_row row = {
        "keep-samples",
        OPT_TEXT,
        OPT_OUTPUT,
        &k->path,
        .metavar = "FILE",
        .help = "on-policy: also write what was sampled, as tokens with the step of each row"};
    options_add(o, &row, 1);
}

static struct lineage lineage_of(const struct training *t) {
    struct lineage l = t->lineage;
    l.kind = "tokens";
    l.version = artefact_version("tokens");
    l.record = NULL;
    return l;
}

bool kept_samples_current(const struct kept_samples *k, const struct training *t) {
    struct fail f = {0};
    struct lineage l = lineage_of(t);
    struct columns_plan plan = {0};
    if (!k->path) return true;
    bool current = !t->common->force && !t->common->dry_run &&
                   columns_is_current(k->path, &l, &plan, false, &f);
    die_if(&f);
    return current;
}

static void open_writer(struct kept_samples *k) {
    const struct model_file *m = k->student;
    struct lineage l = lineage_of(k->training);
    struct columns_plan plan = {.resume = !k->training->common->force};
    struct tokens_info info = {.kind = TOKENS_SFT,
                               .vocab = m->model.config.vocab_used,
                               .tokenizer = m->tokenizer,
                               .tokenizer_json = m->tokenizer_json};
    k->writer = samples_writer_open(k->path, &l, &info, &plan, &k->fail);
    die_if(&k->fail);
    if (columns_rows(k->writer) < k->rows)
        die(EXIT_FAILED,
            "the samples before this step are not in '%s.spool'; remove '%s' to start again",
            k->path, k->training->checkpoint_path);
}

// When a checkpoint was read. Other ranks have the same samples; one that is there stays.
static void begin(void *self) {
    struct kept_samples *k = self;
    struct fail f = {0};
    if (!k->path || ranks_self() || kept_samples_current(k, k->training)) return;
    if (k->training->continue_output && path_is_there(k->path, &f))
        die(EXIT_USAGE,
            "'%s' has the samples of the steps before; name another --keep-samples for those that "
            "follow",
            k->path);
    die_if(&f);
    open_writer(k);
}

static bool write_sample(struct kept_samples *k, const struct sample_job *j, uint64_t step) {
    size_t n = j->n + j->count;
    grow(&k->ids, &k->id_capacity, n, sizeof *k->ids);
    grow(&k->mask, &k->mask_capacity, n, sizeof *k->mask);
    sample_job_row(j, k->ids, k->mask);
    return samples_write(k->writer, k->ids, k->mask, n, j->n, step);
}

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct kept_samples *k = self;
    (void)end;
    if (k->fresh && !*k->fresh) return true;
    for (size_t i = 0; i < *k->n; i++, k->rows++)
        if (k->writer && k->rows >= columns_rows(k->writer) &&
            !write_sample(k, &(*k->jobs)[i], step))
            return fail_pass(f, columns_fail(k->writer));
    return true;
}

// The spool is on disk before the checkpoint that counts on it.
static void keep(void *self, struct str *extra) {
    struct kept_samples *k = self;
    if (k->writer) columns_checkpoint(k->writer, NULL, 0);
    str_printf(extra, "%llu", (unsigned long long)k->rows);
}

static bool restore(void *self, const struct str *extra) {
    struct kept_samples *k = self;
    unsigned long long rows;
    if (sscanf(extra->text, "%llu", &rows) != 1) return false;
    k->rows = rows;
    return true;
}

static bool finish(void *self, struct parents *rest, struct fail *f) {
    struct kept_samples *k = self;
    (void)rest;
    if (!k->writer) return true;
    struct columns_writer *w = k->writer;
    k->writer = NULL;
    if (!columns_commit(w, NULL)) return fail_pass(f, &k->fail);
    print_result("%s", k->path);
    return true;
}

void kept_samples_start(struct kept_samples *k, struct training *t,
                        const struct model_file *student, struct sample_job *const *jobs,
                        const size_t *n, const bool *fresh) {
    k->training = t;
    k->student = student;
    k->jobs = jobs;
    k->n = n;
    k->fresh = fresh;
    training_add_hook(t, (struct training_hook){.self = k,
                                                .begin = begin,
                                                .after_step = after_step,
                                                .finish = finish,
                                                .keep = keep,
                                                .restore = restore});
}

void kept_samples_close(struct kept_samples *k) {
    if (k->writer) columns_abandon(k->writer, true);
    free(k->ids);
    free(k->mask);
}

#include "stages/shared/reference_pass.h"
#include "formats/models/adapter_file.h"
#include "common/training/score.h"
#include "common/base/ranks.h"
#include "common/base/stop.h"
#include "formats/tokens/reference.h"
#include "formats/teachers/sources.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reference_pass {
    struct net *net;
    struct batch batch;
    struct source source;
    struct columns_writer *writer; // of rank 0
    double *logp, *sums;           // sums (2, rows of a block)
    size_t tokens, rows, capacity;
    struct log *log;
};

// The sums of the batch's pairs, which begin at row `first` of the block.
static bool sum_batch(struct reference_pass *p, size_t first, struct fail *f) {
    const struct batch *b = &p->batch;
    score_positions(p->net, b, p->logp);
    for (size_t r = 0; r < b->responses; r++) {
        double *sum = &p->sums[2 * first + r];
        *sum = 0;
        for (size_t i = 0; i < b->response[r].count; i++) *sum += p->logp[b->response[r].first + i];
        if (!isfinite(*sum))
            return fail_set(f, EXIT_FAILED,
                            "the reference gives row %zu a log-probability that is not finite",
                            b->response[r].row);
    }
    return true;
}

// How many rows from `row` on are a micro-batch for each rank, about.
static size_t block_rows(struct reference_pass *p, size_t row) {
    size_t n = 0, tokens = 0, most = p->tokens * (size_t)ranks_count();
    struct step_totals unused = {0};
    while (row + n < p->rows && tokens < most)
        tokens += p->source.measure(p->source.self, row + n++, &unused);
    return n;
}

// Rows row .. row + n - 1, each rank a share of them; all know all sums. False: failed here.
static bool sum_block(struct reference_pass *p, size_t row, size_t n, struct fail *f) {
    size_t at = row + ranks_share(n, ranks_self()), end = row + ranks_share(n, ranks_self() + 1);
    grow(&p->sums, &p->capacity, 2 * n, sizeof *p->sums);
    memset(p->sums, 0, 2 * n * sizeof *p->sums);
    while (at < end) {
        size_t next = score_fill(&p->batch, &p->source, at, end, p->tokens, f);
        if (f->code || !sum_batch(p, at - row, f)) return false;
        at = next;
    }
    ranks_merge(p->sums, 2 * n * sizeof *p->sums);
    return true;
}

static bool write_block(struct reference_pass *p, size_t n) {
    for (size_t i = 0; p->writer && i < n; i++)
        if (!reference_write(p->writer, p->sums[2 * i], p->sums[2 * i + 1])) return false;
    return true;
}

static bool save(struct reference_pass *p) {
    return !p->writer || columns_checkpoint(p->writer, NULL, 0);
}

static void abandon(struct reference_pass *p) {
    if (p->writer) columns_abandon(p->writer, true);
}

static int run(struct reference_pass *p, struct fail *f) {
    size_t row = p->writer ? columns_rows(p->writer) : 0;
    ranks_merge(&row, sizeof row);
    for (size_t saved = row; row < p->rows;) {
        size_t n = block_rows(p, row);
        if (ranks_or(stop_requested())) {
            save(p);
            abandon(p);
            return EXIT_STOPPED;
        }
        if (!sum_block(p, row, n, f) || !write_block(p, n)) break;
        row += n;
        log_progress(p->log, "reference row", row, p->rows, NULL);
        if (row - saved >= 4096 && save(p)) saved = row;
    }
    log_end_progress(p->log);
    if (p->writer) fail_pass(f, columns_fail(p->writer));
    if (f->code) {
        abandon(p);
        return f->code;
    }
    if (p->writer && !columns_commit(p->writer, NULL)) return f->code ? f->code : EXIT_FAILED;
    return EXIT_DONE;
}

static int compute(const char *path, const struct model_file *ref, struct pairs *pairs,
                   const struct lineage *lineage, size_t tokens, struct log *log, struct fail *f) {
    struct columns_plan plan = {.rows_total = pairs->rows, .zstd_level = 1, .resume = true};
    struct pair_source ps = {.pairs = pairs};
    struct reference_pass p = {.tokens = tokens, .rows = pairs->rows, .log = log};
    source_pairs(&p.source, &ps);
    if (!ranks_self() && !(p.writer = reference_writer_open(path, lineage, &plan, f)))
        return f->code;
    struct net_limits limits = score_limits(&p.source, tokens);
    p.net = net_new(&ref->model, &limits);
    p.logp = xmalloc(limits.positions * sizeof *p.logp);
    int code = run(&p, f);
    net_free(p.net);
    batch_release(&p.batch);
    free(p.logp);
    free(p.sums);
    return code;
}

// parents_release its parents.
static struct lineage lineage_of(const struct model_file *ref, const struct pairs *pairs) {
    struct lineage l = {.kind = "reference",
                        .stage = "reference",
                        .version = 1,
                        .options = ref->model.rounded ? "{\"precision\": \"bf16\"}" : "{}"};
    if (ref->model.bf16)
        l.options = ref->model.rounded ? "{\"frozen-dtype\": \"bf16\", \"precision\": \"bf16\"}"
                                       : "{\"frozen-dtype\": \"bf16\"}";
    parents_add(&l.parents, model_file_kind(ref), ref->content);
    parents_add_all(&l.parents, &pairs->parents);
    return l;
}

int reference_pass(const char *path, const struct model_file *ref, struct pairs *pairs,
                   size_t tokens, struct log *log, double *chosen, double *rejected,
                   struct fail *f) {
    struct lineage l = lineage_of(ref, pairs);
    struct hash128 content;
    int code = EXIT_DONE;
    bool there = !ranks_self() && artefact_is_current(path, &l, false, f);
    if (f->code)
        code = f->code;
    else if (!ranks_or(there))
        code = compute(path, ref, pairs, &l, tokens, log, f);
    if (code == EXIT_DONE) ranks_or(0); // rank 0 has written it
    if (code == EXIT_DONE &&
        !reference_load(path, &l.parents, pairs->rows, chosen, rejected, &content, f))
        code = f->code;
    parents_release(&l.parents);
    return code;
}

void reference_sweep(const char *path, const struct model_file *ref, const struct pairs *pairs) {
    struct lineage l = lineage_of(ref, pairs);
    char *spool = xasprintf("%s.spool", path);
    whole_file_sweep(path);
    artefact_sweep_spool(spool, &l);
    free(spool);
    parents_release(&l.parents);
}

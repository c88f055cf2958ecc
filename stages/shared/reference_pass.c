#include "stages/shared/reference_pass.h"
#include "formats/models/adapter_file.h"
#include "common/training/score.h"
#include "common/base/stop.h"
#include "formats/tokens/reference.h"
#include "formats/teachers/sources.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

struct reference_pass {
    struct net *net;
    struct batch batch;
    struct source source;
    struct columns_writer *writer;
    double *logp;
    size_t tokens, rows;
    struct log *log;
};

static bool write_batch(struct reference_pass *p) {
    const struct batch *b = &p->batch;
    score_positions(p->net, b, p->logp);
    for (size_t r = 0; r < b->responses; r += 2) {
        double sum[2] = {0};
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < b->response[r + k].count; i++)
                sum[k] += p->logp[b->response[r + k].first + i];
        if (!isfinite(sum[0]) || !isfinite(sum[1]))
            return fail_set(columns_fail(p->writer), EXIT_FAILED,
                            "the reference gives row %zu a log-probability that is not finite",
                            b->response[r].row);
        if (!reference_write(p->writer, sum[0], sum[1])) return false;
    }
    return true;
}

static int run(struct reference_pass *p, struct fail *f) {
    size_t row = columns_rows(p->writer), saved = row;
    while (row < p->rows) {
        if (stop_requested()) {
            columns_checkpoint(p->writer, NULL, 0);
            columns_abandon(p->writer, true);
            return EXIT_STOPPED;
        }
        size_t next = score_fill(&p->batch, &p->source, row, p->rows, p->tokens, f);
        if (f->code || !write_batch(p)) break;
        row = next;
        log_progress(p->log, "reference row", row, p->rows, NAN);
        if (row - saved >= 4096 && columns_checkpoint(p->writer, NULL, 0)) saved = row;
    }
    log_end_progress(p->log);
    fail_pass(f, columns_fail(p->writer));
    if (f->code) {
        columns_abandon(p->writer, true);
        return f->code;
    }
    if (!columns_commit(p->writer, NULL)) return f->code ? f->code : EXIT_FAILED;
    return EXIT_DONE;
}

static int compute(const char *path, const struct model_file *ref, struct pairs *pairs,
                   const struct lineage *lineage, size_t tokens, struct log *log, struct fail *f) {
    struct columns_plan plan = {.rows_total = pairs->rows, .zstd_level = 1, .resume = true};
    struct pair_source ps = {.pairs = pairs};
    struct reference_pass p = {.tokens = tokens, .rows = pairs->rows, .log = log};
    source_pairs(&p.source, &ps);
    p.writer = reference_writer_open(path, lineage, &plan, f);
    if (!p.writer) return f->code;
    struct net_limits limits = score_limits(&p.source, tokens);
    p.net = net_new(&ref->model, &limits);
    p.logp = xmalloc(limits.positions * sizeof *p.logp);
    int code = run(&p, f);
    net_free(p.net);
    batch_release(&p.batch);
    free(p.logp);
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
    for (size_t i = 0; i < pairs->parents.n; i++)
        parents_add(&l.parents, pairs->parents.items[i].kind, pairs->parents.items[i].hash);
    return l;
}

int reference_pass(const char *path, const struct model_file *ref, struct pairs *pairs,
                   size_t tokens, struct log *log, double *chosen, double *rejected,
                   struct fail *f) {
    struct lineage l = lineage_of(ref, pairs);
    struct hash128 content;
    int code = EXIT_DONE;
    if (!artefact_is_current(path, &l, false, f))
        code = f->code ? f->code : compute(path, ref, pairs, &l, tokens, log, f);
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

#include "common/training/measure.h"
#include "common/engine/rowmath.h"
#include <assert.h>
#include <math.h>

size_t measure_positions(const struct measure *m) {
    return score_limits(m->source, m->tokens).positions;
}

size_t measure_plan(const struct measure *m) {
    struct net_limits limits = score_limits(m->source, m->tokens);
    size_t bytes = 0;
    for (size_t k = 0; k < m->models; k++) bytes += net_plan(m->model[k], &limits);
    return bytes;
}

static void run_chunks(const struct measure *m, struct net *const *net, const struct batch *b) {
    float *logits[MEASURE_MODELS] = {0};
    for (size_t k = 0; k < m->models; k++) {
        net_forward(net[k], b);
        logits[k] = net_logits_buffer(net[k]);
    }
    for (size_t i = 0; i < batch_chunks(b); i++) {
        struct chunk c = batch_chunk(b, i);
        for (size_t k = 0; k < m->models; k++) net_logits(net[k], c, logits[k]);
        m->chunk(m->self, b, c, logits);
    }
}

bool measure_run(const struct measure *m, struct fail *f) {
    assert(m->models >= 1 && m->models <= MEASURE_MODELS);
    struct net_limits limits = score_limits(m->source, m->tokens);
    struct net *net[MEASURE_MODELS] = {0};
    struct batch b = {0};
    for (size_t k = 0; k < m->models; k++) net[k] = net_new(m->model[k], &limits);
    for (size_t row = 0; row < m->source->rows && !f->code;) {
        row = score_fill(&b, m->source, row, m->source->rows, m->tokens, f);
        if (f->code) break;
        run_chunks(m, net, &b);
        if (!m->batch(m->self, &b, f)) break;
        log_progress(m->log, "row", row, m->source->rows, NULL);
    }
    log_end_progress(m->log);
    for (size_t k = 0; k < m->models; k++) net_free(net[k]);
    batch_release(&b);
    return !f->code;
}

size_t measure_index(const struct batch *b, size_t p) {
    return b->row[p] - b->unit_row[b->owner[p]] + 1; // a unit a row, a response a row
}

double measure_kl(const float *a, const float *b, size_t V) {
    double la = row_lse(a, V), lb = row_lse(b, V), sum = 0;
    for (size_t v = 0; v < V; v++) {
        if (a[v] == -INFINITY) continue; // padding
        double logp = (double)a[v] - la;
        sum += exp(logp) * (logp - ((double)b[v] - lb));
    }
    return sum > 0 ? sum : isnan(sum) ? sum : 0; // rounding may leave -1e-9
}

double measure_ratio(const double *sum, const double *count, size_t n, double *standard_error) {
    double total = 0, counts = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        total += sum[i];
        counts += count[i];
    }
    double ratio = total / counts; // 0 / 0: NaN
    for (size_t i = 0; i < n; i++) {
        double d = sum[i] - ratio * count[i];
        squares += d * d;
    }
    double cases = (double)n;
    *standard_error = n < 2 ? NAN : sqrt(squares / (cases - 1) * cases) / counts;
    return ratio;
}

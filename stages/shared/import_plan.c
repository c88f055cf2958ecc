#include "stages/shared/import_plan.h"
#include "common/base/fail.h"
#include "common/engine/adapter.h"
#include "common/base/machine.h"
#include "common/base/mem.h"
#include "common/engine/net.h"
#include "common/base/parallel.h"
#include "stages/shared/plan.h"

enum { ROWS = 1024 }; // tokens of the micro-batch that the table assumes

static double gigabytes(double bytes) {
    return bytes / (1 << 30);
}

static size_t arena(const struct model *m, bool backward) {
    size_t rows = m->config.max_positions < ROWS ? m->config.max_positions : ROWS;
    struct net_limits l = {
        .rows = rows, .positions = rows, .trees_tokens = rows, .backward = backward};
    return net_plan(m, &l);
}

enum { RANK = 16 };

// m with an adapter of rank RANK on all projections; it has no weights in memory.
static struct model adapted(const struct model *m) {
    struct model a;
    struct adapter_config c = {.rank = RANK, .alpha = RANK};
    char why[200];
    adapter_targets_all(&m->config, c.target);
    model_copy(&a, m);
    if (!adapter_attach(&a, &c, why, sizeof why)) die(EXIT_FAILED, "%s", why);
    return a;
}

// Bytes beside the weights: arenas, gradients, moments.
struct needs {
    double weights, forward, backward, trained; // trained: of one float32 number each
};

static void print_row(struct log *log, const char *what, double full, double low) {
    log_note(log, "  %-36s%8.2f GiB %12.2f GiB", what, gigabytes(full), gigabytes(low));
}

// Full training beside adapters on a base in bf16, which the three models of a dump share.
static void print_memory(struct log *log, const struct model *m) {
    struct model low = adapted(m);
    struct needs f = {4.0 * (double)m->n_params, (double)arena(m, false), (double)arena(m, true),
                      4.0 * (double)m->n_params};
    struct needs a = {2.0 * (double)m->n_params, (double)arena(&low, false),
                      (double)arena(&low, true), 4.0 * (double)low.adapter->trained.n};
    double full = f.weights + 3 * f.trained + f.backward;
    double adapter = a.weights + 4 * a.trained + a.backward;
    log_note(log, "memory: %d tokens at a time   float32, all trained   bf16, adapters of rank %d",
             ROWS, RANK);
    print_row(log, "import, export", f.weights, f.weights);
    print_row(log, "generate, eval nll", f.weights + f.forward, a.weights + a.trained + a.forward);
    print_row(log, "sft, distill (off-policy), dpo-train", full, adapter);
    print_row(log, "teacher-dump (dpo, reverse, ref)", 3 * (f.weights + f.forward),
              a.weights + 2 * a.trained + 3 * a.forward);
    model_release(&low);
}

void import_plan(struct log *log, const struct model *m) {
    const struct model_config *c = &m->config;
    size_t count = model_count(m), looked_up = c->tied ? 0 : c->vocab * c->width;
    double rate = plan_product_rate(false), work = 2.0 * (double)(count - looked_up);
    log_note(log,
             "%zu layers, width %zu, %zu heads (%zu key-value) of %zu, hidden %zu, vocabulary "
             "%zu%s, %zu positions",
             c->layers, c->width, c->heads, c->kv_heads, c->head_dim, c->hidden, c->vocab,
             c->tied ? " (tied)" : "", c->max_positions);
    log_note(log, "parameters: %zu (%.2f GiB as float32)", count, gigabytes(4.0 * (double)count));
    print_memory(log, m);
    log_note(log, "this machine has %.2f GiB, of which %.2f GiB are free",
             gigabytes(machine_memory()), gigabytes(machine_memory_free()));
    log_note(log, "time per token on %d threads (%.0f GFLOP/s): %.3g ms forward, %.3g ms trained",
             parallel_threads(), rate / 1e9, 1e3 * work / rate, 3e3 * work / rate);
}

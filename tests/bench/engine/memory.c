// Peak memory of a training step in a process of its own, against the plan.
#include "tests/bench/engine/bench.h"
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "formats/models/model_file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double high_water(void) { // VmHWM in bytes
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kilobytes = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf kB", &kilobytes) == 1) break;
    if (f) fclose(f);
    return 1024 * kilobytes;
}

// A training step; returns the plan.
static double train(const struct shape *s, bool recompute, bool bf16) {
    struct model m;
    struct batch b = {0};
    shape_model(s, &m);
    m.rounded = bf16;
    shape_sequences(s, &b, s->tokens);
    struct net_limits limits = {.rows = b.n,
                                .positions = b.n,
                                .trees_tokens = s->length,
                                .backward = true,
                                .recompute = recompute};
    struct objective sft = objective_sft_new(m.config.vocab_used);
    struct step_bench step = {
        &m, net_new(&m, &limits), &sft, optim_new(&m), {.tokens = b.positions}};
    step_gradient(&step, &b);
    return 16.0 * (double)m.n_params + (double)(net_plan(&m, &limits) + MEM_PROGRAM);
}

// The forward pass of a model that is read from a file into bf16; returns the plan.
static double run_half(const struct shape *s, const char *path) {
    struct model_file m;
    struct fail fail = {0};
    struct batch b = {0};
    model_file_load_frozen(path, true, &m, &fail);
    die_if(&fail);
    shape_sequences(s, &b, s->tokens);
    struct net_limits limits = {.rows = b.n, .positions = b.n, .trees_tokens = s->length};
    struct net *net = net_new(&m.model, &limits);
    net_forward(net, &b);
    for (size_t i = 0; i < batch_chunks(&b); i++)
        net_logits(net, batch_chunk(&b, i), net_logits_buffer(net));
    return (double)(model_bytes(&m.model) + net_plan(&m.model, &limits) + MEM_PROGRAM);
}

int bench_memory_child(const char *shape, const char *what) {
    struct shape s = shape_named(shape);
    bool plain = !strcmp(what, "step"), recompute = !strcmp(what, "recompute");
    bool bf16 = !strcmp(what, "bf16");
    double plan = plain || recompute || bf16 ? train(&s, recompute, bf16) : run_half(&s, what);
    printf("%.0f %.0f\n", high_water(), plan);
    return 0;
}

static void measure(struct report *r, const struct shape *s, const char *how, const char *what) {
    char *command = xasprintf("'/proc/%d/exe' memory %s '%s'", (int)getpid(), s->name, what);
    FILE *f = popen(command, "r");
    double peak = 0, plan = 0;
    if (!f || fscanf(f, "%lf %lf", &peak, &plan) != 2) die(EXIT_FAILED, "cannot run %s", command);
    pclose(f);
    report_section(r, others_now()); // memory knows no disturbance
    char *name = xasprintf("%s: peak memory of %s", s->name, how);
    char *against = xasprintf("the plan, %.0f MiB (aim 0.9 - 1.1)", plan / 1048576);
    report_add(r, name, peak / 1048576, "MiB", peak / plan, against, NAN);
    free(name);
    free(against);
    free(command);
}

static void measure_half(struct report *r, const struct shape *s) {
    char folder[] = "/tmp/bench-memory-XXXXXX";
    if (!mkdtemp(folder)) die(EXIT_FAILED, "cannot make a folder in /tmp");
    char *path = xasprintf("%s/model.h5", folder);
    struct model_file m = {.bos = -1, .eos = -1};
    struct fail fail = {0};
    shape_model(s, &m.model);
    model_file_save(path, &m, &(struct lineage){.stage = "import", .options = "{}"}, &fail);
    die_if(&fail);
    model_release(&m.model);
    measure(r, s, "running it in bf16", path);
    unlink(path);
    rmdir(folder);
    free(path);
}

void bench_memory(struct report *r, const struct shape *s, bool brief) {
    measure(r, s, "the step", "step");
    measure(r, s, "the step, bf16", "bf16");
    if (!brief) measure(r, s, "the step, --recompute", "recompute");
    measure_half(r, s);
}

// PyTorch's step of the same shape, right after ours, where Debian's python3-torch is installed
// (BENCH_PYTHON names another interpreter): with glibc told to keep memory, and OpenBLAS at the
// core type that is its best here.
#include "tests/bench/engine/bench.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char script[] = "tests/oracle/torch_step.py";

static char *command_for(const struct shape *s, bool bf16) {
    const struct model_config *c = &s->config;
    const char *python = getenv("BENCH_PYTHON"), *which = getenv("BENCH_CLOCK");
    const char *core = "";
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) core = "OPENBLAS_CORETYPE=SKYLAKEX";
#endif
    return xasprintf(
        "env -u OPENBLAS_CORETYPE MALLOC_MMAP_THRESHOLD_=4294967296 "
        "MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 %s '%s' %s --layers %zu "
        "--width %zu --heads %zu --kv-heads %zu --hidden %zu --vocab %zu --length %zu --tokens %zu "
        "--threads %d --rounds %d --clock %s%s 2>/dev/null",
        core, python && *python ? python : "/usr/bin/python3", script, c->layers, c->width,
        c->heads, c->kv_heads, c->hidden, c->vocab, s->length, s->tokens, parallel_threads(),
        bench_quick() ? 1 : 3, which && !strcmp(which, "cpu") ? "cpu" : "wall",
        bf16 ? " --bf16" : "");
}

// The seconds of its steps and the version; false: there is none.
static bool run_torch(const struct shape *s, bool bf16, struct series *steps, char version[64]) {
    char *command = command_for(s, bf16);
    FILE *f = popen(command, "r");
    free(command);
    steps->n = 0;
    if (f && fscanf(f, "%63s", version) == 1)
        while (steps->n < ROUNDS && fscanf(f, "%lf", &steps->at[steps->n]) == 1) steps->n++;
    if (f) pclose(f);
    return steps->n > 0;
}

void bench_torch(struct report *r, const struct shape *s, const double ours[2]) {
    for (int bf16 = 0; bf16 < 2; bf16++) {
        char version[64];
        struct series steps;
        struct others before = others_now();
        if (bf16 && isnan(bench_peak(true))) return; // without pairs it takes minutes a step
        if (access(script, R_OK) || !run_torch(s, bf16, &steps, version)) return;
        report_section(r, before);
        double theirs = series_median(&steps);
        char *name = xasprintf("%s: PyTorch %s's step%s", s->name, version, bf16 ? ", bf16" : "");
        report_add(r, name, (double)s->tokens / theirs, "tokens/s", theirs / ours[bf16],
                   bf16 ? "our step is so many times as fast (aim 1.4)"
                        : "our step is so many times as fast",
                   series_spread(&steps));
        free(name);
    }
}

// The BLAS that is linked, at the best of its core types: each in a process of its own, with no
// variable in its environment that holds it down.
#include "tests/bench/engine/bench.h"
#include "common/base/fail.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/engine/blas.h"
#include "common/engine/kernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tiles { // c (N,M) = a (N,K) b (M,K)^T in tiles of (rows, columns)
    const float *a, *b;
    float *c;
    size_t N, M, K, rows, columns;
};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void tile(void *self, size_t i) {
    const struct tiles *t = self;
    size_t across = (t->M + t->columns - 1) / t->columns;
    size_t n = i / across * t->rows, m = i % across * t->columns;
    blas_multiply(&(struct block){.c = t->c + n * t->M + m,
                                  .ldc = t->M,
                                  .rows = least(t->rows, t->N - n),
                                  .cols = least(t->columns, t->M - m),
                                  .k = t->K,
                                  .a = {.f32 = t->a + n * t->K, .ld = t->K, .inner = true},
                                  .b = {.f32 = t->b + m * t->K, .ld = t->K, .inner = true}});
}

// The best of some rounds, and of the machine's peak between them: a round that something disturbs
// is too low in either.
struct rates {
    double product, peak;
};

static void measure(struct tiles *t, struct rates *best) {
    size_t tasks = ((t->N + t->rows - 1) / t->rows) * ((t->M + t->columns - 1) / t->columns);
    for (size_t i = 0; i < (bench_quick() ? 2 : 5); i++) {
        best->peak = fmax(best->peak, bench_peak(false));
        double start = bench_clock();
        parallel_for(tasks, tile, t);
        double seconds = bench_clock() - start;
        best->product = fmax(best->product, 2.0 * (double)(t->N * t->M) * (double)t->K / seconds);
    }
}

int bench_sgemm_child(void) {
    static const size_t shapes[][3] = {
        {2048, 2048, 2048}, {2048, 2304, 768}, {2048, 768, 2048}, {2048, 1536, 288}};
    enum { MOST = 2048 * 2304 };
    float *a = big_alloc(MOST * sizeof *a), *b = big_alloc(MOST * sizeof *b);
    float *c = big_alloc(MOST * sizeof *c);
    for (size_t i = 0; i < MOST; i++) a[i] = b[i] = (float)(i % 31) * 0.01f;
    struct rates best = {0};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t rows = 512; rows <= 1024; rows *= 2) {
            struct tiles t = {a, b, c, shapes[s][0], shapes[s][1], shapes[s][2], rows, 1024};
            measure(&t, &best);
        }
    printf("%.4f %s\n", best.product / best.peak, blas_name());
    return 0;
}

// The number, and the name of the BLAS, that this program prints when it is called with `what`.
static double run_child(const char *core, const char *what, char name[64]) {
    char *command =
        xasprintf("env -u OPENBLAS_NUM_THREADS -u OPENBLAS_CORETYPE -u GOMP_SPINCOUNT "
                  "-u OMP_PROC_BIND%s%s '/proc/%d/exe' %s",
                  core ? " OPENBLAS_CORETYPE=" : "", core ? core : "", (int)getpid(), what);
    FILE *f = popen(command, "r");
    double number = 0;
    if (!f || fscanf(f, "%lf %63[^\n]", &number, name) != 2)
        die(EXIT_FAILED, "cannot run %s", command);
    pclose(f);
    free(command);
    return number;
}

static char best_core[16]; // of the library; empty: its own choice

// Core types of OpenBLAS that this CPU can run; NULL: the library's own choice.
static size_t cores_here(const char *core[4]) {
    size_t n = 0;
    core[n++] = NULL;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) core[n++] = "SKYLAKEX";
    if (__builtin_cpu_supports("avx2")) {
        core[n++] = "ZEN";
        core[n++] = "HASWELL";
    }
#endif
    return n;
}

void bench_sgemm(struct report *r) {
    const char *cores[4];
    size_t n = cores_here(cores);
    char best[64] = "", name[64];
    double most = 0;
    if (!blas_name()) return;
    struct others before = others_now();
    for (size_t i = 0; i < n && (i < 2 || !bench_quick()); i++) {
        double share = run_child(cores[i], "sgemm", name);
        if (share > most) {
            strcpy(best, name);
            snprintf(best_core, sizeof best_core, "%s", cores[i] ? cores[i] : "");
        }
        most = fmax(most, share);
    }
    report_section(r, before);
    char *row = xasprintf("machine: sgemm of %s", best + (strncmp(best, "blas ", 5) ? 0 : 5));
    report_add(r, row, 1e-9 * most * bench_peak(false), "GFLOP/s", most, "multiply-add peak", NAN);
    free(row);
}

int bench_blas_child(const char *shape) {
    kernels_choose("blas");
    printf("%.9f %s\n", bench_step_seconds(shape), kernels()->name);
    return 0;
}

void bench_blas(struct report *r, const struct shape *s, double ours) {
    char name[64], *what = xasprintf("blas %s", s->name);
    if (!blas_name()) return;
    struct others before = others_now();
    double theirs = run_child(*best_core ? best_core : NULL, what, name);
    report_section(r, before);
    char *row = xasprintf("%s: sft step, level %s", s->name, name);
    report_add(r, row, (double)s->tokens / theirs, "tokens/s", theirs / ours,
               "our kernels are so many times as fast", NAN);
    free(row);
    free(what);
}

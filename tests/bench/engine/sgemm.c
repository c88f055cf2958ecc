// The BLAS that is linked, at the best of its core types: each in a process of its own, with no
// variable in its environment that holds it down.
#include "tests/bench/engine/bench.h"
#include "common/base/fail.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/engine/blas.h"
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

// Of the machine's peak just before, the best of some rounds.
static double best_share(struct tiles *t) {
    size_t tasks = ((t->N + t->rows - 1) / t->rows) * ((t->M + t->columns - 1) / t->columns);
    double best = 0;
    for (size_t i = 0; i < (bench_quick() ? 2 : 5); i++) {
        double peak = bench_peak(false), start = bench_clock();
        parallel_for(tasks, tile, t);
        double rate = 2.0 * (double)(t->N * t->M) * (double)t->K / (bench_clock() - start);
        best = fmax(best, rate / peak);
    }
    return best;
}

int bench_sgemm_child(void) {
    static const size_t shapes[][3] = {
        {2048, 2048, 2048}, {2048, 2304, 768}, {2048, 768, 2048}, {2048, 1536, 288}};
    enum { MOST = 2048 * 2304 };
    float *a = big_alloc(MOST * sizeof *a), *b = big_alloc(MOST * sizeof *b);
    float *c = big_alloc(MOST * sizeof *c);
    for (size_t i = 0; i < MOST; i++) a[i] = b[i] = (float)(i % 31) * 0.01f;
    double best = 0;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t rows = 512; rows <= 1024; rows *= 2) {
            struct tiles t = {a, b, c, shapes[s][0], shapes[s][1], shapes[s][2], rows, 1024};
            best = fmax(best, best_share(&t));
        }
    printf("%.4f %s\n", best, blas_name());
    return 0;
}

static double run_child(const char *core, char name[64]) {
    char *command = xasprintf("env -u OPENBLAS_NUM_THREADS -u OPENBLAS_CORETYPE -u GOMP_SPINCOUNT "
                              "-u OMP_PROC_BIND%s%s '/proc/%d/exe' sgemm",
                              core ? " OPENBLAS_CORETYPE=" : "", core ? core : "", (int)getpid());
    FILE *f = popen(command, "r");
    double share = 0;
    if (!f || fscanf(f, "%lf %63[^\n]", &share, name) != 2)
        die(EXIT_FAILED, "cannot run %s", command);
    pclose(f);
    free(command);
    return share;
}

void bench_sgemm(struct report *r) {
    static const char *const cores[] = {NULL, "SKYLAKEX", "ZEN", "HASWELL"};
    char best[64] = "", name[64];
    double most = 0;
    if (!blas_name()) return;
    struct others before = others_now();
    for (size_t i = 0; i < (bench_quick() ? 2 : 4); i++) {
        double share = run_child(cores[i], name);
        if (share > most) strcpy(best, name);
        most = fmax(most, share);
    }
    report_section(r, before);
    char *row = xasprintf("machine: sgemm of %s", best + (strncmp(best, "blas ", 5) ? 0 : 5));
    report_add(r, row, 1e-9 * most * bench_peak(false), "GFLOP/s", most, "multiply-add peak", NAN);
    free(row);
}

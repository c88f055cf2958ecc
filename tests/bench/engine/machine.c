#include "tests/bench/engine/bench.h"
#include "common/engine/kernels.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

// ---- reading ----

struct reading {
    const float *p;
    float *sink;
};

enum {
    READ_BLOCK = 1 << 16,
    AHEAD = 1024
}; // floats; AHEAD: as many lines in flight as there can be

static float read_block(const float *p) {
    float sum[16] = {0};
    for (size_t i = 0; i < READ_BLOCK; i += 16) {
        __builtin_prefetch(p + i + AHEAD, 0, 3);
        for (size_t l = 0; l < 16; l++) sum[l] += p[i + l];
    }
    return sum[0] + sum[5] + sum[15];
}

static void read_blocks(void *self, size_t first, size_t last) {
    struct reading *r = self;
    float sum = 0;
    for (size_t i = first; i < last; i++) sum += read_block(r->p + i * READ_BLOCK);
    r->sink[parallel_self()] = sum;
}

double bench_read(const float *p, size_t n) {
    static float sink[1024]; // one per thread; what is read must be used
    struct reading r = {p, sink};
    double start = bench_clock();
    parallel_range(n / READ_BLOCK, 1, read_blocks, &r);
    return (bench_clock() - start) * (double)n / (double)(n / READ_BLOCK * READ_BLOCK);
}

struct copying {
    float *to;
    const float *from;
};

static void copy_range(void *self, size_t first, size_t last) {
    const struct copying *c = self;
    memcpy(c->to + first, c->from + first, (last - first) * sizeof(float));
}

static double memory_rates(struct report *r) {
    size_t n = (size_t)64 << 20;
    float *from = big_alloc(n * sizeof *from), *to = big_alloc(n * sizeof *to);
    struct series read = {0}, copy = {0};
    struct copying c = {to, from};
    struct others before = others_now();
    for (size_t i = 0; i < bench_rounds(); i++) {
        read.at[read.n++] = bench_read(from, n) / (4e-9 * (double)n);
        double start = bench_clock();
        parallel_range(n, 1 << 16, copy_range, &c);
        copy.at[copy.n++] = (bench_clock() - start) / (8e-9 * (double)n);
    }
    big_free(from, n * sizeof *from);
    big_free(to, n * sizeof *to);
    report_section(r, before);
    report_add(r, "machine: memory read", 1 / series_median(&read), "GB/s", NAN, "",
               series_spread(&read));
    report_add(r, "machine: memory copy, read + written", 1 / series_median(&copy), "GB/s", NAN, "",
               series_spread(&copy));
    return 1e9 / series_median(&read);
}

static void peaks(struct report *r) {
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct series s = {0};
        struct others before = others_now();
        for (size_t i = 0; i < bench_rounds(); i++) s.at[s.n++] = 1e9 / bench_peak(bf16);
        if (!isfinite(s.at[0])) continue;
        report_section(r, before);
        report_add(
            r, bf16 ? "machine: multiply-add peak, bf16" : "machine: multiply-add peak, float32",
            1 / series_median(&s), "GFLOP/s", NAN, "", series_spread(&s));
    }
}

// The system begins threads on one CPU, and needs some time to give each its own.
static void warm_up(void) {
    for (double start = bench_clock(); bench_clock() - start < 0.5;) bench_peak(false);
}

struct ceilings bench_machine(struct report *r) {
    fprintf(stderr, "%d threads, kernels '%s'\n", parallel_threads(), kernels()->name);
    warm_up();
    peaks(r);
    bench_sgemm(r);
    return (struct ceilings){.read = memory_rates(r)};
}

#include "tests/bench/engine/bench.h"
#include "common/base/fail.h"
#include "common/base/jsonout.h"
#include "common/base/parallel.h"
#include "common/base/stats.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct report {
    struct str json;
    size_t n;
    double taken; // by others, of the CPUs, while the rows that follow were measured
};

static double quantile(const double *x, size_t n, double q) {
    double sorted[ROUNDS];
    memcpy(sorted, x, n * sizeof *x);
    stats_sort(sorted, n);
    return stats_quantile(sorted, n, q);
}

double series_median(const struct series *s) {
    return quantile(s->at, s->n, 0.5);
}

double series_spread(const struct series *s) {
    return (quantile(s->at, s->n, 0.75) - quantile(s->at, s->n, 0.25)) / 2 / series_median(s);
}

double series_ratio(const struct series *a, const struct series *b) {
    double ratio[ROUNDS];
    for (size_t i = 0; i < a->n; i++) ratio[i] = a->at[i] / b->at[i];
    return quantile(ratio, a->n, 0.5);
}

double bench_clock(void) {
    const char *which = getenv("BENCH_CLOCK");
    struct timespec t;
    bool cpu = which && !strcmp(which, "cpu");
    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / (cpu ? parallel_threads() : 1);
}

bool bench_quick(void) {
    const char *quick = getenv("QUICK");
    return quick && *quick && strcmp(quick, "0") != 0;
}

size_t bench_rounds(void) {
    return bench_quick() ? 2 : 5;
}

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

struct others others_now(void) {
    struct others o = {0};
    struct timespec now;
    struct rusage own, children;
    double spent[8] = {0}; // user nice system idle iowait irq softirq steal
    FILE *f = fopen("/proc/stat", "r");
    if (f && fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &spent[0], &spent[1], &spent[2],
                    &spent[3], &spent[4], &spent[5], &spent[6], &spent[7]) == 8)
        for (int i = 0; i < 8; i++) o.all += i == 3 || i == 4 ? 0 : spent[i];
    if (f) fclose(f);
    o.all /= (double)sysconf(_SC_CLK_TCK);
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    o.own = seconds_of(own.ru_utime) + seconds_of(own.ru_stime) + seconds_of(children.ru_utime) +
            seconds_of(children.ru_stime);
    clock_gettime(CLOCK_MONOTONIC, &now);
    o.wall = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    return o;
}

// Steal counts as others' too. What hangs over from one tick of /proc/stat is given away.
void report_section(struct report *r, struct others before) {
    const char *which = getenv("BENCH_CLOCK");
    struct others now = others_now();
    double others = now.all - before.all - (now.own - before.own) - 0.02;
    r->taken = others / ((now.wall - before.wall) * (double)sysconf(_SC_NPROCESSORS_ONLN));
    if (which && !strcmp(which, "cpu")) r->taken = 0;
}

struct report *report_new(void) {
    struct report *r = xcalloc(1, sizeof *r);
    str_puts(&r->json, "[");
    printf("| %-42s | %-18s | %5s | %-46s | %-6s |\n|---|---|---|---|---|\n", "what", "median",
           "ratio", "to", "spread");
    return r;
}

void report_add(struct report *r, const char *name, double value, const char *unit, double ratio,
                const char *against, double spread) {
    char rate[32], measured[16] = "", spreads[16] = "", disturbed[64];
    enum { LITTLE = 3 }; // per cent of the CPUs
    if (100 * r->taken > LITTLE) {
        snprintf(disturbed, sizeof disturbed, "disturbed: others took %.0f %% of the CPUs",
                 100 * r->taken);
        against = disturbed;
        ratio = NAN;
    }
    snprintf(rate, sizeof rate, "%.4g %s", value, unit);
    if (isfinite(ratio)) snprintf(measured, sizeof measured, "%.3f", ratio);
    if (isfinite(spread)) snprintf(spreads, sizeof spreads, "%.1f %%", 100 * spread);
    printf("| %-42s | %-18s | %5s | %-46s | %-6s |\n", name, rate, measured,
           isfinite(ratio) || against == disturbed ? against : "", spreads);
    fflush(stdout);
    str_puts(&r->json, r->n++ ? ",\n {\"name\": " : "\n {\"name\": ");
    jsonout_text(&r->json, name);
    str_puts(&r->json, ", \"value\": ");
    jsonout_number(&r->json, value);
    str_puts(&r->json, ", \"unit\": ");
    jsonout_text(&r->json, unit);
    str_puts(&r->json, ", \"ratio\": ");
    jsonout_number(&r->json, ratio);
    str_puts(&r->json, "}");
}

void report_write(struct report *r) {
    const char *path = getenv("BENCH_JSON");
    if (!path || !*path) path = "build/bench.json";
    str_puts(&r->json, "\n]\n");
    FILE *f = fopen(path, "w");
    if (!f || fwrite(r->json.text, 1, r->json.length, f) != r->json.length || fclose(f))
        die(EXIT_FAILED, "cannot write '%s'; set BENCH_JSON to a file that can be", path);
    str_release(&r->json);
    free(r);
}

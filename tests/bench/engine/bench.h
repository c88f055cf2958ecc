// The engine's benchmark. Every claim is a ratio of two times taken in one run: what belongs
// together is timed in turns (a round does each once), a ratio is the median of the rounds' ratios,
// so that a machine which other people use drifts out of it. Rates are compared with what the CPU's
// multiply-adds reach in a burst just before. Where other processes took more than a little of the
// CPUs meanwhile, the row says so in place of a ratio. Nothing is asserted.
//
// BENCH_CLOCK=cpu takes the process's CPU time over its threads, which holds still on a crowded
// machine and is never called disturbed; BENCH_THREADS sets their number. QUICK=1 in the
// environment: fewer rounds, shorter sequences, in about a minute. Results go to stdout as
// RESULTS.md's table (make bench-results puts it there) and to build/bench.json (BENCH_JSON names
// another file): a list of {name, value, unit, ratio}; ratio is null where there is nothing to
// compare with, or the run was disturbed.
#pragma once
#include "common/engine/net.h"
#include "common/method/objective.h"
#include "common/engine/optim.h"
#include <stdbool.h>
#include <stddef.h>

enum { ROUNDS = 9 };

struct series { // seconds of each round
    size_t n;
    double at[ROUNDS];
};
double series_median(const struct series *s);
double series_spread(const struct series *s); // half the interquartile range, over the median
// median over the rounds of a / b
double series_ratio(const struct series *a, const struct series *b);

struct report;
struct report *report_new(void);
struct others { // what all processes have used of the CPUs so far, and this one, in seconds
    double wall, all, own;
};
struct others others_now(void);
// The rows that follow were measured since `before`: they say so if that was disturbed.
void report_section(struct report *r, struct others before);
// ratio NAN: none; `against`: what the ratio is to, for the table
void report_add(struct report *r, const char *name, double value, const char *unit, double ratio,
                const char *against, double spread);
void report_write(struct report *r); // the JSON file; frees r

double bench_clock(void); // seconds
bool bench_quick(void);
size_t bench_rounds(void); // of steps

// ---- shapes ----
struct shape {
    const char *name;
    struct model_config config;
    size_t length, tokens; // T; tokens of a step
    bool only_steps;       // the other sections leave it out
};
enum { SHAPES = 3 };
struct shape bench_shape(size_t i);                       // QUICK: shorter
struct shape shape_named(const char *name);               // dies where there is none
void shape_model(const struct shape *s, struct model *m); // random weights
int32_t bench_token(const struct shape *s, size_t row, size_t i);
// A unit of `tokens` in sequences of T; every token but the first of each is a target.
void shape_sequences(const struct shape *s, struct batch *b, size_t tokens);
// Pairs with prompts of T/2 and two responses of T/4; shared, or as separate sequences.
void shape_pairs(const struct shape *s, struct batch *b, size_t pairs, bool shared);

// ---- a step ----
struct step_bench {
    struct model *model;
    struct net *net;
    struct objective *objective;
    struct optim *optim;
    struct step_totals totals;
};
void step_gradient(const struct step_bench *s, struct batch *b); // forward, loss, backward
// The same step's matrix products and nothing else, with the engine's own cutting.
struct replay;
struct replay *replay_new(const struct model *m, const struct batch *b);
void replay_run(struct replay *r, bool backward);
double replay_flops(const struct model *m, const struct batch *b, bool backward);
void replay_free(struct replay *r);

// ---- sections ----
struct ceilings {
    double read; // bytes/s
};
struct ceilings bench_machine(struct report *r);
// flop/s of all threads' multiply-adds in registers, in a burst of 2 ms; in bf16 by pairs or by
// float32, whichever is faster; NAN: the CPU has no pairs
double bench_peak(bool bf16);
void bench_sgemm(struct report *r);
int bench_sgemm_child(void);                 // prints the best share of the peak
double bench_read(const float *p, size_t n); // seconds of one plain read by all threads
void bench_steps(struct report *r, const struct shape *s, const struct ceilings *c);
double bench_step_seconds(const char *shape); // the shorter of two steps, after one to warm up
// The step at level 'blas', at the core type that bench_sgemm found the best; ours: seconds of ours
void bench_blas(struct report *r, const struct shape *s, double ours);
int bench_blas_child(const char *shape);
// ours: seconds of our step, in float32 and bf16
void bench_torch(struct report *r, const struct shape *s, const double ours[2]);
void bench_pairs(struct report *r, const struct shape *s);
void bench_cache(struct report *r, const struct shape *s);
void bench_decoding(struct report *r, const struct shape *s);
void bench_memory(struct report *r, const struct shape *s, bool brief);
// `what`: "step", "bf16", "recompute", or the file of a model to run in bf16; prints peak and plan,
// in bytes
int bench_memory_child(const char *shape, const char *what);

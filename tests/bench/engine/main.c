#include "tests/bench/engine/bench.h"
#include "common/base/fail.h"
#include "common/base/parallel.h"
#include <stdlib.h>
#include <string.h>

static bool wanted(int argc, char **argv, int i, const char *name) {
    return argc <= i || strcmp(argv[i], name) == 0;
}

int main(int argc, char **argv) {
    const char *threads = getenv("BENCH_THREADS");
    parallel_init(threads ? atoi(threads) : 0);
    if (argc == 4 && !strcmp(argv[1], "memory")) return bench_memory_child(argv[2], argv[3]);
    if (argc == 2 && !strcmp(argv[1], "sgemm")) return bench_sgemm_child();
    if (argc == 3 && !strcmp(argv[1], "blas")) return bench_blas_child(argv[2]);
    if (argc > 3)
        die(EXIT_USAGE, "usage: engine [15M|110M|0.5B [steps|pairs|cache|decoding|memory]]");
    struct report *r = report_new();
    struct ceilings c = bench_machine(r);
    for (size_t i = 0; i < SHAPES; i++) {
        struct shape s = bench_shape(i);
        bool brief = bench_quick() && argc < 3 && i > 0; // the large shape's main numbers only
        if (!wanted(argc, argv, 1, s.name)) continue;
        if (s.only_steps && bench_quick() && argc < 2) continue;
        if (wanted(argc, argv, 2, "steps")) bench_steps(r, &s, &c);
        if (s.only_steps) continue;
        if (!brief && wanted(argc, argv, 2, "pairs")) bench_pairs(r, &s);
        if (!brief && wanted(argc, argv, 2, "cache")) bench_cache(r, &s);
        if (wanted(argc, argv, 2, "decoding")) bench_decoding(r, &s);
        if (wanted(argc, argv, 2, "memory")) bench_memory(r, &s, brief);
    }
    report_write(r);
    return 0;
}

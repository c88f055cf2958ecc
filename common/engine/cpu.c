#include "common/engine/blas.h"
#include "common/engine/kernels.h"
#include "common/base/fail.h"
#include <stdlib.h>
#include <string.h>

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512bf16;
#endif

enum { LEVELS = 4 };

// Those that this CPU has, the best last.
static int own_levels(const struct kernels *level[LEVELS]) {
    int n = 0;
    level[n++] = &kernels_portable;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) level[n++] = &kernels_avx2;
    if (n == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        level[n++] = &kernels_avx512;
    if (n == 3 && __builtin_cpu_supports("avx512bf16")) level[n++] = &kernels_avx512bf16;
#endif
    return n;
}

static const struct kernels *with_blas(const struct kernels *own) {
    static struct kernels level; // as `chosen` below
    level = *own;
    level.name = blas_name();
    level.product = blas_multiply;
    return &level;
}

static const struct kernels *pick(const char *want, const char *who) {
    const struct kernels *level[LEVELS];
    int n = own_levels(level);
    bool blas = want && *want ? !strcmp(want, "blas") : n == 1;
    if (blas && blas_name()) return with_blas(level[n - 1]);
    if (!want || !*want) return level[n - 1];
    for (int i = 0; i < n; i++)
        if (!strcmp(level[i]->name, want)) return level[i];
    if (blas) die(EXIT_USAGE, "%s 'blas' is not a level of this build: BLAS_LIBS was empty", who);
    die(EXIT_USAGE, "%s '%s' is not a level this CPU has; the best is '%s'", who, want,
        level[n - 1]->name);
}

static const struct kernels *chosen; // written once with one value, whoever is first

void kernels_choose(const char *level) {
    if (level) __atomic_store_n(&chosen, pick(level, "--kernels"), __ATOMIC_RELEASE);
}

const struct kernels *kernels(void) {
    const struct kernels *k = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (k) return k;
    k = pick(getenv("ALIGNDISTIL_KERNELS"), "ALIGNDISTIL_KERNELS");
    __atomic_store_n(&chosen, k, __ATOMIC_RELEASE);
    return k;
}

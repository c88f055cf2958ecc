#include "common/engine/kernels.h"
#include "common/base/fail.h"
#include <stdlib.h>
#include <string.h>

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512bf16;
#endif

static const struct kernels *pick(void) {
    const struct kernels *levels[4] = {&kernels_portable};
    int n = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        levels[n++] = &kernels_avx2;
    if (n == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        levels[n++] = &kernels_avx512;
    if (n == 3 && __builtin_cpu_supports("avx512bf16")) levels[n++] = &kernels_avx512bf16;
#endif
    const char *want = getenv("ALIGNDISTIL_KERNELS");
    if (!want || !*want) return levels[n - 1];
    for (int i = 0; i < n; i++)
        if (!strcmp(levels[i]->name, want)) return levels[i];
    die(EXIT_USAGE, "ALIGNDISTIL_KERNELS '%s' is not a level this CPU has; the best is '%s'", want,
        levels[n - 1]->name);
}

const struct kernels *kernels(void) {
    static const struct kernels *chosen; // written once with one value, whoever is first
    const struct kernels *k = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (!k) __atomic_store_n(&chosen, k = pick(), __ATOMIC_RELEASE);
    return k;
}

#include "common/engine/blas.h"
#include "common/engine/kernels.h"
#include "common/engine/levels.h"
#include "common/base/fail.h"
#include <stdlib.h>
#include <string.h>

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512bf16, kernels_amx;
#endif

// The levels of this build, the best last.
static const struct kernels *const levels[] = {
    &kernels_portable,
#if defined(__x86_64__)
    &kernels_avx2,
    &kernels_avx512,
    &kernels_avx512bf16,
#endif
#if defined(LEVEL_amx)
    &kernels_amx,
#endif
};
enum { LEVELS = sizeof levels / sizeof *levels };

#if defined(LEVEL_amx)
// AMX for bf16, which the system must have switched on, and grant to this process.
static bool tiles_here(void) {
    enum { LEAF = 7, BF16 = 1 << 22, TILES = 1 << 24, REQUEST = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && d & BF16 && d & TILES &&
           !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}
#endif

// How many of them this CPU says it has.
static int here(void) {
    int n = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) n = 2;
    if (n == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        n = 3;
    if (n == 3 && __builtin_cpu_supports("avx512bf16")) n = 4;
#endif
#if defined(LEVEL_amx)
    if (n == 4 && tiles_here()) n = 5;
#endif
    return n;
}

static const struct kernels *proven(const struct kernels *k, const char *who) {
    if (k == levels[0] || level_proves(k, levels[0])) return k;
    die(EXIT_FAILED, "%s '%s' multiplies wrongly on this CPU; choose another level", who, k->name);
}

static const struct kernels *with_blas(const struct kernels *own, const char *who) {
    static struct kernels level; // as `chosen` below
    if (strstr(blas_name(), "Prescott") && strcmp(own->name, "portable"))
        warn("OpenBLAS does not know this CPU and multiplies as on one of 2004; set "
             "OPENBLAS_CORETYPE=SKYLAKEX (with AVX-512) or HASWELL");
    level = *own;
    level.name = level.bits = blas_name();
    level.product = blas_multiply;
    return proven(&level, who);
}

static const struct kernels *pick(const char *want, const char *who) {
    int n = here();
    bool blas = want && *want ? !strcmp(want, "blas") : n == 1;
    if (blas && blas_name()) return with_blas(levels_best(levels, n), who);
    if (!want || !*want) return levels_best(levels, n);
    for (int i = 0; i < n; i++)
        if (!strcmp(levels[i]->name, want)) return proven(levels[i], who);
    if (blas) die(EXIT_USAGE, "%s 'blas' is not a level of this build: BLAS_LIBS was empty", who);
    die(EXIT_USAGE, "%s '%s' is not a level this CPU has; the best is '%s'", who, want,
        levels[n - 1]->name);
}

static const struct kernels *chosen; // written once with one value, whoever is first

void kernels_use(const struct kernels *k) {
    __atomic_store_n(&chosen, k, __ATOMIC_RELEASE);
}

void kernels_choose(const char *level) {
    if (level) kernels_use(pick(level, "--kernels"));
}

const struct kernels *kernels(void) {
    const struct kernels *k = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (k) return k;
    k = pick(getenv("ALIGNDISTIL_KERNELS"), "ALIGNDISTIL_KERNELS");
    kernels_use(k);
    return k;
}

static const struct kernels *named(const char *name) { // NULL: of another build, or a BLAS
    for (int i = 0; i < LEVELS; i++)
        if (!strcmp(levels[i]->name, name)) return levels[i];
    return NULL;
}

bool kernels_same_bits(const char *name, bool bf16) {
    const struct kernels *k = kernels(), *other = named(name);
    if (!other) return !strcmp(name, k->name);
    return !strcmp(k->bits, other->bits) && (!bf16 || k->tiles == other->tiles);
}

#include "common/base/parallel.h"
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Linux is needed, here (futex) and by the calls of its own elsewhere (renameat2, the cgroup's
// limits): there is no fallback.
//
// Workers wait for a job by spinning for a moment, then asleep: a job of microseconds should not
// pay for a system call, and a machine with other work should not pay for our spinning. Whoever
// comes late to a job finds nothing left to do; nobody waits for a worker that has not begun.
// The indices lie in shares, one a thread, the same ones in every job of n: what a thread has
// worked on is in its caches, and near it in memory, when its next job comes to it, and threads do
// not meet on one counter. Who is done with his own share helps with the next one's. Of a range
// half of what is left of a share is taken at a time: few pieces, and small ones at the end, where
// one core may be slower than another.
enum { SPINS = 2000, LINE = 64 };

struct share {
    _Alignas(LINE) atomic_size_t next;
    size_t end;
    atomic_bool inside; // its thread is at work on the open job
};

// The one team of the process; the signals and threads of C have no other place. What a worker
// needs to begin is one cache line that only the caller writes, and its share.
static struct {
    _Alignas(LINE) atomic_int call; // futex: changes with every job
    int threads;
    atomic_bool open, quit;
    struct share *share; // one for each thread
    size_t grain;        // of a range; 0: single indices
    void (*body)(void *self, size_t first, size_t last);
    void *self;
    _Alignas(LINE) atomic_int sleepers; // workers asleep on `call`
    pthread_t *worker;
} team = {.threads = 1};

static _Thread_local int self_index;
static _Thread_local bool busy; // inside a body

static void futex(atomic_int *word, int op, int value) {
    syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static size_t next_piece(size_t left) {
    if (!team.grain) return 1;
    if (left < 2 * team.grain) return left;
    return left / 2 > team.grain ? left / 2 : team.grain;
}

static void work_on(struct share *s) {
    size_t first = atomic_load(&s->next);
    while (first < s->end) { // reads only where nothing is left
        size_t n = next_piece(s->end - first);
        if (!atomic_compare_exchange_weak(&s->next, &first, first + n)) continue;
        team.body(team.self, first, first + n);
        first = atomic_load(&s->next);
    }
}

static void work(void) {
    busy = true;
    for (int i = 0; i < team.threads; i++) work_on(&team.share[(self_index + i) % team.threads]);
    busy = false;
}

static void wait_for_call(int seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&team.call) != seen) return;
        relax();
    }
    atomic_fetch_add(&team.sleepers, 1);
    while (atomic_load(&team.call) == seen) futex(&team.call, FUTEX_WAIT_PRIVATE, seen);
    atomic_fetch_sub(&team.sleepers, 1);
}

static void *serve(void *index) {
    self_index = (int)(size_t)index;
    atomic_bool *inside = &team.share[self_index].inside;
    int seen = 0;
    while (!atomic_load(&team.quit)) {
        wait_for_call(seen);
        seen = atomic_load(&team.call);
        atomic_store(inside, true); // then look: the caller closes, then looks at `inside`
        if (atomic_load(&team.open)) work();
        atomic_store_explicit(inside, false, memory_order_release);
    }
    return NULL;
}

static void call_workers(void) {
    atomic_fetch_add(&team.call, 1);
    if (atomic_load(&team.sleepers)) futex(&team.call, FUTEX_WAKE_PRIVATE, INT_MAX);
}

// In `parts` shares, for as many threads.
static void share_out(size_t n, size_t parts) {
    for (size_t i = 0; i < (size_t)team.threads; i++) {
        size_t first = i < parts ? n * i / parts : n;
        team.share[i].end = i < parts ? n * (i + 1) / parts : n;
        atomic_store(&team.share[i].next, first);
    }
}

static void wait_until_outside(const atomic_bool *inside) {
    for (int spins = 0; atomic_load(inside); spins++)
        if (spins < SPINS)
            relax();
        else
            sched_yield();
}

static void run(size_t n, size_t grain, void (*body)(void *self, size_t first, size_t last),
                void *self) {
    size_t most = grain ? (n + grain - 1) / grain : n, threads = (size_t)team.threads;
    if (!n) return;
    if (most == 1 || threads == 1 || busy) {
        body(self, 0, n);
        return;
    }
    team.grain = grain;
    team.body = body;
    team.self = self;
    share_out(n, most < threads ? most : threads);
    atomic_store(&team.open, true);
    call_workers();
    work();
    atomic_store(&team.open, false);
    for (int i = 1; i < team.threads; i++) wait_until_outside(&team.share[i].inside);
}

struct each {
    void (*body)(void *self, size_t i);
    void *self;
};

static void each_index(void *self, size_t first, size_t last) {
    const struct each *e = self;
    for (size_t i = first; i < last; i++) e->body(e->self, i);
}

void parallel_for(size_t n, void (*body)(void *self, size_t i), void *self) {
    struct each e = {body, self};
    run(n, 0, each_index, &e);
}

void parallel_range(size_t n, size_t grain, void (*body)(void *self, size_t first, size_t last),
                    void *self) {
    run(n, grain, body, self);
}

static int cgroup_limit(void) { // cgroup v2 quota in whole CPUs, or a large number
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!f) return INT_MAX;
    long quota = 0, period = 0;
    int n = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    if (n != 2 || quota <= 0 || period <= 0) return INT_MAX;
    long cpus = (quota + period - 1) / period;
    return cpus < 1 ? 1 : (int)cpus;
}

static int number_in(const char *variable) { // 0: not set
    const char *text = getenv(variable);
    return text ? atoi(text) : 0;
}

static int allowed_cpus(void) { // by the affinity mask and the cgroup
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int limit = cgroup_limit();
    if (limit < n) n = limit;
    return n < 1 ? 1 : n;
}

// A batch system may give a job CPUs that its launcher then keeps from the process.
static void compare_with_job(int allowed) {
    static const struct {
        const char *variable, *way_out;
    } systems[] = {
        {"SLURM_CPUS_PER_TASK", "srun needs --cpus-per-task=$SLURM_CPUS_PER_TASK of its own"},
        {"PBS_NUM_PPN", "see the launcher's binding of CPUs"},
        {"NSLOTS", "see the launcher's binding of CPUs"},
        {"LSB_DJOB_NUMPROC", "see the launcher's binding of CPUs"},
    };
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
        int given = number_in(systems[i].variable);
        if (given < 2 * allowed) continue;
        warn("%s is %d, but this process may use %d of these CPUs: %s", systems[i].variable, given,
             allowed, systems[i].way_out);
        return;
    }
}

static int default_threads(int allowed) {
    int cap = number_in("OMP_NUM_THREADS");
    return cap > 0 && cap < allowed ? cap : allowed;
}

static void dismiss(void) {
    atomic_store(&team.quit, true);
    call_workers();
    for (int i = 1; i < team.threads; i++) pthread_join(team.worker[i], NULL);
    free(team.worker);
    free(team.share);
    team.worker = NULL;
    team.share = NULL;
    team.threads = 1;
    atomic_store(&team.quit, false);
    atomic_store(&team.call, 0);
}

void parallel_init(int threads) {
    dismiss();
    int allowed = allowed_cpus(), n = threads > 0 ? threads : default_threads(allowed);
    compare_with_job(allowed);
    team.worker = xcalloc((size_t)n, sizeof *team.worker);
    team.share = aligned_alloc(LINE, (size_t)n * sizeof *team.share);
    if (!team.share) mem_lacks((size_t)n * sizeof *team.share);
    memset(team.share, 0, (size_t)n * sizeof *team.share);
    for (int i = 1; i < n; i++) {
        if (pthread_create(&team.worker[i], NULL, serve, (void *)(size_t)i)) break;
        team.threads = i + 1;
    }
}

int parallel_threads(void) {
    return team.threads;
}

int parallel_self(void) {
    return self_index;
}

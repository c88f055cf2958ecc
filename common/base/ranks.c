#include "common/base/ranks.h"
#include "common/base/clock.h"
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_MPI
#include <mpi.h>
#endif

enum { HOST = 64 };

static struct { // of the process, as the signals and threads of C are
    int self, count;
    bool threads;
    char (*host)[HOST]; // (count)
    struct ranks_traffic traffic;
} ranks = {.count = 1};

int ranks_count(void) {
    return ranks.count;
}

int ranks_self(void) {
    return ranks.self;
}

size_t ranks_share(size_t n, int rank) {
    return (size_t)((unsigned __int128)n * (unsigned)rank / (unsigned)ranks.count);
}

const char *ranks_host(int rank) {
    return ranks.host ? ranks.host[rank] : "";
}

bool ranks_threads(void) {
    return ranks.threads;
}

struct ranks_traffic ranks_traffic(void) {
    return ranks.traffic;
}

// How many processes a launcher says that it started; 1: none.
static int started(void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
                                            "SLURM_STEP_NUM_TASKS"};
    int most = 1;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *text = getenv(variables[i]);
        int n = text ? atoi(text) : 1;
        if (n > most) most = n;
    }
    return most;
}

#ifdef WITH_MPI

struct ranks_messages {
    MPI_Request *request;
    MPI_Status *status; // (most)
    size_t n, most;
};

const char *ranks_library(void) {
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int n;
    MPI_Get_library_version(text, &n);
    text[strcspn(text, ",\n")] = 0;
    for (char *c = text; *c; c++)
        if (*c == '\t') *c = ' ';
    return text;
}

// ---- waiting ----

static void rest(unsigned round) { // the longer it takes, the longer the sleep: at most 0.2 ms
    struct timespec t = {.tv_nsec = round < 1000 ? 20000 : 200000};
    if (round > 100) nanosleep(&t, NULL);
}

static void wait_for(MPI_Request *request, MPI_Status *status, size_t n) {
    int done = n == 0;
    double start = clock_seconds();
    for (unsigned round = 0; !done; round++) {
        MPI_Testall((int)n, request, &done, status);
        if (!done) rest(round);
    }
    ranks.traffic.seconds += clock_seconds() - start;
}

// ---- the beginning and the end ----

static void abort_all(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
}

// What leaves by exit(): all together, or in the middle of a run.
static void on_leaving(int code, void *unused) {
    int over = 0;
    (void)unused;
    MPI_Finalized(&over);
    if (over) return;
    if (code) abort_all(code);
    MPI_Finalize();
}

// ---- stdin for all ----

static struct {
    bool on;
    atomic_bool over;
    pthread_t thread;
    MPI_Comm comm;
    int from, to; // rank 0's own stdin; the pipe that has become stdin
} relay;

static void write_all(const char *text, ssize_t n) {
    for (ssize_t k; n > 0 && (k = write(relay.to, text, (size_t)n)) > 0; n -= k) text += k;
}

// Rank 0: what comes, to its own pipe and to the others; an empty message is the end.
static void *pass_on(void *unused) {
    char text[2048];
    (void)unused;
    for (ssize_t n = 1; n > 0;) {
        struct pollfd p = {.fd = relay.from, .events = POLLIN};
        bool ready = poll(&p, 1, 50) > 0, over = atomic_load(&relay.over);
        if (!ready && !over) continue;
        n = ready && !over ? read(relay.from, text, sizeof text) : 0;
        if (n < 0) n = 0;
        for (int r = 1; r < ranks.count; r++) MPI_Send(text, (int)n, MPI_BYTE, r, 2, relay.comm);
        write_all(text, n);
    }
    close(relay.to);
    return NULL;
}

static void *take_in(void *unused) {
    struct timespec moment = {.tv_nsec = 5000000};
    char text[2048];
    (void)unused;
    for (int n = 1; n > 0;) {
        int there = 0;
        MPI_Status s;
        MPI_Iprobe(0, 2, relay.comm, &there, &s);
        if (!there) {
            nanosleep(&moment, NULL);
            continue;
        }
        MPI_Get_count(&s, MPI_BYTE, &n);
        MPI_Recv(text, n, MPI_BYTE, 0, 2, relay.comm, MPI_STATUS_IGNORE);
        write_all(text, n);
    }
    close(relay.to);
    return NULL;
}

static void begin_relay(void) {
    int both[2];
    if (pipe(both)) die(EXIT_FAILED, "cannot make a pipe");
    relay.from = dup(STDIN_FILENO);
    relay.to = both[1];
    dup2(both[0], STDIN_FILENO);
    close(both[0]);
    MPI_Comm_dup(MPI_COMM_WORLD, &relay.comm);
    relay.on = !pthread_create(&relay.thread, NULL, ranks.self ? take_in : pass_on, NULL);
    if (!relay.on) die(EXIT_FAILED, "cannot start a thread");
}

static void end_relay(void) {
    if (!relay.on) return;
    atomic_store(&relay.over, true);
    close(STDIN_FILENO); // who still writes into it sees that nobody reads
    pthread_join(relay.thread, NULL);
    relay.on = false;
}

// Before a rank but the first one says why it cannot go on: where rank 0 cannot either, it says so
// and ends all meanwhile, and one line is enough. Rank 0 waits where what it misses may be a stdin
// that another one's end has closed.
static void wait_for_another(void) {
    bool first = ranks.self == 0;
    struct timespec t = {.tv_sec = first ? 1 : 2, .tv_nsec = 300000000};
    if (!first) t.tv_nsec = 5000000L * (ranks.self < 100 ? ranks.self : 100);
    if (first && !relay.on) return;
    signal(SIGTERM, SIG_DFL);
    while (nanosleep(&t, &t)) {
    }
}

static void learn_hosts(void) {
    ranks.host = xcalloc((size_t)ranks.count, HOST);
    gethostname(ranks.host[ranks.self], HOST - 1);
    ranks_merge(ranks.host, (size_t)ranks.count * HOST);
}

void ranks_begin(int argc, char **argv) {
    int wanted = started(), level;
    bool reads = false;
    guard_streams();
    if (wanted == 1) return;
    for (int i = 1; i < argc; i++) reads = reads || !strcmp(argv[i], "-");
    MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level);
    ranks.threads = level == MPI_THREAD_MULTIPLE;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks.count);
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks.self);
    on_exit(on_leaving, NULL);
    if (ranks.count == 1)
        die(EXIT_USAGE,
            "started %d times, but each sees itself alone: use the launcher of the MPI that this "
            "is built with (%s), under Slurm srun --mpi=pmix",
            wanted, ranks_library());
    learn_hosts();
    char who[HOST + 32] = "";
    if (ranks.self) {
        snprintf(who, sizeof who, "rank %d on %s: ", ranks.self, ranks_host(ranks.self));
        if (!freopen("/dev/null", "w", stdout)) die(EXIT_FAILED, "cannot open /dev/null");
    }
    fail_voice(&(struct fail_voice){ranks.self == 0, who, wait_for_another, abort_all});
    if (reads && !ranks.threads)
        die(EXIT_USAGE, "this MPI cannot pass on stdin beside its work; give the files by name");
    if (reads) begin_relay();
}

int ranks_end(int code) {
    if (ranks.count == 1) return code;
    end_relay();
    ranks_or(0);
    MPI_Finalize();
    free(ranks.host);
    ranks.host = NULL;
    return ranks.self ? EXIT_DONE : code;
}

// ---- collectives ----

void ranks_merge(void *data, size_t bytes) {
    enum { MOST = 1 << 26 };
    for (size_t at = 0; at < bytes && ranks.count > 1; at += MOST) {
        int n = bytes - at < MOST ? (int)(bytes - at) : MOST;
        MPI_Request r;
        MPI_Status s;
        MPI_Iallreduce(MPI_IN_PLACE, (char *)data + at, n, MPI_BYTE, MPI_BOR, MPI_COMM_WORLD, &r);
        wait_for(&r, &s, 1);
    }
}

// ---- messages ----

struct ranks_messages *ranks_messages_new(size_t most) {
    struct ranks_messages *m = xcalloc(1, sizeof *m);
    m->request = xmalloc((most ? most : 1) * sizeof *m->request);
    m->status = xmalloc((most ? most : 1) * sizeof *m->status);
    m->most = most;
    return m;
}

void ranks_messages_free(struct ranks_messages *m) {
    if (!m) return;
    free(m->request);
    free(m->status);
    free(m);
}

void ranks_send(struct ranks_messages *m, int to, const void *data, size_t bytes) {
    assert(m->n < m->most && bytes <= INT32_MAX);
    MPI_Isend(data, (int)bytes, MPI_BYTE, to, 1, MPI_COMM_WORLD, &m->request[m->n++]);
    ranks.traffic.bytes += bytes;
}

void ranks_receive(struct ranks_messages *m, int from, void *data, size_t bytes) {
    assert(m->n < m->most && bytes <= INT32_MAX);
    MPI_Irecv(data, (int)bytes, MPI_BYTE, from, 1, MPI_COMM_WORLD, &m->request[m->n++]);
}

bool ranks_over(struct ranks_messages *m) {
    int done = m->n == 0;
    if (!done) MPI_Testall((int)m->n, m->request, &done, m->status);
    if (done) m->n = 0;
    return done;
}

void ranks_wait(struct ranks_messages *m) {
    wait_for(m->request, m->status, m->n);
    m->n = 0;
}

#else

const char *ranks_library(void) {
    return NULL;
}

void ranks_begin(int argc, char **argv) {
    int wanted = started();
    (void)argc, (void)argv;
    if (wanted > 1)
        die(EXIT_USAGE,
            "started %d times, but this build knows no other ranks; build it with make MPI=1",
            wanted);
}

int ranks_end(int code) {
    return code;
}

void ranks_merge(void *data, size_t bytes) {
    (void)data, (void)bytes;
}

// One rank has nobody to send to.
struct ranks_messages *ranks_messages_new(size_t most) {
    (void)most;
    return NULL;
}

void ranks_messages_free(struct ranks_messages *m) {
    assert(!m);
}

void ranks_send(struct ranks_messages *m, int to, const void *data, size_t bytes) {
    (void)m, (void)to, (void)data, (void)bytes;
    assert(!"one rank");
}

void ranks_receive(struct ranks_messages *m, int from, void *data, size_t bytes) {
    ranks_send(m, from, data, bytes);
}

bool ranks_over(struct ranks_messages *m) {
    (void)m;
    return true;
}

void ranks_wait(struct ranks_messages *m) {
    (void)m;
}

#endif

// ---- made of these ----

unsigned ranks_or(unsigned flags) {
    ranks_merge(&flags, sizeof flags);
    return flags;
}

int ranks_differ(const void *data, size_t bytes) {
    int n = ranks.count, other = 0;
    char *all = xcalloc((size_t)n, bytes);
    memcpy(all + (size_t)ranks.self * bytes, data, bytes);
    ranks_merge(all, (size_t)n * bytes);
    for (int i = n - 1; i > 0; i--)
        if (memcmp(all, all + (size_t)i * bytes, bytes) != 0) other = i;
    free(all);
    return other;
}

void ranks_chain(double *x, size_t n, void (*add)(void *self, double *x), void *self) {
    struct ranks_messages *m = ranks_messages_new(1);
    bool last = ranks.self + 1 == ranks.count;
    if (ranks.self) {
        ranks_receive(m, ranks.self - 1, x, n * sizeof *x);
        ranks_wait(m);
    }
    add(self, x);
    if (!last) {
        ranks_send(m, ranks.self + 1, x, n * sizeof *x);
        ranks_wait(m);
        memset(x, 0, n * sizeof *x);
    }
    ranks_merge(x, n * sizeof *x);
    ranks_messages_free(m);
}

size_t ranks_collect(const void *own, size_t bytes, void **all) {
    size_t n = (size_t)ranks.count, *size = xcalloc(n, sizeof *size), at = 0;
    size[ranks.self] = bytes;
    ranks_merge(size, n * sizeof *size);
    struct ranks_messages *m = ranks_messages_new(n);
    if (ranks.self && bytes) ranks_send(m, 0, own, bytes);
    for (size_t i = 0; i < n && !ranks.self; i++) at += size[i];
    *all = ranks.self ? NULL : xmalloc(at ? at : 1);
    if (!ranks.self && bytes) memcpy(*all, own, bytes);
    for (size_t i = 1, to = bytes; i < n && !ranks.self; to += size[i++])
        if (size[i]) ranks_receive(m, (int)i, (char *)*all + to, size[i]);
    ranks_wait(m);
    ranks_messages_free(m);
    free(size);
    return at;
}

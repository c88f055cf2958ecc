#include "common/base/stop.h"
#include "common/base/fail.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Signal handlers take no argument of ours, so these are global.
static atomic_int requested; // 0: no; 1: asked to stop
static double deadline;      // monotonic seconds; 0: none

static int64_t nanoseconds(void) { // monotonic, never 0; async-signal-safe
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1 + t.tv_nsec + INT64_C(1000000000) * t.tv_sec;
}
static double now(void) {
    return 1e-9 * (double)nanoseconds();
}

static void put(const char *text) { // async-signal-safe
    size_t n = strlen(text);
    while (n) {
        ssize_t k = write(STDERR_FILENO, text, n);
        if (k <= 0) return;
        text += k;
        n -= (size_t)k;
    }
}

static void note(const char *reason) {
    if (!fail_is_alone())
        return; // who ends several ranks for another's failure does it by a signal
    if (isatty(STDERR_FILENO)) put("\r\033[K"); // a progress line may stand there
    put(program_invocation_short_name);
    put(": ");
    put(reason);
    put(": stopping at the last step boundary; a second signal exits at once\n");
}

// timeout(1) and launchers send a signal to the program and at once to its group, which it is in
// too: what comes together counts as one.
#define TOGETHER INT64_C(250000000)

static void on_signal(int sig) {
    int error = errno;
    static _Atomic int64_t first; // when; 0: no signal yet
    int64_t before = 0, t = nanoseconds();
    if (!atomic_compare_exchange_strong(&first, &before, t) && t - before > TOGETHER)
        _exit(128 + sig);
    if (!atomic_exchange(&requested, 1))
        note(sig == SIGINT    ? "SIGINT"
             : sig == SIGTERM ? "SIGTERM"
             : sig == SIGHUP  ? "SIGHUP"
                              : "SIGUSR1");
    errno = error;
}

void stop_init(double stop_after_seconds) {
    static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
    deadline = stop_after_seconds > 0 ? now() + stop_after_seconds : 0;
    // SA_RESTART: no library call sees EINTR, save poll(), which a wait for input should use
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    struct sigaction hangup;
    if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN) // nohup ignores it
        sigaction(SIGHUP, &action, NULL);
}

bool stop_requested(void) {
    if (atomic_load(&requested)) return true;
    if (deadline == 0 || now() < deadline) return false;
    if (!atomic_exchange(&requested, 1)) note("--stop-after has passed");
    return true;
}

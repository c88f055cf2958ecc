#include "common/base/stop.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Signal handlers take no argument of ours, so these are global.
static atomic_int requested; // 0: no; 1: asked to stop
static double deadline;      // monotonic seconds; 0: none

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
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
    if (isatty(STDERR_FILENO)) put("\r\033[K"); // a progress line may stand there
    put(program_invocation_short_name);
    put(": ");
    put(reason);
    put(": stopping at the last step boundary; a second signal exits at once\n");
}

static void on_signal(int sig) {
    int error = errno;
    static volatile sig_atomic_t signals;
    if (signals++) _exit(128 + sig);
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

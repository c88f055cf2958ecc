#include "common/base/pump.h"
#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/base/value.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AHEAD = 1 << 16, READ = 1 << 16 }; // bytes of questions made ahead; bytes read at once

struct run {
    const struct pump *p;
    struct fail *f;
    pid_t pid;
    int in, out;       // its stdin and stdout; -1: closed
    struct str asking; // made and not yet written, from `written` on
    size_t written, asked;
    struct str line; // of an answer, incomplete
    size_t answered;
};

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static bool start(struct run *r) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC)) return fail_set(r->f, EXIT_FAILED, "no pipe: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC)) {
        close(to[0]);
        close(to[1]);
        return fail_set(r->f, EXIT_FAILED, "no pipe: %s", strerror(errno));
    }
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t reset;
    int error = posix_spawn_file_actions_init(&files);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, to[0], STDIN_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, from[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&reset);
    sigaddset(&reset, SIGPIPE); // which we ignore, and it should not
    posix_spawnattr_setsigdefault(&attributes, &reset);
    posix_spawnattr_setpgroup(&attributes, 0); // a group of its own, to be ended as a whole
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    char *const argv[] = {"sh", "-c", (char *)r->p->command, NULL};
    if (!error) error = posix_spawn(&r->pid, "/bin/sh", &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    close(to[0]);
    close(from[1]);
    r->in = to[1];
    r->out = from[0];
    fcntl(r->in, F_SETFL, fcntl(r->in, F_GETFL) | O_NONBLOCK);
    fcntl(r->out, F_SETFL, fcntl(r->out, F_GETFL) | O_NONBLOCK);
    if (!error) return true;
    r->pid = 0;
    return fail_set(r->f, EXIT_FAILED, "cannot run the %s: %s", r->p->name, strerror(error));
}

static bool broke(const struct run *r, const char *what) {
    return fail_set(r->f, EXIT_FAILED, "cannot %s the %s '%s': %s", what, r->p->name, r->p->command,
                    strerror(errno));
}

// Writes what the pipe takes. A program that reads no further may still have answers.
static bool write_some(struct run *r) {
    while (r->asking.length - r->written < AHEAD && r->asked < r->p->questions) {
        if (r->written > AHEAD) {
            r->asking.length -= r->written;
            memmove(r->asking.text, r->asking.text + r->written, r->asking.length);
            r->written = 0;
        }
        r->p->ask(r->p->self, r->asked++, &r->asking);
    }
    ssize_t n = write(r->in, r->asking.text + r->written, r->asking.length - r->written);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0 && errno != EPIPE) return broke(r, "write to");
    if (n > 0) r->written += (size_t)n;
    if (n < 0 || (r->written == r->asking.length && r->asked == r->p->questions)) close_end(&r->in);
    return true;
}

static bool take_line(struct run *r) {
    const struct pump *p = r->p;
    if (r->line.length && r->line.text[r->line.length - 1] == '\r') r->line.length--;
    if (r->line.length && memchr(r->line.text, 0, r->line.length))
        return fail_set(r->f, EXIT_BADDATA,
                        "the %s's line %zu has a NUL byte in it; it must be text", p->name,
                        r->answered + 1);
    str_add(&r->line, "", 1); // so that there is a text, and its end
    if (r->answered == p->questions)
        return fail_set(
            r->f, EXIT_BADDATA,
            "the %s '%s' printed more than %zu lines; it must print one per line of its "
            "input",
            p->name, p->command, p->questions);
    bool ok = p->answer(p->self, r->answered, r->line.text, r->f);
    r->answered += ok;
    r->line.length = 0;
    return ok;
}

static bool read_some(struct run *r) {
    char bytes[READ];
    ssize_t n = read(r->out, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0) return broke(r, "read from");
    if (n == 0) {
        close_end(&r->out);
        return !r->line.length || take_line(r); // the last line may lack its end
    }
    for (char *at = bytes, *end = bytes + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        str_add(&r->line, at, (size_t)((stop ? stop : end) - at));
        if (r->line.length > PUMP_LINE)
            return fail_set(r->f, EXIT_BADDATA, "the %s's line %zu has more than %d bytes",
                            r->p->name, r->answered + 1, PUMP_LINE);
        if (stop && !take_line(r)) return false;
        at = stop ? stop + 1 : end;
    }
    return true;
}

// A stop or a deadline passes without a signal too: hence the short waits.
static bool talk(struct run *r) {
    enum { MILLISECONDS = 100 };
    double heard = clock_seconds();
    while (r->out >= 0) {
        struct pollfd fds[] = {{r->out, POLLIN, 0}, {r->in, POLLOUT, 0}}; // fd -1 is left out
        int n = poll(fds, 2, MILLISECONDS);
        if (stop_requested())
            return fail_set(
                r->f, EXIT_STOPPED,
                "stopped after %zu of %zu answers of the %s; run the same command again",
                r->answered, r->p->questions, r->p->name);
        if (n < 0 && errno != EINTR)
            return fail_set(r->f, EXIT_FAILED, "cannot wait for the %s: %s", r->p->name,
                            strerror(errno));
        if (n > 0) heard = clock_seconds();
        if (r->p->timeout > 0 && clock_seconds() - heard > r->p->timeout)
            return fail_set(r->f, EXIT_FAILED,
                            "the %s '%s' was silent for %g seconds after %zu of %zu answers",
                            r->p->name, r->p->command, r->p->timeout, r->answered, r->p->questions);
        if (n > 0 && fds[1].revents && !write_some(r)) return false;
        if (n > 0 && fds[0].revents && !read_some(r)) return false;
    }
    return true;
}

// Waits for its end, and returns its status. Where it broke off, it and all that it started get a
// moment to end by themselves, then SIGTERM, then SIGKILL.
static int reap(const struct run *r) {
    const struct timespec pause = {0, 10 * 1000 * 1000};
    siginfo_t end = {0};
    int status = 0;
    bool whole = !r->f->code && r->answered == r->p->questions;
    for (int i = 0; !whole && end.si_pid == 0 && i < 75; i++) {
        waitid(P_PID, (id_t)r->pid, &end, WEXITED | WNOHANG | WNOWAIT);
        if (end.si_pid) break;
        if (i == 25) kill(-r->pid, SIGTERM);
        nanosleep(&pause, NULL);
    }
    if (!whole) kill(-r->pid, SIGKILL); // before its number can be another's
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) continue;
    return status;
}

static void check_end(const struct run *r, int status) {
    const struct pump *p = r->p;
    if (WIFSIGNALED(status))
        fail_set(r->f, EXIT_FAILED, "the %s '%s' was killed by signal %d after %zu of %zu answers",
                 p->name, p->command, WTERMSIG(status), r->answered, p->questions);
    if (WEXITSTATUS(status))
        fail_set(r->f, EXIT_FAILED, "the %s '%s' exited with status %d after %zu of %zu answers",
                 p->name, p->command, WEXITSTATUS(status), r->answered, p->questions);
    if (r->answered < p->questions)
        fail_set(r->f, EXIT_BADDATA,
                 "the %s '%s' printed %zu lines for %zu lines of input; it must "
                 "print one for each",
                 p->name, p->command, r->answered, p->questions);
}

bool pump_run(const struct pump *p, struct fail *f) {
    struct run r = {.p = p, .f = f, .in = -1, .out = -1};
    if (start(&r)) talk(&r);
    close_end(&r.in);
    close_end(&r.out);
    if (r.pid > 0) {
        int status = reap(&r);
        if (!f->code) check_end(&r, status);
    }
    str_release(&r.asking);
    str_release(&r.line);
    return !f->code;
}

bool pump_number(const char *line, double *value) {
    static const char blank[] = " \t";
    size_t skip = strspn(line, blank), n = strlen(line + skip);
    while (n && strchr(blank, line[skip + n - 1])) n--;
    char word[64];
    if (n >= sizeof word) return false;
    memcpy(word, line + skip, n);
    word[n] = 0;
    double v;
    if (!value_real(word, &v) || !isfinite(v)) return false;
    *value = v;
    return true;
}

void pump_excerpt(const char *line, char excerpt[PUMP_EXCERPT]) {
    size_t n = 0;
    for (; line[n] && n < PUMP_EXCERPT - 4; n++)
        excerpt[n] = line[n] >= ' ' && line[n] < 0x7f ? line[n] : '?';
    strcpy(excerpt + n, line[n] ? "..." : "");
}

#include "common/base/log.h"
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PLAIN_SECONDS = 30 };              // between plain lines
static const double redraw_seconds = 0.1; // between redrawn ones

struct log {
    bool quiet, verbose, redraw, progress;
    bool on_line; // a redrawn line stands on the terminal
    char what[32];
    char *numbers;
    double start, last; // seconds
    uint64_t first, done, total, drawn;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct log *log_open(const char *progress, bool quiet, bool verbose) {
    struct log *l = xcalloc(1, sizeof *l);
    bool always = progress && !strcmp(progress, "always");
    bool never = progress && !strcmp(progress, "never");
    l->quiet = quiet;
    l->verbose = verbose && !quiet;
    l->progress = !never && (!quiet || always);
    l->redraw = always || isatty(STDERR_FILENO);
    return l;
}

void log_clear(struct log *l) {
    if (!l || !l->on_line) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    l->on_line = false;
}

static void say(struct log *l, const char *format, va_list args) {
    log_clear(l);
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
}

void log_note(struct log *l, const char *format, ...) {
    if (!l || l->quiet) return;
    va_list args;
    va_start(args, format);
    say(l, format, args);
    va_end(args);
}

void log_detail(struct log *l, const char *format, ...) {
    if (!l || !l->verbose) return;
    va_list args;
    va_start(args, format);
    say(l, format, args);
    va_end(args);
}

void log_time(double seconds, char text[32]) {
    if (!(seconds < 1e8)) { // also nan
        strcpy(text, "?");
        return;
    }
    long s = lround(seconds);
    if (s < 60)
        snprintf(text, 32, "%lds", s);
    else if (s < 3600)
        snprintf(text, 32, "%ldm%02lds", s / 60, s % 60);
    else
        snprintf(text, 32, "%ldh%02ldm", s / 3600, s / 60 % 60);
}

enum { BAR = 20 }; // columns

static void add_bar(struct str *s, double share) {
    int full = (int)(share * BAR);
    str_puts(s, "[");
    for (int i = 0; i < BAR; i++) str_puts(s, i < full ? "=" : i == full ? ">" : " ");
    str_puts(s, "] ");
}

static void add_times(const struct log *l, double elapsed, bool known, struct str *s) {
    double rate = elapsed > 0 ? (double)(l->done - l->first) / elapsed : 0;
    char text[32];
    if (!l->numbers && rate > 0) str_printf(s, ", %.3g %ss/s", rate, l->what);
    log_time(elapsed, text);
    str_printf(s, ", %s", text);
    if (!(rate > 0) || !known || l->done == l->total) return;
    log_time((double)(l->total - l->done) / rate, text);
    str_printf(s, ", %s left", text);
}

static void progress_text(const struct log *l, double t, struct str *s) {
    bool known = l->total >= l->done && l->total;
    str_printf(s, "%s %llu", l->what, (unsigned long long)l->done);
    if (known)
        str_printf(s, "/%llu (%.0f%%)", (unsigned long long)l->total,
                   100 * (double)l->done / (double)l->total);
    if (l->numbers) str_printf(s, ", %s", l->numbers);
    add_times(l, t - l->start, known, s);
}

// Columns of the terminal; a line that were longer would be drawn below itself.
static size_t columns(void) {
    struct winsize size;
    bool known = !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 1;
    return known ? size.ws_col - 1u : SIZE_MAX;
}

static void redraw(const struct log *l, const char *text) {
    struct str s = {0};
    size_t most = columns();
    str_printf(&s, "%s: ", program_invocation_short_name);
    size_t all = s.length + strlen(text);
    if (l->total >= l->done && l->total && all + BAR + 3 <= most)
        add_bar(&s, (double)l->done / (double)l->total);
    str_puts(&s, text);
    if (s.length > most) s.text[most] = 0;
    fprintf(stderr, "\r\033[K%s", s.text);
    str_release(&s);
}

static void draw(struct log *l, double t) {
    struct str s = {0};
    progress_text(l, t, &s);
    if (l->redraw)
        redraw(l, s.text);
    else
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, s.text);
    fflush(stderr);
    l->on_line = l->redraw;
    l->last = t;
    l->drawn = l->done;
    str_release(&s);
}

void log_progress(struct log *l, const char *what, uint64_t done, uint64_t total,
                  const char *numbers) {
    if (!l || !l->progress) return;
    double t = now();
    if (strncmp(l->what, what, sizeof l->what - 1) != 0 || done < l->done) { // another count begins
        snprintf(l->what, sizeof l->what, "%s", what);
        l->start = l->last = t;
        l->first = done;
    }
    l->done = done;
    l->total = total;
    free(l->numbers);
    l->numbers = numbers ? xstrdup(numbers) : NULL;
    if (t - l->last >= (l->redraw ? redraw_seconds : PLAIN_SECONDS)) draw(l, t);
}

void log_drop_progress(struct log *l) {
    if (!l) return;
    log_clear(l);
    l->what[0] = 0;
}

void log_end_progress(struct log *l) {
    if (!l || !l->progress || !l->what[0]) return;
    bool last = l->on_line && l->drawn == l->done; // stands there already
    bool due = l->redraw ? !last : now() - l->start >= PLAIN_SECONDS && l->drawn != l->done;
    if (due) draw(l, now());
    if (l->on_line) fputs("\n", stderr);
    l->on_line = false;
    l->what[0] = 0;
}

void log_close(struct log *l) {
    if (l && l->on_line) fputs("\n", stderr);
    if (l) free(l->numbers);
    free(l);
}

// ---- stdout -------------------------------------------------------------------------------------

void guard_streams(void) {
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd <= 2; fd++) // a closed one would become some file's number
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            _exit(EXIT_FAILED);
}

// Who reads our stdout and has seen enough closes it (`| head`): no failure to speak of.
static _Noreturn void stdout_failed(int error) {
    if (error == EPIPE) exit(EXIT_PIPE);
    die(EXIT_FAILED, "cannot write to 'stdout': %s; results that are whole stay in their files",
        strerror(error));
}

void print_result(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vprintf(format, args);
    va_end(args);
    if (n < 0 || putchar('\n') == EOF || fflush(stdout) == EOF) stdout_failed(errno);
}

void finish_stdout(void) {
    if (ferror(stdout) || fclose(stdout) == EOF) stdout_failed(errno);
}

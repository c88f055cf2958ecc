// campaign NAME WHICH SEEN PROGRAM ARGUMENTS...   in an empty folder with the command's inputs
//
// One command of stages.bash, which writes into the folder o, with its calls of the system failing
// or killing it (inject/): after each fault what stages.bash asks for must hold. WHICH:
//   sites   every call that touches files or makes a thread; of allocations the first at each
//           call site (each distinct stack); of those inside libhdf5, whose sites are the same in
//           all commands, the ones that are not in the file SEEN yet
//   all     every call
//   N       N of each kind, spread over the calls; DISTURB_SEED picks the first
// KINDS="read write" picks. Prints what is wrong, then a line: NAME, the calls of each kind,
// faults, done, failed, killed, lost in libhdf5, wrong.
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "formats/bytes/hash.h"
#include "tests/fault/inject/inject.h"
#include "tests/fault/state.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name, *whats[3];
} kinds[KINDS] = {{"open", {"24"}},                // EMFILE
                  {"read", {"5", "116"}},          // EIO, ESTALE
                  {"write", {"5", "28+", "kill"}}, // EIO, ENOSPC from there on
                  {"fsync", {"5", "kill"}},
                  {"rename", {"5", "kill"}},
                  {"unlink", {"kill"}},
                  {"malloc", {"12", "12+"}}, // ENOMEM
                  {"inside", {"12"}},
                  {"thread", {"11"}}}; // EAGAIN

enum outcome { DONE, FAILED, KILLED, LOST, WRONG, OUTCOMES };

struct sites {
    size_t n, capacity;
    uint64_t *site;
};

struct campaign {
    const char *name, *which, *seen_path, *picked;
    FILE *to, *from;                       // the server of inject/serve.c
    struct state sums;                     // of the undisturbed output
    struct sites calls[KINDS], seen, fine; // fine: states from which it is known to go on well
    size_t tried, outcomes[OUTCOMES];
    uint64_t seed;
};

static void add_site(struct sites *s, uint64_t site) {
    grow(&s->site, &s->capacity, s->n + 1, sizeof *s->site);
    s->site[s->n++] = site;
}

static bool has_site(const struct sites *s, uint64_t site) {
    for (size_t i = 0; i < s->n; i++)
        if (s->site[i] == site) return true;
    return false;
}

// ---- the server

static void serve(struct campaign *c, char **command) {
    int to[2], from[2];
    if (pipe(to) || pipe(from)) die(EXIT_FAILED, "cannot make pipes");
    if (!fork()) {
        setenv("INJECT_SERVE", "1", 1);
        setenv("LD_PRELOAD", getenv("INJECT_LIBRARY"), 1);
        dup2(to[0], 0);
        dup2(from[1], 1);
        for (int i = 0; i < 2; i++) close(to[i]), close(from[i]);
        execv(command[0], command);
        _exit(125);
    }
    close(to[0]);
    close(from[1]);
    c->to = fdopen(to[1], "w");
    c->from = fdopen(from[0], "r");
}

// Runs it in a fresh or in the present folder o; the exit code, 128 more than a signal, and the
// site of the fault.
static int run(struct campaign *c, const char *request, uint64_t *hit) {
    int status = 0;
    fprintf(c->to, "%s\n", request);
    fflush(c->to);
    if (fscanf(c->from, "%d %" SCNx64, &status, hit) != 2)
        die(EXIT_FAILED, "%s: the server of '%s' is gone", c->name, request);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_plain(struct campaign *c) {
    uint64_t hit;
    return run(c, "run -", &hit);
}

static void list_calls(struct campaign *c) {
    char kind[16];
    uint64_t site;
    state_clear("o");
    int code = run(c, "list calls", &site);
    FILE *file = fopen("calls", "r");
    if (code || !file) die(EXIT_FAILED, "%s: exit %d when its calls were listed", c->name, code);
    while (fscanf(file, "%15s %" SCNx64, kind, &site) == 2)
        for (int k = 0; k < KINDS; k++)
            if (!strcmp(kind, kinds[k].name)) add_site(&c->calls[k], site);
    fclose(file);
}

// ---- what must hold

static void wrong(struct campaign *c, const char *how, const char *what, const char *more) {
    printf("%s, %s: %s%s\n", c->name, how, what, more);
    c->outcomes[WRONG]++;
}

// What it said: its first line, and how many there are.
static char *first_line(size_t *lines) {
    static char line[600];
    FILE *file = fopen("err", "r");
    *lines = 0;
    *line = 0;
    for (int ch; file && (ch = getc(file)) != EOF;) {
        size_t n = strlen(line);
        if (!*lines && ch != '\n' && n + 1 < sizeof line) line[n] = (char)ch, line[n + 1] = 0;
        *lines += ch == '\n';
    }
    if (file) fclose(file);
    return line;
}

static void check_code(struct campaign *c, int code, bool inside, const char *how) {
    char text[40];
    size_t lines;
    const char *said = first_line(&lines);
    snprintf(text, sizeof text, "exit %d: ", code);
    // libhdf5 1.10.8 looks at few of its allocations: what it does without is its own
    bool lost =
        inside && (code == 128 + SIGABRT || code == 128 + SIGSEGV || code == 3 || code == 255);
    if (code == EXIT_DONE)
        c->outcomes[DONE]++;
    else if (code == 128 + SIGKILL)
        c->outcomes[KILLED]++;
    else if (lost || (inside && code == EXIT_FAILED && lines != 1))
        c->outcomes[LOST]++;
    else if (code == EXIT_FAILED && lines == 1)
        c->outcomes[FAILED]++;
    else
        wrong(c, how, code == EXIT_FAILED ? "not one line: " : text, said);
}

// The command again, undisturbed: it must give the right files and nothing beside them.
static void go_on(struct campaign *c, const struct state *left, const char *how) {
    uint64_t from = state_hash(left);
    size_t lines;
    if (has_site(&c->fine, from)) return;
    int code = run_plain(c);
    struct state now = state_of("o");
    char *difference = state_difference(&now, &c->sums);
    if (code) wrong(c, how, "when run again: ", first_line(&lines));
    if (!code && difference) wrong(c, how, "other files after running again: ", difference);
    if (!code && !difference) add_site(&c->fine, from);
    free(difference);
    state_release(&now);
}

// A page that says which file it goes without, as libhdf5 took it for a damaged one.
static bool goes_without(void) {
    size_t lines;
    return strstr(first_line(&lines), "; the page goes without it") && lines == 1;
}

static void judge(struct campaign *c, int code, bool inside, const char *how) {
    struct state left = state_of("o");
    char *difference = state_difference(&left, &c->sums);
    bool lost = inside && !code && difference && goes_without();
    if (lost)
        c->outcomes[LOST]++;
    else
        check_code(c, code, inside, how);
    if (!code && difference && !lost) wrong(c, how, "exit 0 and other files: ", difference);
    const char *partial = code ? state_partial(&left, &c->sums) : NULL;
    if (partial) wrong(c, how, "under a final name and not what it should be: ", partial);
    if (code) go_on(c, &left, how);
    free(difference);
    state_release(&left);
}

// ---- the faults

static void fault(struct campaign *c, int kind, size_t n, const char *what) {
    char how[120], request[120];
    uint64_t site = c->calls[kind].site[n], hit;
    bool by_site = kind == MALLOC || kind == INSIDE;
    snprintf(request, sizeof request, "run %s:%zu:%s", kinds[kind].name, n + 1, what);
    snprintf(how, sizeof how, "%s %zu of %zu, %s", kinds[kind].name, n + 1, c->calls[kind].n, what);
    state_clear("o");
    int code = run(c, request, &hit);
    if (by_site && hit != site) { // threads came in another order
        snprintf(request, sizeof request, "run %s:1:%s:%016" PRIx64, kinds[kind].name, what, site);
        state_clear("o");
        code = run(c, request, &hit);
    }
    c->tried++;
    judge(c, code, kind == INSIDE, how);
}

static bool is_first(const struct sites *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s->site[i] == s->site[n]) return false;
    return true;
}

// Whether the n-th call of a kind is to fail, of those that are spread by `step`.
static bool is_chosen(struct campaign *c, int kind, size_t n, size_t step) {
    const struct sites *s = &c->calls[kind];
    if (strcmp(c->which, "sites") != 0) return n % step == c->seed % step;
    if (kind == MALLOC) return is_first(s, n);
    if (kind != INSIDE) return true;
    if (has_site(&c->seen, s->site[n])) return false;
    add_site(&c->seen, s->site[n]);
    FILE *file = fopen(c->seen_path, "a");
    if (file) fprintf(file, "%016" PRIx64 "\n", s->site[n]), fclose(file);
    return true;
}

static void each_call(struct campaign *c, int kind) {
    size_t n = c->calls[kind].n, budget = strtoull(c->which, NULL, 10);
    size_t step = budget ? (n + budget - 1) / budget : 1;
    if (c->picked && !strstr(c->picked, kinds[kind].name)) return;
    c->seed += 7;
    for (size_t i = 0; i < n; i++) {
        if (!is_chosen(c, kind, i, step ? step : 1)) continue;
        for (int w = 0; w < 3 && kinds[kind].whats[w]; w++) fault(c, kind, i, kinds[kind].whats[w]);
    }
}

static void read_seen(struct campaign *c) {
    FILE *file = fopen(c->seen_path, "r");
    uint64_t site;
    while (file && fscanf(file, "%" SCNx64, &site) == 1) add_site(&c->seen, site);
    if (file) fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 5 || !getenv("INJECT_LIBRARY")) die(EXIT_USAGE, "see the top of campaign.c");
    const char *seed = getenv("DISTURB_SEED");
    struct campaign c = {.name = argv[1],
                         .which = argv[2],
                         .seen_path = argv[3],
                         .picked = getenv("KINDS"),
                         .seed = seed ? strtoull(seed, NULL, 10) : 1};
    signal(SIGPIPE, SIG_IGN);
    serve(&c, argv + 4);
    state_clear("o");
    int code = run_plain(&c);
    if (code) die(EXIT_FAILED, "%s: exit %d undisturbed", c.name, code);
    c.sums = state_of("o");
    struct state nothing = {0};
    add_site(&c.fine, state_hash(&nothing));
    list_calls(&c);
    read_seen(&c);
    for (int k = 0; k < KINDS; k++) each_call(&c, k);
    printf("%-18s", c.name);
    for (int k = 0; k < KINDS; k++) printf(" %7zu", c.calls[k].n);
    printf(" %7zu", c.tried);
    for (int o = 0; o < OUTCOMES; o++) printf(" %7zu", c.outcomes[o]);
    printf("\n");
    return c.outcomes[WRONG] != 0;
}

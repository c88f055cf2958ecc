// The calls that fail or kill. Driven by serve.c, or from the environment:
//   INJECT=KIND:N:WHAT[:SITE]  KIND: one of `names` below; N from 1, counted from main, of those
//                              at the call site SITE (16 hex digits) where that is given
//                              WHAT: kill (SIGKILL), or the number of an errno: this call fails
//                              with it; with a + behind it, so do all that follow (a full disk)
// What is counted: open, openat, fopen; read, pread; write, pwrite, fwrite and fflush but not of
// stderr; fsync, fdatasync; rename, renameat2, mkdir; unlink; malloc, calloc, realloc, aligned, but
// those that libhdf5 calls as `inside`; pthread_create. The names of 64 bits count as the plain
// ones.
#include "inject.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const inject_names[KINDS] = {"open",   "read",   "write",  "fsync", "rename",
                                         "unlink", "malloc", "inside", "thread"};
static atomic_long calls[KINDS];
static atomic_bool armed;
static struct inject plan = {.kind = -1};
static struct inject_seen *seen;
static _Thread_local bool looking; // the calls of inject_site itself do not count

bool inject_parse(const char *text, struct inject *to) {
    char kind[16] = "", what[16] = "";
    *to = (struct inject){.kind = -1};
    if (sscanf(text, "%15[a-z]:%ld:%15[^:]:%" SCNx64, kind, &to->at, what, &to->site) < 3)
        return false;
    for (int k = 0; k < KINDS; k++)
        if (!strcmp(kind, inject_names[k])) to->kind = k;
    to->error = atoi(what);
    to->onwards = strchr(what, '+');
    return to->kind >= 0 && to->at > 0 && (to->error || !strcmp(what, "kill"));
}

void inject_arm(const struct inject *what, struct inject_seen *by) {
    plan = *what;
    seen = by;
    atomic_store(&armed, true);
}

static void list_call(enum inject_kind k, uint64_t site) {
    long n = __atomic_fetch_add(&seen->calls, 1, __ATOMIC_RELAXED);
    if (n < seen->most) seen->call[n].site = site, seen->call[n].kind = k;
}

// Whether this call is to fail; errno is set.
static bool fails(enum inject_kind k) {
    if (!atomic_load(&armed) || looking) return false;
    bool list = seen && seen->list, here = (int)k == plan.kind;
    uint64_t site = 0;
    if (list || (here && plan.site)) {
        looking = true;
        site = inject_site();
        looking = false;
    }
    if (list) list_call(k, site);
    if (!here || (plan.site && site != plan.site)) return false;
    long n = atomic_fetch_add(&calls[k], 1) + 1;
    if (n < plan.at || (n > plan.at && !plan.onwards)) return false;
    if (seen && n == plan.at) {
        looking = true;
        seen->hit = site ? site : inject_site();
        looking = false;
    }
    if (!plan.error) kill(getpid(), SIGKILL);
    errno = plan.error;
    return true;
}

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

// ---- files ----

#define OPENS(name)                                                                                \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(name);                                                                                \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        return fails(OPEN) ? -1 : real(path, flags, mode);                                         \
    }
OPENS(open)
OPENS(open64)

#define STREAMS(name)                                                                              \
    FILE *name(const char *path, const char *mode) {                                               \
        REAL(name);                                                                                \
        return fails(OPEN) ? NULL : real(path, mode);                                              \
    }
STREAMS(fopen)
STREAMS(fopen64)

ssize_t read(int fd, void *to, size_t n) {
    REAL(read);
    return fails(READ) ? -1 : real(fd, to, n);
}

#define PREADS(name)                                                                               \
    ssize_t name(int fd, void *to, size_t n, off_t offset) {                                       \
        REAL(name);                                                                                \
        return fails(READ) ? -1 : real(fd, to, n, offset);                                         \
    }
PREADS(pread)
PREADS(pread64)

ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    return fd != 2 && fails(WRITE) ? -1 : real(fd, from, n);
}

#define PWRITES(name)                                                                              \
    ssize_t name(int fd, const void *from, size_t n, off_t offset) {                               \
        REAL(name);                                                                                \
        return fails(WRITE) ? -1 : real(fd, from, n, offset);                                      \
    }
PWRITES(pwrite)
PWRITES(pwrite64)

enum { ERROR_SEEN = 0x20 }; // glibc's flag behind ferror

size_t fwrite(const void *from, size_t size, size_t n, FILE *file) {
    REAL(fwrite);
    if (file == stderr || !fails(WRITE)) return real(from, size, n, file);
    file->_flags |= ERROR_SEEN;
    return 0;
}

int fflush(FILE *file) {
    REAL(fflush);
    if (!file || file == stderr || !fails(WRITE)) return real(file);
    file->_flags |= ERROR_SEEN;
    return EOF;
}

#define PLAIN(kind, name, declared, ...)                                                           \
    int name declared {                                                                            \
        REAL(name);                                                                                \
        return fails(kind) ? -1 : real(__VA_ARGS__);                                               \
    }
PLAIN(FSYNC, fsync, (int fd), fd)
PLAIN(FSYNC, fdatasync, (int fd), fd)
PLAIN(RENAME, rename, (const char *from, const char *to), from, to)
PLAIN(RENAME, renameat2, (int a, const char *from, int b, const char *to, unsigned how), a, from, b,
      to, how)
PLAIN(UNLINK, unlink, (const char *path), path)
PLAIN(RENAME, mkdir, (const char *path, mode_t mode), path, mode)

// ---- memory: glibc's own names, for dlsym allocates ----

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

#define ALLOCATION memory_of((uintptr_t)__builtin_return_address(0))
static enum inject_kind memory_of(uintptr_t caller) {
    return inject_in_hdf5(caller) ? INSIDE : MALLOC;
}

void *malloc(size_t n) {
    return fails(ALLOCATION) ? NULL : __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    return fails(ALLOCATION) ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    return fails(ALLOCATION) ? NULL : __libc_realloc(p, n);
}
char *strdup(const char *text) { // whose own call of malloc would count as libc's
    size_t n = strlen(text) + 1;
    char *copy = fails(ALLOCATION) ? NULL : __libc_malloc(n);
    return copy ? memcpy(copy, text, n) : NULL;
}
void *aligned_alloc(size_t to, size_t n) {
    return fails(ALLOCATION) ? NULL : __libc_memalign(to, n);
}
int posix_memalign(void **p, size_t to, size_t n) {
    return fails(ALLOCATION) || !(*p = __libc_memalign(to, n)) ? ENOMEM : 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *),
                   void *self) {
    REAL(pthread_create);
    return fails(THREAD) ? EAGAIN : real(thread, how, start, self);
}

// ---- from main on ----

static int (*main_of_program)(int, char **, char **);
static int counted_main(int argc, char **argv, char **environment) {
    struct inject wanted;
    const char *text = getenv("INJECT");
    inject_find_libraries();
    unsetenv("LD_PRELOAD"); // its children are not meant
    inject_serve(main_of_program, argc, argv, environment);
    if (text && !inject_parse(text, &wanted)) {
        fprintf(stderr, "inject: '%s' is not KIND:N:WHAT[:SITE]\n", text);
        _exit(2);
    }
    if (text) inject_arm(&wanted, NULL);
    return main_of_program(argc, argv, environment);
}

int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv,
                      void (*init)(void), void (*fini)(void), void (*loader)(void), void *stack) {
    int (*real)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                void (*)(void), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "__libc_start_main");
    main_of_program = program;
    return real(counted_main, argc, argv, init, fini, loader, stack);
}

#include "formats/bytes/input.h"
#include "common/base/path.h"
#include "common/base/stop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static bool cannot(const char *what, const char *name, int error, struct fail *f) {
    return fail_set(f, fail_code_of(error), "cannot %s '%s': %s", what, name, strerror(error));
}

// Not for what open() would hang on or change: sockets and block devices are refused unopened.
static int open_checked(const char *path, struct stat *st, struct fail *f) {
    if (stat(path, st)) {
        cannot("open", path, errno, f);
        return -1;
    }
    if (S_ISDIR(st->st_mode) || S_ISSOCK(st->st_mode) || S_ISBLK(st->st_mode)) {
        fail_set(f, EXIT_BADDATA, "cannot read '%s': it is %s; name a file", path,
                 path_kind(st->st_mode));
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) cannot("open", path, errno, f);
    return fd;
}

int input_open(const char *path, struct fail *f) {
    struct stat st;
    if (f->code) return -1;
    return strcmp(path, "-") ? open_checked(path, &st, f) : STDIN_FILENO;
}

void input_close(int fd) {
    if (fd > STDIN_FILENO) close(fd);
}

// A deadline passes without a signal: hence the timeout. Regular files are always ready.
static bool wait_for(int fd, const char *name, struct fail *f) {
    enum { MILLISECONDS = 100 };
    struct pollfd input = {.fd = fd, .events = POLLIN};
    while (poll(&input, 1, MILLISECONDS) <= 0)
        if (stop_requested())
            return fail_set(f, EXIT_STOPPED,
                            "stopped while it waited for '%s'; run the same command again", name);
    return true;
}

ssize_t input_read(int fd, const char *name, void *to, size_t n, struct fail *f) {
    if (f->code) return -1;
    if (!strcmp(name, "-")) name = "stdin";
    while (wait_for(fd, name, f)) {
        ssize_t got = read(fd, to, n);
        if (got >= 0) return got;
        if (errno == EINTR || errno == EAGAIN) continue;
        cannot("read", name, errno, f);
        break;
    }
    return -1;
}

bool input_read_at(int fd, const char *name, void *to, size_t n, size_t offset, struct fail *f) {
    for (ssize_t got; n; to = (char *)to + got, offset += (size_t)got, n -= (size_t)got) {
        do got = pread(fd, to, n, (off_t)offset);
        while (got < 0 && errno == EINTR);
        if (got < 0) return cannot("read", name, errno, f);
        if (!got)
            return fail_set(f, EXIT_BADDATA, "'%s' became shorter while it was being read", name);
    }
    return true;
}

bool input_is_file(const char *path, const char *hint, struct fail *f) {
    struct stat st;
    if (f->code) return false;
    if (stat(path, &st) || (S_ISREG(st.st_mode) && access(path, R_OK)))
        return cannot("open", path, errno, f);
    if (S_ISREG(st.st_mode)) return true;
    return fail_set(f, EXIT_BADDATA, "'%s' is %s, not a regular file%s%s", path,
                    path_kind(st.st_mode), *hint ? "; " : "", hint);
}

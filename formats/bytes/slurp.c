#include "formats/bytes/slurp.h"
#include "common/base/mem.h"
#include "formats/bytes/file_kind.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *read_all(int fd, const char *path, size_t limit, size_t *n, struct fail *f) {
    struct str s = {0};
    for (;;) {
        grow(&s.text, &s.capacity, s.length + 65536, 1);
        ssize_t got = read(fd, s.text + s.length, s.capacity - s.length - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail_set(f, EXIT_BADDATA, "cannot read '%s': %s", path, strerror(errno));
        if (got > 0) s.length += (size_t)got;
        if (s.length > limit)
            fail_set(f, EXIT_BADDATA, "too large: '%s' is over %zu bytes", path, limit);
        if (got <= 0 || f->code) break;
    }
    s.text[s.length] = 0;
    *n = s.length;
    if (!f->code) return s.text;
    str_release(&s);
    return NULL;
}

char *slurp(const char *path, size_t limit, size_t *n, struct fail *f) {
    *n = 0;
    if (f->code) return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_set(f, EXIT_BADDATA, "cannot open '%s': %s", path, strerror(errno));
        return NULL;
    }
    char *text = file_kind_foreign(path, f) ? read_all(fd, path, limit, n, f) : NULL;
    close(fd);
    return text;
}

char *slurp_optional(const char *path, size_t limit, size_t *n, struct fail *f) {
    *n = 0;
    if (access(path, F_OK) && errno == ENOENT) return NULL;
    return slurp(path, limit, n, f);
}

bool slurp_can(const char *path, struct fail *f) {
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &s) == 0;
    if (!ok) fail_set(f, EXIT_BADDATA, "cannot open '%s': %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    if (ok && !S_ISREG(s.st_mode))
        return fail_set(f, EXIT_BADDATA, "'%s' is not a regular file; a folder needs import", path);
    return ok;
}

#include "formats/bytes/slurp.h"
#include "common/base/mem.h"
#include "formats/bytes/file_kind.h"
#include "formats/bytes/input.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char *read_all(int fd, const char *path, size_t limit, size_t *n, struct fail *f) {
    struct str s = {0};
    for (ssize_t got = 1; got > 0 && !f->code;) {
        grow(&s.text, &s.capacity, s.length + 65536, 1);
        got = input_read(fd, path, s.text + s.length, s.capacity - s.length - 1, f);
        if (got > 0) s.length += (size_t)got;
        if (s.length > limit)
            fail_set(f, EXIT_BADDATA, "too large: '%s' is over %zu bytes", path, limit);
    }
    s.text[s.length] = 0;
    *n = s.length;
    if (!f->code) return s.text;
    str_release(&s);
    return NULL;
}

char *slurp(const char *path, size_t limit, size_t *n, struct fail *f) {
    *n = 0;
    int fd = input_open(path, f);
    if (fd < 0) return NULL;
    char *text = file_kind_foreign(path, f) ? read_all(fd, path, limit, n, f) : NULL;
    input_close(fd);
    return text;
}

char *slurp_optional(const char *path, size_t limit, size_t *n, struct fail *f) {
    *n = 0;
    if (access(path, F_OK) && errno == ENOENT) return NULL;
    return slurp(path, limit, n, f);
}

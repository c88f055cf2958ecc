#include "formats/bytes/stream.h"
#include "common/base/mem.h"
#include "formats/bytes/file_kind.h"
#include "formats/bytes/gz.h"
#include "formats/bytes/input.h"
#include "formats/bytes/unzstd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef STREAM_BUFFER
#define STREAM_BUFFER (1 << 18)
#endif
enum { BUFFER = STREAM_BUFFER };

struct stream {
    int fd;
    char *path;
    struct fail *f;
    struct gz *gz;
    struct unzstd *zstd;
    char head[4]; // read to recognise the packing, given out again
    size_t head_at, head_n;
    size_t at, n; // what is left of buffer
    char buffer[BUFFER];
};

static size_t read_fd(struct stream *s, char *to, size_t n) {
    ssize_t got = input_read(s->fd, s->path, to, n, s->f);
    return got < 0 ? 0 : (size_t)got;
}

static size_t read_raw(void *self, char *to, size_t n) {
    struct stream *s = self;
    if (s->head_at == s->head_n) return read_fd(s, to, n);
    size_t k = s->head_n - s->head_at < n ? s->head_n - s->head_at : n;
    memcpy(to, s->head + s->head_at, k);
    s->head_at += k;
    return k;
}

static void tell_packing(struct stream *s) {
    for (size_t got = 1; got && s->head_n < sizeof s->head; s->head_n += got)
        got = read_fd(s, s->head + s->head_n, sizeof s->head - s->head_n);
    if (s->head_n >= 2 && !memcmp(s->head, "\x1f\x8b", 2))
        s->gz = gz_new(read_raw, s, s->path, s->f);
    if (s->head_n == 4 && !memcmp(s->head, "\x28\xb5\x2f\xfd", 4))
        s->zstd = unzstd_new(read_raw, s, s->path, s->f);
}

static size_t read_bytes(struct stream *s, char *to, size_t n) {
    if (s->f->code) return 0;
    if (s->gz) return gz_read(s->gz, to, n);
    return s->zstd ? unzstd_read(s->zstd, to, n) : read_raw(s, to, n);
}

static void fill(struct stream *s) {
    s->at = 0;
    s->n = read_bytes(s, s->buffer, BUFFER);
}

// The first buffer is filled although a read may give less, so that callers can recognise formats
// by it.
static void drop_mark(struct stream *s) {
    fill(s);
    while (s->n && s->n < BUFFER) {
        size_t got = read_bytes(s, s->buffer + s->n, BUFFER - s->n);
        if (!got) break;
        s->n += got;
    }
    if (s->n >= 3 && !memcmp(s->buffer, "\xef\xbb\xbf", 3)) s->at = 3;
    if (!s->f->code) file_kind_text(s->path, s->buffer, s->n, s->f);
}

struct stream *stream_open(const char *path, struct fail *f) {
    if (f->code || !file_kind_no_folder(path, f)) return NULL;
    int fd = input_open(path, f);
    if (fd < 0) return NULL;
    struct stream *s = xmalloc(sizeof *s);
    memset(s, 0, offsetof(struct stream, buffer));
    s->fd = fd;
    s->path = xstrdup(strcmp(path, "-") ? path : "stdin");
    s->f = f;
    tell_packing(s);
    drop_mark(s);
    if (!f->code) return s;
    stream_close(s);
    return NULL;
}

const char *stream_peek(struct stream *s, size_t *n) {
    if (s->at == s->n) fill(s);
    *n = s->f->code ? 0 : s->n - s->at;
    return s->buffer + s->at;
}

void stream_skip(struct stream *s, size_t n) {
    s->at += n;
}

void stream_close(struct stream *s) {
    if (!s) return;
    gz_free(s->gz);
    unzstd_free(s->zstd);
    input_close(s->fd);
    free(s->path);
    free(s);
}

// ---- pipes --------------------------------------------------------------------------------------

bool stream_passes(const char *path) {
    struct stat st;
    if (!strcmp(path, "-")) return true;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static bool copy(int from, const char *name, int to, struct fail *f) {
    enum { BLOCK = 1 << 16 };
    char *block = xmalloc(BLOCK);
    for (ssize_t got = 1; got > 0;) {
        got = input_read(from, name, block, BLOCK, f);
        for (ssize_t at = 0, k = 0; at < got && !f->code; at += k)
            if ((k = write(to, block + at, (size_t)(got - at))) < 0)
                fail_set(f, EXIT_FAILED, "cannot keep a copy of '%s': %s", name, strerror(errno));
    }
    free(block);
    return !f->code;
}

static int unlinked_file(const char *folder, struct fail *f) {
    char *name = xasprintf("%s/.input-XXXXXX", folder);
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        fail_set(f, EXIT_FAILED, "cannot write in '%s': %s", folder, strerror(errno));
    else
        unlink(name);
    free(name);
    return fd;
}

char *stream_keep(const char *path, const char *folder, struct fail *f) {
    int from = input_open(path, f);
    int fd = from < 0 ? -1 : unlinked_file(folder, f);
    bool fine = fd >= 0 && copy(from, path, fd, f);
    input_close(from);
    if (fd >= 0 && !fine) close(fd);
    return fine ? xasprintf("/proc/self/fd/%d", fd) : NULL;
}

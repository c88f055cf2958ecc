#include "formats/store/spool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum record_type { RECORD_HEADER = 1, RECORD_CHUNK = 2, RECORD_CHECKPOINT = 3 };

struct record {          // as on disk, little-endian
    struct hash128 hash; // XXH3-128 of all that follows
    uint32_t type, column;
    uint64_t part, index, elements;
    struct hash128 raw;
    uint64_t length; // of the bytes after
};
_Static_assert(sizeof(struct record) == 72, "no padding");

struct stored_chunk {
    struct spool_entry entry;
    off_t at; // of its bytes
};

struct spool {
    char *path, *header;
    int fd;
    off_t end;
    struct fail *fail;
    size_t n, capacity;
    struct stored_chunk *chunks;
    struct str state, scratch;
};

static bool spool_failed(struct spool *s) {
    return fail_set(s->fail, EXIT_FAILED, "cannot write '%s': %s", s->path, strerror(errno));
}

static bool alive(const struct spool *s) {
    return s && !s->fail->code;
}

// False at the end of the file too, which is no failure.
static bool read_at(struct spool *s, void *to, size_t n, off_t at) {
    for (char *p = to; n;) {
        ssize_t got = pread(s->fd, p, n, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            fail_set(s->fail, EXIT_FAILED, "cannot read '%s': %s", s->path, strerror(errno));
        if (got <= 0) return false;
        p += got, n -= (size_t)got, at += got;
    }
    return true;
}

static bool write_at(int fd, const void *from, size_t n, off_t at) {
    for (const char *p = from; n;) {
        ssize_t put = pwrite(fd, p, n, at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        p += put, n -= (size_t)put, at += put;
    }
    return true;
}

static bool append(struct spool *s, struct record r, const void *bytes) {
    if (!alive(s)) return false;
    s->scratch.length = 0;
    str_add(&s->scratch, &r, sizeof r);
    str_add(&s->scratch, bytes, r.length);
    size_t skip = sizeof r.hash;
    r.hash = hash_bytes(s->scratch.text + skip, s->scratch.length - skip);
    memcpy(s->scratch.text, &r.hash, skip);
    if (!write_at(s->fd, s->scratch.text, s->scratch.length, s->end)) return spool_failed(s);
    s->end += (off_t)s->scratch.length;
    return true;
}

bool spool_add(struct spool *s, const struct spool_entry *e, const void *bytes) {
    struct record r = {.type = RECORD_CHUNK,
                       .column = e->column,
                       .part = e->part,
                       .index = e->index,
                       .elements = e->elements,
                       .raw = e->raw,
                       .length = e->length};
    if (!append(s, r, bytes)) return false;
    grow(&s->chunks, &s->capacity, s->n + 1, sizeof *s->chunks);
    s->chunks[s->n++] = (struct stored_chunk){*e, s->end - (off_t)e->length};
    return true;
}

bool spool_checkpoint(struct spool *s, const void *state, size_t n) {
    struct record r = {.type = RECORD_CHECKPOINT, .length = n};
    return append(s, r, state) && (fsync(s->fd) == 0 || spool_failed(s));
}

// ---- opening

// The record at `at`, its bytes in scratch; false where the file has no valid one there, or where
// it cannot be read, which is a failure: what is whole of it must not be cut off.
static bool read_record(struct spool *s, off_t at, off_t size, struct record *r) {
    off_t head = sizeof *r;
    if (size - at < head || !read_at(s, r, sizeof *r, at)) return false;
    if (r->length > (uint64_t)(size - at - head)) return false;
    s->scratch.length = 0;
    str_add(&s->scratch, r, sizeof *r);
    grow(&s->scratch.text, &s->scratch.capacity, sizeof *r + r->length + 1, 1);
    if (!read_at(s, s->scratch.text + sizeof *r, r->length, at + head)) return false;
    size_t skip = sizeof r->hash;
    s->scratch.text[sizeof *r + r->length] = 0;
    return hash_equal(r->hash, hash_bytes(s->scratch.text + skip, sizeof *r + r->length - skip));
}

static void keep_chunk(struct spool *s, const struct record *r, off_t at) {
    grow(&s->chunks, &s->capacity, s->n + 1, sizeof *s->chunks);
    s->chunks[s->n++] = (struct stored_chunk){{.part = r->part,
                                               .index = r->index,
                                               .elements = r->elements,
                                               .raw = r->raw,
                                               .length = r->length,
                                               .column = r->column},
                                              at + (off_t)sizeof *r};
}

// Reads all records up to the last valid checkpoint; returns where it ends, 0: there is none.
static off_t scan(struct spool *s, off_t at, off_t size) {
    struct record r;
    off_t end = 0;
    size_t whole = 0;
    while (read_record(s, at, size, &r)) {
        if (r.type == RECORD_CHUNK) keep_chunk(s, &r, at);
        at += (off_t)(sizeof r + r.length);
        if (r.type != RECORD_CHECKPOINT) continue;
        end = at;
        whole = s->n;
        s->state.length = 0;
        str_add(&s->state, s->scratch.text + sizeof r, r.length);
    }
    s->n = whole;
    return end;
}

static bool begin(struct spool *s) {
    struct record r = {.type = RECORD_HEADER, .length = strlen(s->header)};
    s->end = 0;
    s->n = 0;
    str_release(&s->state);
    if (ftruncate(s->fd, 0) != 0) return spool_failed(s);
    return append(s, r, s->header);
}

static bool take_up(struct spool *s, bool (*over)(void *self, const char *header), void *self) {
    struct stat st;
    struct record r;
    if (fstat(s->fd, &st) != 0) return spool_failed(s);
    bool whole = read_record(s, 0, st.st_size, &r) && r.type == RECORD_HEADER;
    if (s->fail->code) return false;
    if (!whole) return begin(s);
    const char *found = s->scratch.text + sizeof r;
    struct str difference = {0};
    bool same = lineage_same(found, s->header, &difference);
    if (!same && over && over(self, found)) {
        str_release(&difference);
        return begin(s);
    }
    if (!same)
        fail_set(s->fail, EXIT_FAILED,
                 "'%s' belongs to another run: %s; give the same command, or remove it", s->path,
                 difference.text);
    str_release(&difference);
    if (!same) return false;
    s->end = scan(s, (off_t)(sizeof r + r.length), st.st_size);
    if (s->fail->code) return false;
    if (!s->end) return begin(s);
    return ftruncate(s->fd, s->end) == 0 || spool_failed(s);
}

static int open_locked(const char *path, struct fail *f) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        fail_set(f, EXIT_FAILED, "'%s' is in use by another process", path);
        close(fd);
        fd = -1;
    }
    return fd;
}

struct spool *spool_open(const char *path, const char *header, bool resume,
                         bool (*over)(void *self, const char *header), void *self, struct fail *f) {
    if (!whole_file_prepare_state(path, f)) return NULL; // sweeps what a killed compaction left
    int fd = open_locked(path, f);
    if (fd < 0) return NULL;
    struct spool *s = xcalloc(1, sizeof *s);
    *s = (struct spool){.path = xstrdup(path), .header = xstrdup(header), .fd = fd, .fail = f};
    if (resume ? take_up(s, over, self) : begin(s)) return s;
    spool_close(s, true);
    return NULL;
}

const void *spool_state(const struct spool *s, size_t *n) {
    *n = s ? s->state.length : 0;
    return s ? s->state.text : NULL;
}

size_t spool_count(const struct spool *s) {
    return s ? s->n : 0;
}

struct spool_entry spool_get(const struct spool *s, size_t i) {
    return s->chunks[i].entry;
}

bool spool_read(struct spool *s, size_t i, void *to) {
    if (!alive(s)) return false;
    if (read_at(s, to, s->chunks[i].entry.length, s->chunks[i].at)) return true;
    return fail_set(s->fail, EXIT_FAILED, "cannot read '%s' back: it became shorter", s->path);
}

// ---- compaction

// Copies header, the chunks wanted and the checkpoint to `to`, whose path and fd are set.
static bool copy_parts(struct spool *s, struct spool *to, uint64_t part, const void *state,
                       size_t n) {
    struct str bytes = {0};
    bool ok = begin(to);
    for (size_t i = 0; ok && i < s->n; i++) {
        struct spool_entry e = s->chunks[i].entry;
        if (e.part < part) continue;
        grow(&bytes.text, &bytes.capacity, e.length + 1, 1);
        ok = spool_read(s, i, bytes.text) && spool_add(to, &e, bytes.text);
    }
    str_release(&bytes);
    return ok && spool_checkpoint(to, state, n);
}

bool spool_compact(struct spool *s, uint64_t part, const void *state, size_t n) {
    if (!alive(s)) return false;
    char *temp = whole_file_temp(s->path);
    int fd = open_locked(temp, s->fail);
    struct spool fresh = {.path = s->path, .header = s->header, .fd = fd, .fail = s->fail};
    bool ok = fd >= 0 && copy_parts(s, &fresh, part, state, n) &&
              whole_file_commit(temp, s->path, s->fail);
    if (fd >= 0 && !ok) unlink(temp);
    free(temp);
    str_release(&fresh.scratch);
    struct stored_chunk *unused = ok ? s->chunks : fresh.chunks;
    int closing = ok ? s->fd : fd;
    if (ok) {
        s->chunks = fresh.chunks;
        s->n = fresh.n;
        s->capacity = fresh.capacity;
        s->fd = fd;
        s->end = fresh.end;
    }
    free(unused);
    if (closing >= 0) close(closing);
    return ok;
}

bool spool_close(struct spool *s, bool keep) {
    if (!s) return false;
    bool ok = !s->fail->code;
    if (!keep) unlink(s->path);
    close(s->fd);
    free(s->path);
    free(s->header);
    free(s->chunks);
    str_release(&s->state);
    str_release(&s->scratch);
    free(s);
    return ok;
}

#include "formats/bytes/unzstd.h"
#include "common/base/mem.h"
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct unzstd {
    ZSTD_DStream *z;
    size_t (*read)(void *self, char *buffer, size_t n);
    void *self;
    const char *name;
    struct fail *f;
    bool inside; // a frame has begun and not ended
    size_t at, n;
    char in[1 << 16];
};

struct unzstd *unzstd_new(size_t (*read)(void *self, char *buffer, size_t n), void *self,
                          const char *name, struct fail *f) {
    struct unzstd *u = xcalloc(1, sizeof *u);
    u->read = read;
    u->self = self;
    u->name = name;
    u->f = f;
    u->z = ZSTD_createDStream();
    if (!u->z) fail_set(f, EXIT_FAILED, "cannot read '%s': out of memory", name);
    return u;
}

static bool refill(struct unzstd *u) {
    if (u->at < u->n) return true;
    u->at = 0;
    u->n = u->read(u->self, u->in, sizeof u->in);
    if (!u->n && u->inside) fail_set(u->f, EXIT_BADDATA, "truncated zstd file '%s'", u->name);
    return u->n > 0;
}

size_t unzstd_read(struct unzstd *u, char *to, size_t n) {
    ZSTD_outBuffer out = {to, n, 0};
    while (!u->f->code && !out.pos && refill(u)) {
        ZSTD_inBuffer in = {u->in, u->n, u->at};
        size_t left = ZSTD_decompressStream(u->z, &out, &in);
        u->at = in.pos;
        u->inside = left != 0;
        if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
            fail_set(u->f, EXIT_FAILED, "cannot read '%s': out of memory", u->name);
        else if (ZSTD_isError(left))
            fail_set(u->f, EXIT_BADDATA, "damaged zstd file '%s': %s", u->name,
                     ZSTD_getErrorName(left));
    }
    return u->f->code ? 0 : out.pos;
}

void unzstd_free(struct unzstd *u) {
    if (!u) return;
    ZSTD_freeDStream(u->z);
    free(u);
}

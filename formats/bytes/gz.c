#include "formats/bytes/gz.h"
#include "common/base/mem.h"
#include <stdlib.h>
#include <zlib.h>

struct gz {
    z_stream z;
    size_t (*read)(void *self, char *buffer, size_t n);
    void *self;
    const char *name;
    struct fail *f;
    bool inside; // a member has begun and not ended
    char in[1 << 16];
};

struct gz *gz_new(size_t (*read)(void *self, char *buffer, size_t n), void *self, const char *name,
                  struct fail *f) {
    struct gz *g = xcalloc(1, sizeof *g);
    g->read = read;
    g->self = self;
    g->name = name;
    g->f = f;
    if (inflateInit2(&g->z, 15 + 16) != Z_OK)
        fail_set(f, EXIT_FAILED, "cannot read '%s': out of memory", name);
    return g;
}

static bool refill(struct gz *g) {
    if (g->z.avail_in) return true;
    g->z.next_in = (unsigned char *)g->in;
    g->z.avail_in = (unsigned)g->read(g->self, g->in, sizeof g->in);
    if (!g->z.avail_in && g->inside)
        fail_set(g->f, EXIT_BADDATA, "truncated gzip file '%s'", g->name);
    return g->z.avail_in > 0;
}

size_t gz_read(struct gz *g, char *to, size_t n) {
    g->z.next_out = (unsigned char *)to;
    g->z.avail_out = n > 1u << 30 ? 1u << 30 : (unsigned)n;
    unsigned room = g->z.avail_out;
    while (!g->f->code && g->z.avail_out == room && refill(g)) {
        g->inside = true;
        int code = inflate(&g->z, Z_NO_FLUSH);
        if (code == Z_STREAM_END) {
            inflateReset(&g->z);
            g->inside = false;
        } else if (code == Z_MEM_ERROR) {
            fail_set(g->f, EXIT_FAILED, "cannot read '%s': out of memory", g->name);
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            fail_set(g->f, EXIT_BADDATA, "damaged gzip file '%s': %s", g->name,
                     g->z.msg ? g->z.msg : "bad data");
        }
    }
    return g->f->code ? 0 : room - g->z.avail_out;
}

void gz_free(struct gz *g) {
    if (!g) return;
    inflateEnd(&g->z);
    free(g);
}

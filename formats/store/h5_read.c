// The elements of datasets, by what h5.c reads and writes.
#include "formats/store/h5.h"
#include "formats/store/h5_private.h"
#include <assert.h>
#include <string.h>

static bool read_chunks(struct h5 *h, size_t first, size_t n, unsigned char *to) {
    size_t size = h5_size(h->shape.type), chunk = h->shape.chunk;
    for (size_t at = first, take; at < first + n; at += take) {
        size_t from = at % chunk;
        take = first + n - at < chunk - from ? first + n - at : chunk - from;
        if (!h5_read_chunk(h, at / chunk)) return false;
        memcpy(to + (at - first) * size, (char *)h->chunk + from * size, take * size);
    }
    return true;
}

bool h5_read(struct h5 *h, const char *name, size_t first, size_t n, void *to) {
    struct h5_shape s;
    if (!h5_alive(h)) return false;
    if (!h5_shape(h, name, &s))
        return fail_set(h->fail, EXIT_BADDATA, "'%s' has no dataset '%s'", h->path, name);
    assert(first <= s.count && n <= s.count - first);
    if (!n || (s.chunk ? read_chunks(h, first, n, to) : h5_rows(h, false, first, n, to)))
        return true;
    return fail_set(h->fail, EXIT_BADDATA,
                    "'%s' is damaged: dataset '%s', elements %zu to %zu: wrong checksum or "
                    "missing bytes; make it again",
                    h->path, name, first, first + n - 1);
}

bool h5_rows_write(struct h5 *h, size_t first, size_t n, const void *data) {
    return h5_alive(h) && (!n || h5_rows(h, true, first, n, (void *)data));
}

bool h5_write(struct h5 *h, const char *name, const struct h5_shape *s, const void *data) {
    assert(!s->chunk);
    return h5_begin(h, name, s) && h5_rows_write(h, 0, s->count, data) && h5_end(h);
}

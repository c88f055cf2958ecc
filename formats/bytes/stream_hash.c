// The identity of an input file; see formats/bytes/stream.h.
#include "common/base/mem.h"
#include "formats/bytes/file_kind.h"
#include "formats/bytes/input.h"
#include "formats/bytes/stream.h"
#include <stdlib.h>

bool stream_hash(const char *path, struct hash128 *hash, struct fail *f) {
    enum { BLOCK = 1 << 20 };
    if (f->code || !file_kind_no_folder(path, f) || !input_is_file(path, "", f)) return false;
    int fd = input_open(path, f);
    if (fd < 0) return false;
    struct hasher *hasher = hasher_new();
    char *block = xmalloc(BLOCK);
    for (ssize_t got = 1; got > 0;) {
        got = input_read(fd, path, block, BLOCK, f);
        if (got > 0) hasher_add(hasher, block, (size_t)got);
    }
    *hash = hasher_end(hasher);
    free(block);
    input_close(fd);
    return !f->code;
}

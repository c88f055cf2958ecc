// The bytes of an input file or of stdin, unpacked if they are gzip or zstd (recognised by their
// first bytes, never by name), without a UTF-8 byte order mark. Buffered; errors stick to the
// handle's fail and look like the end.
#pragma once
#include "common/base/fail.h"
#include "formats/bytes/hash.h"
#include <stdbool.h>
#include <stddef.h>

struct stream;

struct stream *stream_open(const char *path, struct fail *f); // "-": stdin; NULL with f set
// The bytes at hand: *n of them at the return value, more than 0 except at the end.
const char *stream_peek(struct stream *s, size_t *n);
void stream_skip(struct stream *s, size_t n); // n <= what peek gave
void stream_close(struct stream *s);

// XXH3-128 over a file's bytes as they are.
bool stream_hash(const char *path, struct hash128 *hash, struct fail *f);
// Whether a path ("-": stdin) is a pipe or the like, which can be read once only.
bool stream_passes(const char *path);
// A copy of such a path in an unlinked file of `folder`, to be read again; the name returned is
// good for stream_open while this program runs. free() it. A stop while it waits: EXIT_STOPPED.
char *stream_keep(const char *path, const char *folder, struct fail *f);

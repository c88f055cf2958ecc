// The paths of a data option, one after the other. Reading them cannot fail: what a path names is
// opened by others.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Every path of a data option: "-" reads paths from stdin, one per line, until EOF. Streaming
// readers take the paths one by one instead: path_source_next waits for the next line. `items` stay
// the caller's; what _next returns lives until the next call.
struct path_source;
struct path_source *path_source_open(size_t n, const char *const *items);
const char *path_source_next(struct path_source *s); // NULL: no more
// From now on a wait for a line ends, with NULL, as soon as `stopped` says so.
void path_source_stop(struct path_source *s, bool (*stopped)(void));
void path_source_close(struct path_source *s);

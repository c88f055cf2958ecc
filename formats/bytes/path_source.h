// The paths of a data option, one after the other; what a path names is opened by others.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

// Every path of a data option: "-" reads paths from stdin, one per line, until EOF. Streaming
// readers take the paths one by one instead: path_source_next waits for the next line. `items` stay
// the caller's; what _next returns lives until the next call.
struct path_source;
struct path_source *path_source_open(size_t n, const char *const *items, struct fail *f);
// NULL: no more, or f is set: stdin cannot be read, or the program was asked to stop while it
// waited for a line (EXIT_STOPPED; also where the writer of the pipe ended by the same signal).
const char *path_source_next(struct path_source *s);
void path_source_close(struct path_source *s);

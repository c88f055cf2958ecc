// A whole small file in memory: configurations, tokenizers, vocabularies.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

// The bytes of path, with a NUL after them; free() it. NULL with f set (EXIT_BADDATA: missing,
// unreadable, a folder, larger than `limit` bytes).
char *slurp(const char *path, size_t limit, size_t *n, struct fail *f);
// NULL without a failure where the file does not exist.
char *slurp_optional(const char *path, size_t limit, size_t *n, struct fail *f);
// Whether path is a regular file that can be opened; else f says what it is (EXIT_BADDATA).
bool slurp_can(const char *path, struct fail *f);

// A whole small file, or what comes through a pipe, in memory: configurations, tokenizers,
// vocabularies.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

// The bytes of path, with a NUL after them; free() it. NULL with f set: see formats/bytes/input.h,
// and EXIT_BADDATA where they are more than `limit`.
char *slurp(const char *path, size_t limit, size_t *n, struct fail *f);
// NULL without a failure where the file does not exist.
char *slurp_optional(const char *path, size_t limit, size_t *n, struct fail *f);

// A plain file written whole or not at all: temporary name in its folder, fsync, rename.
#pragma once
#include "common/base/fail.h"
#include <stddef.h>

bool whole_file_write(const char *path, const void *bytes, size_t n, struct fail *f);

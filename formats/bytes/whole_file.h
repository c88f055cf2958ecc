// A file that exists whole or not at all: a temporary name in its folder, fsync, rename, fsync of
// the folder. Failures are EXIT_FAILED.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

// Sweeps stale temporary files of `path` and checks early that its folder can be written. From here
// on a file-size limit is an error of the write, not a signal. Fails where no output may be
// (common/base/outputs.h).
bool whole_file_prepare(const char *path, struct fail *f);
// The same for the state of a run, which replaces itself as the run goes on.
bool whole_file_prepare_state(const char *path, struct fail *f);

// Removes the temporary files of `path` that processes of this host left which are no more.
void whole_file_sweep(const char *path);

// A name beside `path` that nobody has; free() it. whole_file_commit: fsync, rename to `path`,
// fsync of the folder; where it fails, or f is set already, the temporary file is removed. An input
// is not replaced, whoever forgot to prepare.
char *whole_file_temp(const char *path);
bool whole_file_commit(const char *temp, const char *path, struct fail *f);

// fsync of the folder that path is in; false with errno.
bool whole_file_sync_folder(const char *path);

// A plain file of these n bytes.
bool whole_file_write(const char *path, const void *bytes, size_t n, struct fail *f);

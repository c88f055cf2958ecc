// Files that are not what a reader expects, recognised by their first bytes and named with the
// command that makes something readable of them: Parquet, Arrow, ZIP, XLSX, HTML, a Git LFS
// pointer, ...
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

// Whether the file may be text of rows; else f says what it is and what to do (EXIT_BADDATA).
// n first bytes of `path`, unpacked.
bool file_kind_text(const char *path, const char *bytes, size_t n, struct fail *f);
// False with f set for a file that is known and no HDF5 file or other binary of ours; true:
// unknown.
bool file_kind_foreign(const char *path, struct fail *f);
// Whether path is no directory; else f names the command that makes JSONL of what lies in it, or
// the files that could be given.
bool file_kind_no_folder(const char *path, struct fail *f);

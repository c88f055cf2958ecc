// What a run may write: never over a file that it reads, however a name came about (a part of a
// set, a snapshot, a reference), nor, with --no-clobber, over one that exists.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>

void outputs_forget(void); // a new command line
void outputs_protect(const char *input); // a regular file; else nothing happens
void outputs_keep_existing(void);        // --no-clobber
// False with f set: `path` is an input (EXIT_USAGE), or it exists and is to be kept (EXIT_FAILED).
bool outputs_may_write(const char *path, struct fail *f);
// The same for a file that `path` would only replace by itself, as a stopped run made it: the first
// alone.
bool outputs_may_renew(const char *path, struct fail *f);

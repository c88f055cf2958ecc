// What kind of thing a path is, asked before it is opened: opening a FIFO can wait for ever, a
// device does what it likes, and a rename over either puts a file in its place.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <sys/stat.h>

const char *path_kind(mode_t mode); // "a folder", "a FIFO or pipe", "a device" ..., for messages

// Whether something is there. False with f set (EXIT_FAILED) where the machine cannot tell: what is
// not seen for now (EIO, ESTALE) must not be taken for what is not there.
bool path_is_there(const char *path, struct fail *f);

// The name of a part that is kept beside a file: x.valid.h5 of x.h5. free() it.
char *path_part(const char *path, const char *part);

// Whether an output may be written there: nothing is there yet, or a regular file, also behind
// symbolic links. Else f says what it is (EXIT_FAILED).
bool path_may_write(const char *path, struct fail *f);

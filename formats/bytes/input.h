// Opening and reading inputs without hanging: what kind of thing a path is comes before its bytes,
// and a wait for the bytes of a pipe, FIFO or terminal ends when the program is asked to stop.
// Failures: EXIT_BADDATA where the path is at fault, EXIT_FAILED where the system is (see
// fail_code_of), EXIT_STOPPED where the wait was ended.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// A descriptor of a regular file, pipe, FIFO or character device ("-": stdin, which input_close
// leaves open), or -1. A FIFO that nobody writes to yet does not hold it up.
int input_open(const char *path, struct fail *f);
// As read(), 0 at the end, with EINTR tried again. -1 with f set.
ssize_t input_read(int fd, const char *name, void *to, size_t n, struct fail *f);
// All n bytes at `offset` of a regular file, by any thread. A file that ends before is
// EXIT_BADDATA.
bool input_read_at(int fd, const char *name, void *to, size_t n, size_t offset, struct fail *f);
void input_close(int fd);

// Whether path is a regular file that can be opened; else f says what it is. `hint` ends the
// message, as "an HDF5 file cannot be read from a pipe"; "": nothing to say.
bool input_is_file(const char *path, const char *hint, struct fail *f);

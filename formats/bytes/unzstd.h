// zstd of input files: a pull decoder over any byte supplier. Frames that follow each other are one
// stream. Windows over 128 MiB are refused, so that memory is bounded.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

struct unzstd;

// read(self, buffer, n): at most n bytes, 0 at the end. `name` is for messages.
struct unzstd *unzstd_new(size_t (*read)(void *self, char *buffer, size_t n), void *self,
                          const char *name, struct fail *f);
size_t unzstd_read(struct unzstd *u, char *to, size_t n); // 0 at the end or with f set
void unzstd_free(struct unzstd *u);

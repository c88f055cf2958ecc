// gzip by zlib, the only door to it: a pull decoder over any byte supplier. Members that follow
// each other are one stream, as gzip does.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

struct gz;

// read(self, buffer, n): at most n bytes, 0 at the end. `name` is for messages.
struct gz *gz_new(size_t (*read)(void *self, char *buffer, size_t n), void *self, const char *name,
                  struct fail *f);
size_t gz_read(struct gz *g, char *to, size_t n); // 0 at the end or with f set
void gz_free(struct gz *g);

// A tokenizer from a corpus: every row's `text`, or all its strings where it has no such field.
#pragma once
#include "common/base/fail.h"
#include "stages/shared/tokenizer_train.h"

// Trains on the rows of the files; returns tokenizer.json's text (free() it), or NULL with f set.
char *import_corpus(size_t n, const char *const *paths, const struct tokenizer_training *training,
                    size_t *length, struct fail *f);

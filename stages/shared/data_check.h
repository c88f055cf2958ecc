// Whether data suits a model, for every stage that brings them together.
#pragma once
#include "formats/models/model_file.h"

// Dies (exit 3) unless data made with `tokenizer` and ids below `top` suits the model and its
// `longest` row fits its positions; `what` names the data.
void data_check(const struct model_file *m, struct hash128 tokenizer, size_t top, size_t longest,
                size_t rows, const char *what);

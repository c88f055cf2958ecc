// Prompts straight from a text file, tokenised as `tokenize --kind prompt` does: any shape that has
// a prompt, by the chat template where there is one.
#pragma once
#include "formats/models/model_file.h"
#include "formats/records/encode.h"
#include "formats/tokens/tokens.h"

// e: of kind prompt, with the tokenizer of m.
bool prompts_read(struct tokens *t, size_t n, const char *const *paths, const struct encoder *e,
                  const struct model_file *m, struct fail *f);

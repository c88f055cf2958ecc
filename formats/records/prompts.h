// Prompts straight from CSV or JSONL text (column prompt), tokenised as `tokenize --kind prompt`
// does: what the tokenizer puts in front of a text, then the prompt.
#pragma once
#include "common/text/bpe.h"
#include "formats/models/model_file.h"
#include "formats/tokens/tokens.h"

bool prompts_read(struct tokens *t, size_t n, const char *const *paths, const struct tokenizer *k,
                  const struct model_file *m, struct fail *f);

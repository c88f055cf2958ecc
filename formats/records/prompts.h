// Prompts straight from a text file, tokenised as `tokenize --kind prompt` does: any shape that has
// a prompt, by the chat template where there is one.
#pragma once
#include "formats/models/model_file.h"
#include "formats/records/encode.h"
#include "formats/records/ledger.h"
#include "formats/tokens/tokens.h"

// e: of kind prompt, with the tokenizer of m. The whole input is gone through; the ledger says what
// was wrong with it, and rows that may not be left out are a failure at the end.
bool prompts_read(struct tokens *t, size_t n, const char *const *paths, const struct encoder *e,
                  bool skip_bad, const struct model_file *m, struct ledger *ledger, struct fail *f);

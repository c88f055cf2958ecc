// tokenizer.json made from texts.
#pragma once
#include "common/base/fail.h"
#include "common/text/bpe_train.h"

struct tokenizer_training {
    size_t vocab; // tokens in all: 256 bytes, merges, special tokens; fewer where the texts are few
    const char *const *special; // (n_special) they get the highest ids, in this order
    size_t n_special;
    const char *bos; // one of them, put in front of every text; NULL: none
};

// Trains on what was added to `trainer` (made with the same special tokens) and returns a complete
// tokenizer.json (length in *n), one token or merge a line; free() it. NULL with f set (EXIT_USAGE)
// where the numbers or names make no sense.
char *tokenizer_train_json(struct bpe_trainer *trainer, const struct tokenizer_training *o,
                           size_t *n, struct fail *f);

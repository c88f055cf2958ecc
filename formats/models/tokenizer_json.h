// tokenizer.json, as Hugging Face's tokenizers library writes it, with a BPE model.
//
// Understood: normalizer Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip;
// pre_tokenizer Sequence, Split, ByteLevel (last), Metaspace, Digits; post_processor Sequence,
// ByteLevel, TemplateProcessing (its `single`); decoder Sequence, ByteLevel, Replace, ByteFallback,
// Fuse, Strip, Metaspace. Anything else that would change ids is an error that names it.
// `truncation` and `padding` are left to the caller.
#pragma once
#include "common/text/bpe.h"
#include "common/text/bpe_train.h"
#include "common/base/fail.h"

// name: the file, for messages. NULL with f set (EXIT_BADDATA) where the text is no such file.
struct tokenizer *tokenizer_parse(const char *json, size_t n, const char *name, struct fail *f);

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

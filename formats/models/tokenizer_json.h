// tokenizer.json, as Hugging Face's tokenizers library writes it, with a BPE model.
//
// Understood: normalizer Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip;
// pre_tokenizer Sequence, Split, ByteLevel (last), Metaspace, Digits; post_processor Sequence,
// ByteLevel, TemplateProcessing (its `single`); decoder Sequence, ByteLevel, Replace, ByteFallback,
// Fuse, Strip, Metaspace. Anything else that would change ids is an error that names it.
// `truncation` and `padding` are left to the caller.
#pragma once
#include "common/text/bpe.h"
#include "common/base/fail.h"

// name: the file, for messages. NULL with f set (EXIT_BADDATA) where the text is no such file.
struct tokenizer *tokenizer_parse(const char *json, size_t n, const char *name, struct fail *f);

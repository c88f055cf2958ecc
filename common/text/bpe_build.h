// What a tokenizer is made of, for whoever builds one (formats/models/tokenizer_json.c).
// tokenizer_new(), fill in the parts, then tokenizer_finish(); from then on it is read only.
#pragma once
#include "common/text/bpe.h"
#include "common/text/bpe_added.h"
#include "common/text/bpe_decode.h"
#include "common/text/bpe_split.h"
#include "common/text/bpe_word.h"
#include "common/base/fail.h"

struct tokenizer {
    struct bpe_model model; // vocab, merges and flags
    struct added_tokens added;
    struct text_steps normal, split;
    struct decode_step *decode; // (n_decode)
    size_t n_decode, decode_capacity;
    bool joined_by_spaces;    // no decoder: tokens are joined by spaces
    struct ids before, after; // what the post-processor puts around a text

    // made by tokenizer_finish
    struct vocab added_names; // added tokens that the vocabulary does not have
    struct matcher raw, normalised;
    struct matcher specials; // all special tokens, as written
    size_t vocab;
    bool *special; // (vocab)
    struct work_pool *pool;
};

struct tokenizer *tokenizer_new(void);                                                 // empty
struct decode_step *tokenizer_add_decoder(struct tokenizer *t, enum decode_kind kind); // zeroed
// Checks that added tokens and vocabulary agree, and that the ids of before and after exist. False
// with f set (EXIT_BADDATA; name: the file) where they do not.
bool tokenizer_finish(struct tokenizer *t, const char *name, struct fail *f);

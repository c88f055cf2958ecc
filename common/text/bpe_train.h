// Training of a byte-level BPE (Sennrich et al. 2016; words cut and bytes spelt as GPT-2 does).
//
// Texts are added one after the other and only their distinct words are kept. Training then joins
// the most frequent pair again and again; among equals the pair with the smallest ids wins, so the
// result depends on the texts alone, not on their order. Counts are kept up to date pair by pair.
// Token ids: the 256 bytes in the order of their stand-in characters, then one for each merge.
#pragma once
#include "common/text/bpe_vocab.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRAIN_BYTES = 256, TRAIN_WORDS = VOCAB_LIMIT }; // more distinct words than this: left out

struct bpe_trainer;

// special (n): texts that never become part of a word; they are cut out of what is added.
struct bpe_trainer *bpe_train_new(const char *const *special, size_t n);
// Adds a text (n bytes; ill-formed UTF-8 counts as U+FFFD).
void bpe_train_add(struct bpe_trainer *t, const char *text, size_t n);
// Makes tokens until there are `tokens` (bytes included) or no pair occurs `least` times.
// tokens_out gets their spelling in stand-in characters by id, merges_out the merges by rank; both
// zeroed.
void bpe_train_run(struct bpe_trainer *t, size_t tokens, int64_t least, struct vocab *tokens_out,
                   struct merges *merges_out);
void bpe_train_free(struct bpe_trainer *t);

// One piece of text -> ids: first symbols (bytes, characters or byte tokens), then merges in the
// order of their ranks through a heap, n log n for n symbols. Short pieces are remembered.
#pragma once
#include "common/text/bpe.h"
#include "common/text/bpe_vocab.h"

struct bpe_model { // zero-initialise, then bpe_model_init
    struct vocab vocab;
    struct merges merges;
    bool byte_level;    // pieces are bytes, spelt as GPT-2's stand-in characters
    bool byte_fallback; // a character without a token becomes <0xXX> tokens
    bool fuse_unk;      // neighbouring unknown characters make one unk
    bool ignore_merges; // a piece that is a token as a whole is that token
    int32_t unk;        // -1: unknown characters are left out
    int32_t byte_symbol[256], byte_token[256]; // ids of the stand-ins and of <0xXX>, or -1
};

void bpe_model_init(struct bpe_model *m); // after the vocabulary is filled
void bpe_model_release(struct bpe_model *m);

struct word_work; // one per thread
struct word_work *word_work_new(void);
void word_work_free(struct word_work *w);

// Appends the ids of a piece (n bytes of well-formed UTF-8).
void bpe_word(const struct bpe_model *m, struct word_work *w, const char *text, size_t n,
              struct ids *out);

// GPT-2's character for a byte, and back (-1: c stands for none).
uint32_t byte_to_character(unsigned char byte);
int character_to_byte(uint32_t c);
void ids_add(struct ids *ids, int32_t id);

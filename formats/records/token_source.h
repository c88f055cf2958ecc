// The tokenizer that data is made with: out of a model file or a tokenizer.json, with what belongs
// to it: BOS and EOS, the chat template's source, the vocabulary and the longest row of the model.
#pragma once
#include "common/text/bpe.h"
#include "formats/models/model_file.h"
#include "formats/store/artefact.h"

struct token_source {
    struct tokenizer *tokenizer;
    char *json, *template, *config; // NULL: none; config: tokenizer_config.json
    struct hash128 hash;            // of json
    int32_t bos, eos;               // -1: none
    bool eos_named;                 // set by the caller, who put another EOS there
    bool begins_otherwise;          // than json says: config does
    size_t vocab, max_length;       // max_length 0: unknown
};
// One of model and tokenizer is given. For a tokenizer.json a tokenizer_config.json beside it says
// EOS and template; else EOS is guessed by its usual names.
bool token_source_open(struct token_source *s, const char *model, const char *tokenizer,
                       struct fail *f);
// The same of a model that is open, with its tokenizer; everything stays theirs: not to be closed.
struct token_source token_source_of(const struct model_file *m, struct tokenizer *t);
void token_source_close(struct token_source *s);

// A tokenizer.json as the values that GGUF keeps of it (tokenizer.ggml.*): byte-level BPE, whose
// pre-tokenizer must be one that llama.cpp knows by name, or BPE in SentencePiece's manner, whose
// merges become scores.
#pragma once
#include "formats/models/gguf.h"
#include "formats/models/model_file.h"

// n: tokens that the model has rows for; those the tokenizer lacks are filled up as unused.
// EXIT_BADDATA where llama.cpp has no such tokenizer.
bool gguf_tokenizer(struct gguf *g, const struct model_file *m, size_t n, struct fail *f);

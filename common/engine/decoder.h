// Decoding with a key-value cache: S slots, each a sequence in progress. Prompts are prefilled as
// matrix products; a step adds one token to each of any set of slots. A sequence's logits depend on
// its own tokens only, not on its slot, its neighbours, their number or the threads: an output of a
// product depends on its row only (rowplan's `apart`), a prompt is a unit of its own. Fastest where
// the weights are packed (linear_pack).
#pragma once
#include "common/engine/model.h"

struct decoder;
size_t decoder_plan(const struct model *m, size_t slots, size_t length); // bytes
// length: most tokens of a sequence, prompt included
struct decoder *decoder_new(const struct model *m, size_t slots, size_t length);
void decoder_free(struct decoder *d);
const struct model *decoder_model(const struct decoder *d);

// Begins a sequence in `slot` with n >= 1 tokens; logits (V) of the token that follows them.
void decoder_start(struct decoder *d, size_t slot, const int32_t *ids, size_t n, float *logits);
// Adds token[i] to slot[i] for i < n <= S; logits (n,V) of what follows.
void decoder_step(struct decoder *d, size_t n, const size_t *slot, const int32_t *token,
                  float *logits);

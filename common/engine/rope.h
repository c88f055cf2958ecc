// Rotary position embedding (Su et al. 2021) in Hugging Face's half-split form, with `linear` and
// `llama3` scaling of the frequencies or a divisor for each (YaRN, LongRoPE), on the first R
// numbers of a head (model_rope_width).
#pragma once
#include "common/base/arena.h"
#include "common/engine/model.h"

struct rope { // (positions, R/2)
    float *cosine, *sine;
};

// The tables of layers that see all, and of those with a window: the same one where their
// frequencies are. Places in the arena, then numbers.
void rope_lay_out(struct arena *a, const struct model_config *c, size_t positions,
                  struct rope table[2]);
void rope_fill(const struct model_config *c, size_t positions, struct rope table[2]);
const struct rope *rope_of_layer(const struct model_config *c, const struct rope table[2],
                                 size_t layer);

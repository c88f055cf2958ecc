// Rotary position embedding (Su et al. 2021) in Hugging Face's half-split form, with `linear` and
// `llama3` scaling of the frequencies.
#pragma once
#include "common/engine/model.h"

// cosine, sine (positions, D/2)
void rope_table(const struct model_config *c, size_t positions, float *cosine, float *sine);

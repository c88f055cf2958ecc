// The teacher p* as something to sample from: its models behind the decoders of a sampler
// (common/engine/sample.h), whose logits are composed before every draw.
#pragma once
#include "common/training/live.h"
#include "common/engine/sample.h"

struct star {
    struct teacher_rule rule;
    size_t n;
    const struct model *model[3]; // dpo, negative, and the base where it is neither
    struct decoder *decoder[3];
};
void star_init(struct star *s, const struct live_models *m, const struct teacher_rule *rule);
size_t star_plan(const struct star *s, size_t slots, size_t length); // bytes
// Decoders of `slots` sequences of `length` tokens; fills in the sampler's part of it.
void star_open(struct star *s, size_t slots, size_t length, struct sampler *sampler);
void star_close(struct star *s);
// For sampler.compose: z[k] (V) of each model -> log p* in z[0].
void star_compose(void *star, float **z, size_t V);

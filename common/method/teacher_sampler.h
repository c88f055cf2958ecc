// The teacher p* as something to sample from: its models behind the decoders of a sampler
// (common/engine/sample.h), whose logits are composed before every draw.
#pragma once
#include "common/engine/sample.h"
#include "common/method/teacher.h"

struct teacher_sampler {
    struct teacher_rule rule;
    size_t n;
    const struct model *model[3]; // dpo, negative, and the base where it is neither
    struct decoder *decoder[3];
};
void teacher_sampler_init(struct teacher_sampler *s, const struct teacher_models *m,
                          const struct teacher_rule *rule);
size_t teacher_sampler_plan(const struct teacher_sampler *s, size_t slots, size_t length); // bytes
// Decoders of `slots` sequences of `length` tokens; fills in the sampler's part of it.
void teacher_sampler_open(struct teacher_sampler *s, size_t slots, size_t length,
                          struct sampler *sampler);
void teacher_sampler_close(struct teacher_sampler *s);
// For sampler.compose: z[k] (V) of each model -> log p* in z[0].
void teacher_sampler_compose(void *sampler, float **z, size_t V);

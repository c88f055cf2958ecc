#include "common/method/teacher_sampler.h"

void teacher_sampler_init(struct teacher_sampler *s, const struct teacher_models *m,
                          const struct teacher_rule *rule) {
    *s = (struct teacher_sampler){.rule = *rule, .n = 2, .model = {m->dpo, m->ref, m->ref}};
    if (!rule->negative_reverse) return;
    s->model[1] = m->reverse;
    if (!rule->base_dpo) s->n = 3;
}

size_t teacher_sampler_plan(const struct teacher_sampler *s, size_t slots, size_t length) {
    size_t bytes = 0;
    for (size_t k = 0; k < s->n; k++) bytes += decoder_plan(s->model[k], slots, length);
    return bytes;
}

void teacher_sampler_open(struct teacher_sampler *s, size_t slots, size_t length,
                          struct sampler *sampler) {
    for (size_t k = 0; k < s->n; k++) s->decoder[k] = decoder_new(s->model[k], slots, length);
    sampler->decoders = s->n;
    sampler->decoder = s->decoder;
    sampler->slots = slots;
    sampler->length = length;
    sampler->compose = teacher_sampler_compose;
    sampler->self = s;
}

void teacher_sampler_close(struct teacher_sampler *s) {
    for (size_t k = 0; k < s->n; k++) decoder_free(s->decoder[k]);
}

void teacher_sampler_compose(void *sampler, float **z, size_t V) {
    const struct teacher_sampler *s = sampler;
    const float *base = s->rule.base_dpo ? z[0] : z[s->n - 1];
    double tvd;
    teacher_star(&s->rule, base, z[0], z[1], V, z[0], &tvd);
}

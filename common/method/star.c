#include "common/method/star.h"

void star_init(struct star *s, const struct live_models *m, const struct teacher_rule *rule) {
    *s = (struct star){.rule = *rule, .n = 2, .model = {m->dpo, m->ref, m->ref}};
    if (!rule->negative_reverse) return;
    s->model[1] = m->reverse;
    if (!rule->base_dpo) s->n = 3;
}

size_t star_plan(const struct star *s, size_t slots, size_t length) {
    size_t bytes = 0;
    for (size_t k = 0; k < s->n; k++) bytes += decoder_plan(s->model[k], slots, length);
    return bytes;
}

void star_open(struct star *s, size_t slots, size_t length, struct sampler *sampler) {
    for (size_t k = 0; k < s->n; k++) s->decoder[k] = decoder_new(s->model[k], slots, length);
    sampler->decoders = s->n;
    sampler->decoder = s->decoder;
    sampler->slots = slots;
    sampler->length = length;
    sampler->compose = star_compose;
    sampler->self = s;
}

void star_close(struct star *s) {
    for (size_t k = 0; k < s->n; k++) decoder_free(s->decoder[k]);
}

void star_compose(void *star, float **z, size_t V) {
    const struct star *s = star;
    const float *base = s->rule.base_dpo ? z[0] : z[s->n - 1];
    double tvd;
    teacher_star(&s->rule, base, z[0], z[1], V, z[0], &tvd);
}

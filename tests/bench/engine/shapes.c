#include "tests/bench/engine/bench.h"
#include "common/base/fail.h"
#include "common/base/rng.h"
#include <stdlib.h>
#include <string.h>

struct shape bench_shape(size_t i) {
    static const struct shape shapes[SHAPES] = {
        {"15M",
         {.layers = 6,
          .width = 288,
          .heads = 6,
          .kv_heads = 6,
          .head_dim = 48,
          .hidden = 768,
          .vocab = 32000,
          .max_positions = 256,
          .norm_eps = 1e-5,
          .rope_theta = 10000,
          .tied = true},
         256,
         2048,
         false},
        {"110M",
         {.layers = 12,
          .width = 768,
          .heads = 12,
          .kv_heads = 12,
          .head_dim = 64,
          .hidden = 2048,
          .vocab = 32000,
          .max_positions = 1024,
          .norm_eps = 1e-5,
          .rope_theta = 10000,
          .tied = true},
         512,
         1024,
         false},
        {"0.5B", // 2 of its 24 layers: the products' shapes, and the vocabulary's weight, at the
                 // most
         {.layers = 2,
          .width = 896,
          .heads = 14,
          .kv_heads = 2,
          .head_dim = 64,
          .hidden = 4864,
          .vocab = 151936,
          .max_positions = 1024,
          .norm_eps = 1e-6,
          .rope_theta = 1000000,
          .tied = true,
          .qkv_bias = true},
         512,
         512,
         true},
    };
    struct shape s = shapes[i];
    s.config.vocab_used = s.config.vocab;
    if (bench_quick()) {
        s.length /= 2;
        s.tokens /= 4;
        if (s.tokens < s.length) s.tokens = s.length;
    }
    return s;
}

struct shape shape_named(const char *name) {
    size_t i = 0;
    while (i < SHAPES && strcmp(bench_shape(i).name, name) != 0) i++;
    if (i == SHAPES) die(EXIT_USAGE, "there is no shape '%s'", name);
    return bench_shape(i);
}

// Quick filler: normal enough for timing, and a hundred times faster than model_randomise.
void shape_model(const struct shape *s, struct model *m) {
    char why[200];
    if (!model_init(m, &s->config, why, sizeof why)) die(EXIT_FAILED, "%s", why);
    model_alloc(m);
    uint32_t state = 1;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        for (size_t j = 0; j < t->rows * t->cols; j++) {
            state = state * 1664525u + 1013904223u;
            float u = (float)(state >> 8) / 16777216.0f - 0.5f;
            m->params[t->offset + j] = t->vector ? 1 : 0.07f * u;
        }
    }
}

int32_t bench_token(const struct shape *s, size_t row, size_t i) {
    return (int32_t)(rng_bits(1, RNG_TEST, row, i) % s->config.vocab_used);
}

void shape_sequences(const struct shape *s, struct batch *b, size_t tokens) {
    int32_t *ids = malloc(s->length * sizeof *ids);
    uint8_t *mask = malloc(s->length);
    memset(mask, 1, s->length);
    batch_clear(b);
    batch_begin_unit(b);
    for (size_t row = 0; row < tokens / s->length; row++) {
        for (size_t i = 0; i < s->length; i++) ids[i] = bench_token(s, row, i);
        batch_sequence(b, ids, mask, s->length, row, RESPONSE_ONLY);
    }
    batch_end(b);
    free(ids);
    free(mask);
}

void shape_pairs(const struct shape *s, struct batch *b, size_t pairs, bool shared) {
    static const enum response_role roles[2] = {RESPONSE_CHOSEN, RESPONSE_REJECTED};
    size_t np = s->length / 2, n[2] = {s->length / 4, s->length / 4};
    int32_t *ids = malloc(2 * s->length * sizeof *ids), *answer[2];
    uint8_t *mask = malloc(s->length);
    memset(mask, 0, np);
    memset(mask + np, 1, s->length - np);
    batch_clear(b);
    batch_begin_unit(b);
    for (size_t row = 0; row < pairs; row++) {
        for (size_t i = 0; i < 2 * s->length; i++) ids[i] = bench_token(s, row, i);
        answer[0] = ids + np;
        answer[1] = ids + s->length;
        if (shared) {
            batch_shared(b, ids, np, 2, (const int32_t *const[]){answer[0], answer[1]}, n, roles,
                         row);
            continue;
        }
        batch_sequence(b, ids, mask, np + n[0], row, roles[0]);
        memcpy(answer[0], answer[1], n[1] * sizeof *ids);
        batch_sequence(b, ids, mask, np + n[1], row, roles[1]);
    }
    batch_end(b);
    free(ids);
    free(mask);
}

#include "tests/bench/engine/bench.h"
#include "common/engine/decoder.h"
#include "common/engine/linear.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include <math.h>
#include <stdlib.h>

// Weights that a token reads: all matrices, of the embedding one row unless it is the head too.
static size_t weight_floats(const struct model *m) {
    const struct model_config *c = &m->config;
    return c->tied ? m->n_params : m->n_params - c->vocab * c->width;
}

enum { MANY = 32, PROMPT = 64 }; // sequences; tokens that they have before

static size_t prompt_length(void) {
    return bench_quick() ? PROMPT / 4 : PROMPT;
}

// Each round begins the sequences again: what attention reads is the same in all.
static void begin(struct decoder *d, const struct shape *s, float *logits) {
    int32_t ids[PROMPT];
    for (size_t i = 0; i < PROMPT; i++) ids[i] = bench_token(s, 1, i);
    for (size_t i = 0; i < MANY; i++) decoder_start(d, i, ids, prompt_length(), logits);
}

static double steps_seconds(struct decoder *d, const struct shape *s, size_t n, size_t steps,
                            float *logits) {
    size_t slot[MANY];
    int32_t token[MANY];
    double start = bench_clock();
    for (size_t t = 0; t < steps; t++) {
        for (size_t i = 0; i < n; i++) {
            slot[i] = i;
            token[i] = bench_token(s, i, t);
        }
        decoder_step(d, n, slot, token, logits);
    }
    return (bench_clock() - start) / (double)steps;
}

// FLOPs of a token's products with weights.
static double token_flops(const struct model *m) {
    return 2 * (double)weight_floats(m);
}

static void add(struct report *r, const struct shape *s, size_t n, const char *how,
                const struct series *time, double ratio, const char *against) {
    char *name = xasprintf("%s: decoding, %zu sequence%s%s", s->name, n, n == 1 ? "" : "s", how);
    report_add(r, name, (double)n / series_median(time), "tokens/s", ratio, against,
               series_spread(time));
    free(name);
}

// The same weights in bf16, read by one sequence.
static void bench_half(struct report *r, const struct shape *s, const struct model *m,
                       size_t rounds, size_t steps, float *logits) {
    struct model half;
    model_copy_bf16(&half, m);
    linear_pack(&half);
    struct decoder *d = decoder_new(&half, MANY, PROMPT + 2 * steps);
    struct series one = {0}, read = {0};
    const float *weights = (const float *)(const void *)half.half;
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        begin(d, s, logits);
        read.at[read.n++] = bench_read(weights, weight_floats(m) / 2);
        one.at[one.n++] = steps_seconds(d, s, 1, steps, logits);
    }
    report_section(r, before);
    add(r, s, 1, ", bf16 weights", &one, series_ratio(&read, &one),
        "reading its weights (aim 0.85)");
    decoder_free(d);
    model_release(&half);
}

// MANY in bf16 against its peak.
static void bench_bf16(struct report *r, const struct shape *s, const struct model *m,
                       size_t rounds, size_t steps, float *logits) {
    struct model half;
    model_copy_bf16(&half, m);
    half.rounded = true;
    linear_pack(&half);
    struct decoder *d = decoder_new(&half, MANY, PROMPT + 2 * steps);
    struct series many = {0}, peak = {0};
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        begin(d, s, logits);
        peak.at[peak.n++] = MANY * token_flops(m) / bench_peak(true);
        many.at[many.n++] = steps_seconds(d, s, MANY, steps, logits);
    }
    report_section(r, before);
    double share = series_ratio(&peak, &many);
    add(r, s, MANY, ", bf16", &many, share, "multiply-add peak of bf16 (aim 0.65)");
    decoder_free(d);
    model_release(&half);
}

// Sequences of the model itself.
static void bench_float32(struct report *r, const struct shape *s, struct model *m, size_t rounds,
                          size_t steps, float *logits) {
    struct decoder *d = decoder_new(m, MANY, PROMPT + 2 * steps);
    int32_t ids[PROMPT];
    struct series one = {0}, many = {0}, peak = {0}, read = {0}, prefill = {0};
    for (size_t i = 0; i < PROMPT; i++) ids[i] = bench_token(s, 1, i);
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        double start = bench_clock();
        decoder_start(d, MANY - 1, ids, PROMPT, logits);
        prefill.at[prefill.n++] = bench_clock() - start;
        begin(d, s, logits);
        read.at[read.n++] = bench_read(m->params, weight_floats(m));
        one.at[one.n++] = steps_seconds(d, s, 1, steps, logits);
        peak.at[peak.n++] = MANY * token_flops(m) / bench_peak(false);
        many.at[many.n++] = steps_seconds(d, s, MANY, steps, logits);
    }
    report_section(r, before);
    add(r, s, 1, "", &one, series_ratio(&read, &one), "reading its weights (aim 0.85)");
    add(r, s, MANY, "", &many, series_ratio(&peak, &many), "multiply-add peak (aim 0.7)");
    char *name = xasprintf("%s: prefill of %d tokens", s->name, PROMPT);
    report_add(r, name, PROMPT / series_median(&prefill), "tokens/s", NAN, "",
               series_spread(&prefill));
    free(name);
    decoder_free(d);
}

void bench_decoding(struct report *r, const struct shape *s) {
    struct model m, packed;
    shape_model(s, &m);
    model_copy(&packed, &m);
    linear_pack(&packed);
    size_t steps = bench_quick() ? 4 : 16, rounds = bench_rounds();
    const size_t bytes = MANY * m.config.vocab_used * sizeof(float);
    float *logits = big_alloc(bytes);
    bench_float32(r, s, &packed, rounds, steps, logits);
    bench_half(r, s, &m, rounds, steps, logits);
    bench_bf16(r, s, &m, rounds, steps, logits);
    big_free(logits, bytes);
    model_release(&packed);
    model_release(&m);
}

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

enum { MANY = 32, PROMPT = 64 }; // sequences, as rows are named; tokens that they have before

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

// The products of such steps and nothing else, as layers call them.
static double products_seconds(const struct model *m, size_t steps, float *logits) {
    const struct model_config *c = &m->config;
    const size_t rows[2] = {0, MANY}, qkv = (c->heads + 2 * c->kv_heads) * c->head_dim;
    const size_t n = MANY * (qkv > 2 * c->hidden ? qkv : 2 * c->hidden);
    const struct linear_rows r = {.plan = {.units = 1, .first = rows, .apart = true}};
    float *x = big_alloc(n * sizeof *x), *y = big_alloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++) x[i] = (float)(i % 13) * 1e-3f;
    double start = bench_clock();
    for (size_t t = 0; t < steps; t++) {
        for (size_t l = 0; l < c->layers; l++)
            for (enum projection p = PROJECT_QKV; p <= PROJECT_DOWN; p++)
                linear_forward(m, &r, l, p, y, x, p == PROJECT_OUT || p == PROJECT_DOWN);
        linear_forward(m, &r, 0, PROJECT_HEAD, logits, x, false);
    }
    double seconds = (bench_clock() - start) / (double)steps;
    big_free(x, n * sizeof *x);
    big_free(y, n * sizeof *y);
    return seconds;
}

// Numbers of keys and values that attention reads in such a step, in the mean, for one of weights.
static double kept_share(const struct model *m, size_t steps) {
    const struct model_config *c = &m->config;
    size_t width = 2 * c->kv_heads * c->head_dim, before = prompt_length() + (steps + 1) / 2;
    return (double)(MANY * c->layers * width * before) / (double)weight_floats(m);
}

// FLOPs of a token's products with weights.
static double token_flops(const struct model *m) {
    return 2 * (double)weight_floats(m);
}

static void add(struct report *r, const struct shape *s, const char *what, size_t n,
                const struct series *time, double ratio, const char *against) {
    char *name = xasprintf("%s: %s", s->name, what);
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
    add(r, s, "decoding, 1 sequence, bf16 weights", 1, &one, series_ratio(&read, &one),
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
    struct series many = {0}, products = {0}, peak = {0}, parts = {0};
    const float *weights = (const float *)(const void *)half.half;
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        begin(d, s, logits);
        double read = bench_read(weights, weight_floats(m) / 2);
        peak.at[peak.n++] = MANY * token_flops(m) / bench_peak(true);
        products.at[products.n++] = products_seconds(&half, steps, logits);
        parts.at[parts.n++] = products.at[i] + kept_share(m, steps) * read;
        many.at[many.n++] = steps_seconds(d, s, MANY, steps, logits);
    }
    report_section(r, before);
    add(r, s, "products of 32 rows, bf16", MANY, &products, series_ratio(&peak, &products),
        "multiply-add peak of bf16 (aim 0.65)");
    add(r, s, "decoding, 32 sequences, bf16", MANY, &many, series_ratio(&peak, &many),
        "multiply-add peak of bf16 (aim 0.65)");
    add(r, s, "32 sequences, of the parts, bf16", MANY, &many, series_ratio(&parts, &many),
        "its products, then reading keys and values");
    decoder_free(d);
    model_release(&half);
}

// Sequences of the model itself.
static void bench_float32(struct report *r, const struct shape *s, struct model *m, size_t rounds,
                          size_t steps, float *logits) {
    struct decoder *d = decoder_new(m, MANY, PROMPT + 2 * steps);
    int32_t ids[PROMPT];
    struct series one = {0}, many = {0}, products = {0}, parts = {0};
    struct series peak = {0}, read = {0}, prefill = {0};
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
        products.at[products.n++] = products_seconds(m, steps, logits);
        parts.at[parts.n++] = products.at[i] + kept_share(m, steps) * read.at[i];
        many.at[many.n++] = steps_seconds(d, s, MANY, steps, logits);
    }
    report_section(r, before);
    add(r, s, "decoding, 1 sequence", 1, &one, series_ratio(&read, &one),
        "reading its weights (aim 0.85)");
    add(r, s, "products of 32 rows", MANY, &products, series_ratio(&peak, &products),
        "multiply-add peak (aim 0.7)");
    add(r, s, "decoding, 32 sequences", MANY, &many, series_ratio(&peak, &many),
        "multiply-add peak (aim 0.7)");
    add(r, s, "32 sequences, of the parts", MANY, &many, series_ratio(&parts, &many),
        "its products, then reading keys and values");
    add(r, s, "prefill of 64 tokens", PROMPT, &prefill, NAN, "");
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

#include "tests/bench/engine/bench.h"
#include "common/engine/decoder.h"
#include "common/base/mem.h"
#include <math.h>
#include <stdlib.h>

// Weights that a token reads: all matrices, of the embedding one row unless it is the head too.
static size_t weight_floats(const struct model *m) {
    const struct model_config *c = &m->config;
    return c->tied ? m->n_params : m->n_params - c->vocab * c->width;
}

static double steps_seconds(struct decoder *d, const struct shape *s, size_t n, size_t steps,
                            float *logits) {
    size_t slot[64];
    int32_t token[64];
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

// One sequence by the same weights in bf16, against reading them: half the bytes of `read`.
static void bench_half(struct report *r, const struct shape *s, const struct model *m,
                       const struct series *read, size_t steps, float *logits) {
    struct model half;
    model_copy_bf16(&half, m);
    struct decoder *d = decoder_new(&half, 1, (read->n + 1) * steps + 1);
    struct series time = {0}, bytes = *read;
    int32_t first = 1;
    decoder_start(d, 0, &first, 1, logits);
    for (size_t i = 0; i < read->n; i++) {
        bytes.at[i] /= 2;
        time.at[time.n++] = steps_seconds(d, s, 1, steps, logits);
    }
    char *name = xasprintf("%s: decoding, 1 sequence, bf16 weights", s->name);
    report_add(r, name, 1 / series_median(&time), "tokens/s", series_ratio(&bytes, &time),
               "reading its weights", series_spread(&time));
    free(name);
    decoder_free(d);
    model_release(&half);
}

void bench_decoding(struct report *r, const struct shape *s) {
    enum { MANY = 32, PROMPT = 64 };
    struct model m;
    shape_model(s, &m);
    size_t steps = bench_quick() ? 4 : 16, rounds = bench_rounds();
    size_t held = bench_quick() ? PROMPT / 4 : PROMPT; // tokens of a sequence before it continues
    size_t length = PROMPT + 2 * (rounds + 1) * steps;
    struct decoder *d = decoder_new(&m, MANY, length);
    float *logits = xmalloc(MANY * m.config.vocab_used * sizeof *logits);
    int32_t ids[PROMPT];
    struct series read = {0}, one = {0}, many = {0}, peak = {0}, prefill = {0};
    for (size_t i = 0; i < PROMPT; i++) ids[i] = bench_token(s, 1, i);
    for (size_t i = 0; i < MANY; i++) decoder_start(d, i, ids, held, logits);
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        double start = bench_clock();
        decoder_start(d, MANY - 1, ids, PROMPT, logits);
        prefill.at[prefill.n++] = bench_clock() - start;
        read.at[read.n++] = bench_read(m.params, weight_floats(&m));
        one.at[one.n++] = steps_seconds(d, s, 1, steps, logits);
        peak.at[peak.n++] = MANY * token_flops(&m) / bench_peak(false);
        many.at[many.n++] = steps_seconds(d, s, MANY, steps, logits);
    }
    report_section(r, before);
    char *name = xasprintf("%s: decoding, 1 sequence", s->name);
    report_add(r, name, 1 / series_median(&one), "tokens/s", series_ratio(&read, &one),
               "reading its weights (aim 0.75)", series_spread(&one));
    free(name);
    bench_half(r, s, &m, &read, steps, logits);
    name = xasprintf("%s: decoding, %d sequences", s->name, MANY);
    report_add(r, name, MANY / series_median(&many), "tokens/s", series_ratio(&peak, &many),
               "multiply-add peak (aim 0.7)", series_spread(&many));
    free(name);
    name = xasprintf("%s: prefill of %d tokens", s->name, PROMPT);
    report_add(r, name, PROMPT / series_median(&prefill), "tokens/s", NAN, "",
               series_spread(&prefill));
    free(name);
    free(logits);
    decoder_free(d);
    model_release(&m);
}

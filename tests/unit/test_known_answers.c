// TinyStories-656K and its bfloat16 twin against answers computed in float64 by another program:
// negative log-likelihoods of every token, the ten most likely next tokens, the greedy
// continuation.
#include "common/training/measure.h"
#include "common/base/parallel.h"
#include "common/engine/sample.h"
#include "formats/models/huggingface.h"
#include "formats/bytes/slurp.h"
#include "formats/teachers/sources.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define MODELS "../shared/data/models/"
enum { PROMPTS = 5, LONGEST = 430, TOP = 10, NEW = 32 };

struct known {
    struct json *root;
    struct tokens tokens; // the prompts; every token but the first is a target
    size_t checked;
    double worst;
};

static bool read_answers(struct known *k) {
    struct fail f = {0};
    size_t n, at = 0;
    const char *path = MODELS "TinyStories-656K/known_answers_f64.json";
    if (access(path, R_OK)) return false;
    char *text = slurp(path, 1 << 24, &n, &f);
    k->root = json_parse(text, n, path, &f);
    free(text);
    assert_int_equal(f.code, 0);
    assert_int_equal(json_size(k->root), PROMPTS);
    struct tokens *t = &k->tokens;
    *t = (struct tokens){.kind = TOKENS_TEXT, .rows = PROMPTS, .vocab = 2048};
    t->first = xcalloc(PROMPTS + 1, sizeof *t->first);
    t->ids = xcalloc(PROMPTS * LONGEST, sizeof *t->ids);
    t->mask = xcalloc(PROMPTS * LONGEST, 1);
    for (size_t p = 0; p < PROMPTS; p++) {
        const struct json *ids = json_get(json_at(k->root, p), "ids");
        for (size_t i = 0; i < json_size(ids); i++, at++) {
            t->ids[at] = (int32_t)json_int(json_at(ids, i));
            t->mask[at] = i > 0;
        }
        t->first[p + 1] = at;
        if (json_size(ids) > t->longest) t->longest = json_size(ids);
    }
    assert_int_equal(t->longest, LONGEST);
    return true;
}

static void check_chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct known *k = self;
    double logp[1024];
    assert_true(c.first + c.count <= 1024);
    score_chunk(b, c, logits[0], 2048, logp);
    for (size_t p = c.first; p < c.first + c.count; p++) {
        size_t row = b->response[b->owner[p]].row, index = measure_index(b, p);
        const struct json *nll = json_get(json_at(k->root, row), "nll_per_token");
        assert_int_equal(b->target[p], k->tokens.ids[k->tokens.first[row] + index]);
        double difference = fabs(-logp[p] - json_number(json_at(nll, index - 1)));
        if (!(difference <= k->worst)) k->worst = difference; // a NaN gets through
        k->checked++;
    }
}

static bool go_on(void *self, const struct batch *b, struct fail *f) {
    (void)self;
    (void)b;
    (void)f;
    return true;
}

static void check_nll(struct known *k, const struct model *m) {
    struct fail f = {0};
    struct source s;
    size_t one = PROMPTS;
    k->tokens.parts = 1;
    k->tokens.part_rows = &one;
    source_tokens(&s, &k->tokens);
    struct measure measure = {.models = 1,
                              .model = {m},
                              .source = &s,
                              .tokens = 64,
                              .self = k,
                              .chunk = check_chunk,
                              .batch = go_on};
    k->checked = 0;
    k->worst = 0;
    assert_true(measure_run(&measure, &f));
    assert_int_equal(k->checked, 5 + 8 + 9 + 10 + 429);
    if (!(k->worst <= 1e-4)) fail_msg("a token's nll is off by %g", k->worst);
}

static void check_top(const struct known *k, struct decoder *d, size_t p) {
    float logits[2048];
    const size_t *first = k->tokens.first;
    const struct json *answer = json_at(k->root, p), *top = json_get(answer, "top10_ids");
    decoder_start(d, 0, k->tokens.ids + first[p], first[p + 1] - first[p], logits);
    for (size_t i = 0; i < TOP; i++) {
        size_t best = 0;
        for (size_t v = 1; v < 2048; v++)
            if (logits[v] > logits[best]) best = v;
        assert_int_equal(best, json_int(json_at(top, i)));
        double known = json_number(json_at(json_get(answer, "top10_logits"), i));
        if (!(fabs(logits[best] - known) <= 1e-4))
            fail_msg("logit %g, not %g", logits[best], known);
        logits[best] = -INFINITY;
    }
}

static void check_greedy(const struct known *k, struct decoder *d) {
    int32_t ids[PROMPTS][NEW];
    struct sample_job jobs[PROMPTS];
    for (size_t p = 0; p < PROMPTS; p++)
        jobs[p] = (struct sample_job){.prompt = k->tokens.ids + k->tokens.first[p],
                                      .row = p,
                                      .n = k->tokens.first[p + 1] - k->tokens.first[p],
                                      .ids = ids[p]};
    struct sampler s = {.decoders = 1,
                        .decoder = &d,
                        .slots = 3,
                        .length = LONGEST + NEW,
                        .options = {.temperature = 0, .top_p = 1, .max_new = NEW}};
    assert_true(sample_run(&s, jobs, PROMPTS));
    for (size_t p = 0; p < PROMPTS; p++) {
        const struct json *greedy = json_get(json_at(k->root, p), "greedy32");
        assert_int_equal(jobs[p].count, NEW);
        for (size_t i = 0; i < NEW; i++) assert_int_equal(ids[p][i], json_int(json_at(greedy, i)));
    }
}

static void check_model(const char *folder) {
    struct known k = {0};
    struct fail f = {0};
    struct model_file m;
    if (!read_answers(&k) || access(folder, R_OK)) {
        print_message("SKIP: no ../shared/data/models\n");
        skip();
    }
    if (huggingface_load(folder, MODELS "TinyStories-656K/tokenizer.json", &m, &f)) {
        model_alloc(&m.model);
        huggingface_weights(folder, &m.model, &f);
    }
    if (f.code) fail_msg("%s", f.text);
    check_nll(&k, &m.model);
    struct decoder *d = decoder_new(&m.model, 3, LONGEST + NEW);
    for (size_t p = 0; p < PROMPTS; p++) check_top(&k, d, p);
    check_greedy(&k, d);
    decoder_free(d);
    model_file_release(&m);
    free(k.tokens.first);
    free(k.tokens.ids);
    free(k.tokens.mask);
    json_free(k.root);
}

static void test_float32(void **state) {
    (void)state;
    check_model(MODELS "TinyStories-656K");
}

static void test_bfloat16(void **state) {
    (void)state;
    check_model(MODELS "TinyStories-656K-bf16");
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float32),
        cmocka_unit_test(test_bfloat16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

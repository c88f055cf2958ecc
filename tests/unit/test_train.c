// The training loop: it learns, its result does not depend on --micro-tokens or threads, a run that
// is cut at any step and taken up again ends in the same bytes, a diverging run says where.
#include "common/training/train.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 23, LONGEST = 19, VOCAB = 29 };

static size_t row_length(size_t row) {
    return 4 + row * 7 % (LONGEST - 3);
}

static size_t part_rows(void *self, size_t part) {
    (void)self;
    return part == 2 ? ROWS - 16 : 8;
}

static size_t measure(void *self, size_t row, struct step_totals *totals) {
    (void)self;
    totals->tokens += row_length(row) - 1;
    totals->responses++;
    return row_length(row);
}

static bool add(void *self, struct batch *b, size_t row, struct fail *f) {
    int32_t ids[LONGEST];
    uint8_t mask[LONGEST];
    (void)self;
    (void)f;
    for (size_t i = 0; i < row_length(row); i++) {
        ids[i] = (int32_t)((row + 3 * i) % VOCAB); // learnable: each token determines the next
        mask[i] = 1;
    }
    batch_sequence(b, ids, mask, row_length(row), row, RESPONSE_ONLY);
    return true;
}

struct bench {
    struct model model;
    struct optim *optim;
    struct exchange *exchange;
    struct train_options options;
    struct source source;
    struct objective objective;
    struct log *log;
    struct metrics *metrics;
    uint64_t stop_at;
    double first_loss;
};

static bool first_loss(void *self, double loss, struct fail *f) {
    (void)f;
    ((struct bench *)self)->first_loss = loss;
    return true;
}

static bool save(void *self, uint64_t step, struct fail *f) {
    (void)self;
    (void)step;
    (void)f;
    return true;
}

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    (void)f;
    *end = step == ((struct bench *)self)->stop_at;
    return true;
}

static void setup(struct bench *b) {
    struct model_config c = {.layers = 2,
                             .width = 16,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_dim = 8,
                             .hidden = 32,
                             .vocab = VOCAB,
                             .max_positions = 64,
                             .norm_eps = 1e-5,
                             .rope_theta = 10000,
                             .tied = true};
    char why[200];
    *b = (struct bench){0};
    assert_true(model_init(&b->model, &c, why, sizeof why));
    model_alloc(&b->model);
    model_randomise(&b->model, 3);
    b->optim = optim_new(&b->model);
    b->exchange = exchange_new(b->optim);
    b->options = (struct train_options){.batch_size = 7,
                                        .epochs = 12,
                                        .unit_tokens = 40,
                                        .micro_tokens = 40,
                                        .window = 2,
                                        .optim = {.lr = 0.02,
                                                  .min_lr = 0.1,
                                                  .warmup = 0.1,
                                                  .beta1 = 0.9,
                                                  .beta2 = 0.95,
                                                  .epsilon = 1e-8,
                                                  .weight_decay = 0.01,
                                                  .clip = 1,
                                                  .schedule = "cosine"}};
    b->source = (struct source){.rows = ROWS,
                                .parts = 3,
                                .longest = LONGEST,
                                .span = LONGEST,
                                .part_rows = part_rows,
                                .measure = measure,
                                .add = add};
    b->objective = objective_sft_new(VOCAB);
    b->log = log_open("never", true, false);
    b->metrics = metrics_open(NULL, 0);
}

static void teardown(struct bench *b) {
    exchange_free(b->exchange);
    optim_free(b->optim);
    model_release(&b->model);
    objective_free(&b->objective);
    log_close(b->log);
    metrics_close(b->metrics);
}

static int run(struct bench *b, uint64_t step, struct fail *f) {
    struct train t = {.model = &b->model,
                      .optim = b->optim,
                      .exchange = b->exchange,
                      .objective = &b->objective,
                      .source = &b->source,
                      .options = &b->options,
                      .seed = 5,
                      .step = step,
                      .metrics = b->metrics,
                      .log = b->log};
    t.hooks = (struct train_hooks){
        .self = b, .save = save, .after_step = after_step, .first_loss = first_loss};
    return train_run(&t, f);
}

static uint64_t trained(size_t micro, int threads, uint64_t cut) {
    struct bench b;
    struct fail f = {0};
    parallel_init(threads);
    setup(&b);
    b.options.micro_tokens = (int64_t)micro;
    b.stop_at = cut;
    assert_int_equal(run(&b, 0, &f), EXIT_DONE);
    if (cut) {
        b.stop_at = 0;
        assert_int_equal(run(&b, cut, &f), EXIT_DONE);
    }
    uint64_t h = 14695981039346656037u; // FNV-1a of the parameters
    for (size_t i = 0; i < b.model.n_params * sizeof(float); i++)
        h = (h ^ ((unsigned char *)b.model.params)[i]) * 1099511628211u;
    teardown(&b);
    return h;
}

static void same_bytes(void **state) {
    (void)state;
    uint64_t expect = trained(40, 1, 0);
    for (int threads = 1; threads <= 3; threads++)
        for (size_t micro = 1; micro <= 1000; micro *= 10)
            assert_true(trained(micro, threads, 0) == expect);
    for (uint64_t cut = 1; cut < 48; cut += 5) assert_true(trained(40, 2, cut) == expect);
    parallel_init(2);
}

static void learns(void **state) {
    (void)state;
    struct bench b;
    struct fail f = {0};
    setup(&b);
    assert_int_equal(train_steps(&b.options, ROWS), 48); // 4 steps an epoch, the last one smaller
    assert_int_equal(run(&b, 0, &f), EXIT_DONE);
    double start = b.first_loss;
    assert_true(fabs(start - log(VOCAB)) < 0.2);
    b.options.steps = 1;
    b.options.optim.lr = 0;
    assert_int_equal(run(&b, 0, &f), EXIT_DONE);
    assert_true(b.first_loss < 0.5 * start);
    teardown(&b);
}

static void divergence_is_told(void **state) {
    (void)state;
    struct bench b;
    struct fail f = {0};
    setup(&b);
    b.model.params[b.model.norm] = NAN;
    assert_int_equal(run(&b, 0, &f), EXIT_FAILED);
    assert_non_null(strstr(f.text, "step 1"));
    assert_non_null(strstr(f.text, "rows"));
    teardown(&b);
}

static void rates(void **state) {
    (void)state;
    struct optim_options o = {.lr = 1, .min_lr = 0.1, .warmup = 0.1, .schedule = "cosine"};
    assert_true(fabs(optim_rate(&o, 0, 100) - 0.1) < 1e-12);
    assert_true(fabs(optim_rate(&o, 9, 100) - 1) < 1e-12);
    assert_true(fabs(optim_rate(&o, 10, 100) - 1) < 1e-12);
    assert_true(fabs(optim_rate(&o, 55, 101) - 0.55) < 1e-12);
    assert_true(fabs(optim_rate(&o, 99, 100) - 0.1) < 1e-12); // the last step has the last rate
    assert_true(optim_rate(&o, 98, 100) > 0.1001);
    assert_true(optim_rate(&o, 0, 1) == 1); // of one step the only one
    o.schedule = "linear";
    assert_true(fabs(optim_rate(&o, 55, 101) - 0.55) < 1e-12);
    assert_true(fabs(optim_rate(&o, 99, 100) - 0.1) < 1e-12);
    o.schedule = "constant";
    o.warmup = 3;
    assert_true(fabs(optim_rate(&o, 1, 100) - 2.0 / 3) < 1e-12);
    assert_true(fabs(optim_rate(&o, 60, 100) - 1) < 1e-12);
    o.warmup = 1.5; // a step, and nothing is above lr
    assert_true(optim_rate(&o, 0, 100) == 1 && optim_rate(&o, 1, 100) == 1);
}

// One update by hand: p -= lr (m^ / (sqrt v^ + eps) + decay p), the gradient clipped by its norm.
static void adamw_by_hand(void **state) {
    (void)state;
    struct bench b;
    setup(&b);
    struct optim_options o = {.lr = 0.01,
                              .min_lr = 1,
                              .warmup = 0,
                              .beta1 = 0.9,
                              .beta2 = 0.99,
                              .epsilon = 1e-8,
                              .weight_decay = 0.1,
                              .clip = 5,
                              .schedule = "constant"};
    size_t matrix = b.model.layer[1].o, vector = b.model.layer[1].norm2;
    float w = b.model.params[matrix], n = b.model.params[vector];
    optim_zero(b.optim, b.optim->grads);
    b.optim->grads[matrix] = 6;
    b.optim->grads[vector] = -8;
    assert_true(fabs(optim_step(b.optim, &o, 0, 10) - 10) < 1e-6);
    assert_true(fabs(b.model.params[matrix] - (w - 0.01 * (1 + 0.1 * w))) < 1e-6);
    assert_true(fabs(b.model.params[vector] - (n + 0.01)) < 1e-6); // vectors do not decay
    assert_true(fabs(b.optim->m[matrix] - 0.1 * 3) < 1e-6);
    assert_true(fabs(b.optim->v[matrix] - 0.01 * 9) < 1e-6);
    optim_zero(b.optim, b.optim->grads);
    optim_step(b.optim, &o, 1, 10);
    double m = 0.9 * 0.3 / (1 - 0.81), v = 0.99 * 0.09 / (1 - 0.9801);
    double w1 = w - 0.01 * (1 + 0.1 * w);
    assert_true(fabs(b.model.params[matrix] - (w1 - 0.01 * (m / sqrt(v) + 0.1 * w1))) < 1e-6);
    teardown(&b);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(learns), cmocka_unit_test(same_bytes),
                                       cmocka_unit_test(divergence_is_told),
                                       cmocka_unit_test(rates), cmocka_unit_test(adamw_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The on-policy source: responses of the student as it is, a function of seed, step and student
// alone; weights and measured numbers at the very positions that are trained.
#include "stages/shared/on_policy.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/small_model.h"

enum { V = 21, EOS = 3, ROWS = 6, LENGTH = 20, NEW = 9, BATCH = 4, MOST = BATCH * NEW };

struct fixture {
    struct model model[4]; // student, dpo, reverse, ref
    struct tokens prompts;
    struct train_options train;
    struct on_policy policy;
    struct source source;
};

// Prompts of 2 to 7 tokens, with responses that must be left out.
static void make_prompts(struct tokens *t) {
    *t = (struct tokens){.kind = TOKENS_SFT, .rows = ROWS, .vocab = V, .parts = 1};
    t->first = calloc(ROWS + 1, sizeof *t->first);
    t->prompt_length = calloc(ROWS, sizeof *t->prompt_length);
    t->part_rows = calloc(1, sizeof *t->part_rows);
    t->ids = calloc(ROWS * LENGTH, sizeof *t->ids);
    t->part_rows[0] = ROWS;
    for (size_t i = 0; i < ROWS; i++) {
        t->prompt_length[i] = (int32_t)(2 + i);
        t->first[i + 1] = t->first[i] + 2 + i + 3;
        for (size_t k = t->first[i]; k < t->first[i + 1]; k++)
            t->ids[k] = (int32_t)(rng_bits(2, RNG_TEST, i, k) % (V - 1));
    }
}

static void setup(struct fixture *x, enum reward_level level, bool exact, size_t slots) {
    *x = (struct fixture){0};
    struct fail f = {0};
    for (size_t i = 0; i < 4; i++)
        x->model[i] = small_model(small_config(V, V - 1, LENGTH), i, 0.4);
    make_prompts(&x->prompts);
    x->train = (struct train_options){
        .batch_size = BATCH, .unit_tokens = 40, .micro_tokens = 30, .epochs = 1, .window = 1};
    x->policy = (struct on_policy){
        .student = &x->model[0],
        .prompts = &x->prompts,
        .eos = EOS,
        .seed = 6,
        .train = &x->train,
        .max_new = NEW,
        .slots = slots,
        .teachers = {&x->model[1], &x->model[2], &x->model[3]},
        .rule = {.base_dpo = true, .negative_reverse = true, .alpha = ALPHA_DAMPED, .strength = 1},
        .level = level,
        .exact = exact,
        .inverse_alpha = true,
        .reward_beta = 0.1};
    assert_true(on_policy_source(&x->policy, &x->source, &f));
    assert_true(on_policy_plan(&x->policy) > 0);
    on_policy_open(&x->policy);
}

static void teardown(struct fixture *x) {
    on_policy_close(&x->policy);
    for (size_t i = 0; i < 4; i++) model_release(&x->model[i]);
    free(x->prompts.first);
    free(x->prompts.prompt_length);
    free(x->prompts.part_rows);
    free(x->prompts.ids);
}

static size_t prepare(struct fixture *x, uint64_t step, const size_t *rows, size_t n,
                      struct batch *b, struct step_totals *totals) {
    struct fail f = {0};
    size_t tokens = 0;
    assert_true(x->source.prepare(x->source.self, step, rows, n, &f));
    batch_clear(b);
    batch_begin_unit(b); // all in one unit, unlike in prepare
    *totals = (struct step_totals){.rows = n};
    for (size_t i = 0; i < n; i++) {
        tokens += x->source.measure(x->source.self, rows[i], totals);
        assert_true(x->source.add(x->source.self, b, rows[i], &f));
    }
    batch_end(b);
    return tokens;
}

static uint64_t ids_hash(const struct batch *b) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < b->n; i++) h = (h ^ (uint64_t)b->ids[i]) * 1099511628211u;
    return h;
}

static void rows_are_samples(void **state) {
    (void)state;
    static const size_t rows[] = {5, 0, 3};
    struct fixture x;
    struct batch b = {0};
    struct step_totals totals;
    setup(&x, REWARD_DISTRIBUTION, false, 3);
    assert_int_equal(x.source.longest, 7 + NEW);
    size_t tokens = prepare(&x, 1, rows, 3, &b, &totals);
    assert_true(tokens == b.n && totals.tokens == b.positions && totals.responses == 3);
    for (size_t r = 0; r < 3; r++) {
        const struct response *y = &b.response[r];
        size_t np = 2 + rows[r], start = b.segment[r].first;
        assert_true(y->count >= 1 && y->count <= NEW);
        assert_memory_equal(b.ids + start, x.prompts.ids + x.prompts.first[rows[r]],
                            np * sizeof *b.ids);
        assert_int_equal(b.row[y->first], start + np - 1); // the last of the prompt predicts first
        for (size_t i = 0; i < y->count; i++) {
            assert_int_equal(b.target[y->first + i], b.ids[start + np + i]);
            assert_true((b.target[y->first + i] == EOS) == (i + 1 == y->count && y->count < NEW) ||
                        y->count == NEW);
            assert_true(b.weight[y->first + i] == 0);
        }
    }
    batch_release(&b);
    teardown(&x);
}

static void samples_follow_seed_step_student(void **state) {
    (void)state;
    static const size_t rows[] = {4, 1, 2, 0};
    struct batch b = {0};
    struct step_totals totals;
    uint64_t want = 0;
    for (int threads = 1; threads <= 3; threads++) {
        struct fixture x;
        parallel_init(threads);
        setup(&x, REWARD_DISTRIBUTION, false, (size_t)(5 - threads));
        if (threads != 2) prepare(&x, 0, rows, 2, &b, &totals); // what came before is of no matter
        prepare(&x, 7, rows, 4, &b, &totals);
        if (!want) want = ids_hash(&b);
        assert_true(ids_hash(&b) == want);
        prepare(&x, 8, rows, 4, &b, &totals);
        assert_true(ids_hash(&b) != want);
        x.model[0].params[x.model[0].head + 5] += 2; // the student has learnt
        prepare(&x, 7, rows, 4, &b, &totals);
        assert_true(ids_hash(&b) != want);
        teardown(&x);
    }
    parallel_init(2);
    batch_release(&b);
}

// What prepare measured and weighed, against student and teachers run over the batch to be trained.
static void weights_are_in_place(void **state) {
    (void)state;
    static const size_t rows[] = {4, 1, 5, 0};
    for (int kind = 0; kind < 3; kind++) {
        struct fixture x;
        struct batch b = {0};
        struct step_totals totals;
        setup(&x,
              kind == 0   ? REWARD_DISTRIBUTION
              : kind == 1 ? REWARD_TOKEN
                          : REWARD_RESPONSE,
              kind == 0, 2);
        prepare(&x, 3, rows, 4, &b, &totals);
        struct net_limits limits = {.rows = 80, .positions = MOST, .trees_tokens = LENGTH};
        struct net *net = net_new(&x.model[0], &limits);
        struct online_teachers *live =
            online_teachers_new(&x.policy.teachers, &x.policy.rule, &limits);
        static float logp[MOST * V], weight[MOST];
        struct teacher_position info[MOST];
        struct policy_position mine[MOST], theirs[MOST];
        float *z = net_logits_buffer(net);
        net_forward(net, &b);
        net_logits(net, (struct chunk){0, b.positions}, z);
        online_teachers_compose(live, &b, 0, b.positions, logp, info);
        online_teachers_measure(live, &b, 0, b.positions, z, logp, info, mine);
        on_policy_watch(&x.policy, &b, 0, b.positions, z, NULL, NULL, theirs);
        size_t first[BATCH + 1] = {0};
        for (size_t r = 0; r < 4; r++) first[r + 1] = b.response[r].first + b.response[r].count;
        struct policy_step s = {4, first, mine, x.policy.level, true, 0.1};
        policy_weights(&s, weight);
        double size = 0;
        for (size_t i = 0; i < b.positions; i++) {
            assert_true(fabs(mine[i].token - theirs[i].token) < 1e-4);
            assert_true(fabs(mine[i].reward - theirs[i].reward) < 1e-4);
            assert_true(fabs(mine[i].alpha - theirs[i].alpha) < 1e-5);
            assert_true(fabsf(weight[i] - b.weight[i]) < 1e-4f);
            size += fabs((double)b.weight[i]);
        }
        assert_true(size > 0.1); // they are not all nothing
        net_free(net);
        online_teachers_free(live);
        batch_release(&b);
        teardown(&x);
    }
}

static void prompts_must_fit(void **state) {
    (void)state;
    struct fixture x;
    struct fail f = {0}, g = {0};
    setup(&x, REWARD_TOKEN, false, 1);
    x.policy.max_new = 1000;
    assert_true(on_policy_source(&x.policy, &x.source, &f));
    assert_int_equal(x.source.longest, LENGTH);
    x.prompts.prompt_length[2] = 0;
    assert_false(on_policy_source(&x.policy, &x.source, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    x.prompts.prompt_length[2] = LENGTH;
    assert_false(on_policy_source(&x.policy, &x.source, &g));
    assert_non_null(strstr(g.text, "prompt 2 has 20 tokens"));
    teardown(&x);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_samples), cmocka_unit_test(samples_follow_seed_step_student),
        cmocka_unit_test(weights_are_in_place), cmocka_unit_test(prompts_must_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Lanes: which numbers of ranks share them out, how rows are cut, and that their sums are added
// along the one tree, whatever block of it is computed at once. (Several ranks:
// tests/cli/ranks.sh.)
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/training/lanes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void blocks(void **state) {
    (void)state;
    static const struct {
        size_t lanes, block;
        int ranks;
    } cases[] = {{1, 1, 1}, {4, 4, 1}, {4, 2, 2}, {4, 1, 4}, {4, 0, 3}, {4, 0, 5},   {6, 8, 1},
                 {6, 4, 2}, {6, 2, 3}, {6, 1, 6}, {6, 0, 4}, {7, 2, 4}, {64, 1, 64}, {64, 0, 48}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(lanes_block(cases[i].lanes, cases[i].ranks), cases[i].block);
    static const struct {
        size_t lanes;
        const char *text;
    } texts[] = {
        {1, "1"}, {2, "1 or 2"}, {4, "1, 2 or 4"}, {6, "1, 2, 3 or 6"}, {7, "1, 2, 4 or 7"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = lanes_ranks(texts[i].lanes);
        assert_string_equal(text, texts[i].text);
        free(text);
    }
    assert_int_equal(lanes_buffers(1, 1), 0);
    assert_int_equal(lanes_buffers(4, 4), 0);
    assert_int_equal(lanes_buffers(4, 2), 1);
    assert_int_equal(lanes_buffers(4, 1), 2);
    assert_int_equal(lanes_buffers(64, 1), 6);
}

static struct model make_model(void) {
    struct model_config c = {.layers = 1,
                             .width = 16,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_dim = 8,
                             .hidden = 32,
                             .vocab = 64,
                             .max_positions = 64,
                             .norm_eps = 1e-5,
                             .rope_theta = 10000};
    struct model m;
    char why[200];
    assert_true(model_init(&m, &c, why, sizeof why));
    model_alloc(&m);
    return m;
}

static void rows_are_cut(void **state) {
    (void)state;
    struct model m = make_model();
    struct optim *o = optim_new(&m);
    struct exchange *x = exchange_new(o);
    enum { ROWS = 50 };
    size_t tokens[ROWS], all = 0;
    for (size_t i = 0; i < ROWS; i++) all += tokens[i] = 1 + rng_bits(3, RNG_TEST, 0, i) % 40;
    for (size_t n = 1; n <= 64; n++) {
        struct lanes *l = lanes_new(o, x, n);
        assert_int_equal(lanes_own(l), n);
        lanes_cut(l, tokens, ROWS);
        size_t at = 0, seen = 0;
        for (size_t i = 0; i < n;
             i++) { // all rows, in order, in shares that a row's size is off at most
            size_t first, end, before, own = 0;
            lanes_range(l, i, &first, &end, &before);
            assert_int_equal(first, at);
            assert_int_equal(before, seen);
            for (; at < end; at++) own += tokens[at];
            seen += own;
            assert_true(own <= all / n + 41);
        }
        assert_int_equal(at, ROWS);
        lanes_free(l);
    }
    exchange_free(x);
    optim_free(o);
    model_release(&m);
}

static float gradient(size_t lane, size_t i) {
    return (float)(1e3 * rng_normal(4, RNG_TEST, 7 + lane, i));
}

// Neighbours in pairs, level by level; a last one without a partner waits.
static float naive(size_t lanes, size_t i) {
    float x[64];
    for (size_t k = 0; k < lanes; k++) x[k] = gradient(k, i);
    for (; lanes > 1; lanes = (lanes + 1) / 2)
        for (size_t k = 0; k < lanes; k += 2) x[k / 2] = k + 1 < lanes ? x[k] + x[k + 1] : x[k];
    return x[0];
}

static void sums_along_the_tree(void **state) {
    (void)state;
    struct model m = make_model();
    struct optim *o = optim_new(&m);
    struct exchange *x = exchange_new(o);
    size_t n = o->trained.n, tokens[] = {5, 5, 5}, differ = 0;
    for (size_t lanes = 1; lanes <= 13; lanes++) {
        struct lanes *l = lanes_new(o, x, lanes);
        lanes_cut(l, tokens, 3); // most lanes have no rows, and count all the same
        for (size_t k = 0; k < lanes; k++) {
            float *to = lanes_begin(l);
            for (size_t i = 0; i < n; i++) {
                assert_true(to[i] == 0);
                to[i] = gradient(k, i);
            }
            lanes_end(l);
        }
        lanes_sum(l);
        for (size_t i = 0; i < n; i++) {
            float want = naive(lanes, i), plain = 0;
            for (size_t k = 0; k < lanes; k++) plain += gradient(k, i);
            assert_memory_equal(&o->grads[i], &want, sizeof want);
            differ += plain != want;
        }
        lanes_free(l);
    }
    assert_true(differ > 0); // than by a plain sum: the order matters
    exchange_free(x);
    optim_free(o);
    model_release(&m);
}

// Sharded over any number of ranks, every moment has one place on one rank.
static void shards_cover(void **state) {
    (void)state;
    struct model m = make_model();
    for (int ranks = 1; ranks < 9; ranks++) {
        size_t all = 0;
        for (int r = 0; r < ranks; r++) {
            assert_int_equal(optim_share(&m, false, r, ranks).moments, model_trained(&m).n);
            all += optim_share(&m, true, r, ranks).moments;
        }
        assert_int_equal(all, model_trained(&m).n);
    }
    model_release(&m);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks),
        cmocka_unit_test(rows_are_cut),
        cmocka_unit_test(sums_along_the_tree),
        cmocka_unit_test(shards_cover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

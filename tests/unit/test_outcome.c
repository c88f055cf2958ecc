#include "common/training/outcome.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// n steps whose loss is a + b step and whose margin is c step.
static struct outcome run(uint64_t n, double a, double b, double c) {
    struct outcome o = {.kl_start = NAN};
    struct metrics *m = metrics_open(NULL, 0);
    for (uint64_t step = 1; step <= n; step++) {
        metrics_value(m, "loss", a + b * (double)step);
        metrics_value(m, "reward_margin", c * (double)step);
        metrics_value(m, "tokens", 7);
        if (step == 2) metrics_value(m, "valid_loss", 5);
        if (step == n) metrics_value(m, "valid_loss", 4);
        outcome_step(&o, m);
        metrics_row(m, step);
    }
    metrics_close(m);
    return o;
}

static void test_change(void **state) {
    (void)state;
    double from, to;
    struct outcome o = run(100, 0, 1, 0);
    assert_true(outcome_change(&o, "loss", &from, &to));
    assert_true(fabs(from - 5.5) < 1e-12 && fabs(to - 95.5) < 1e-12); // 1 to 10, 91 to 100
    assert_true(outcome_change(&o, "valid_loss", &from, &to) && from == 5 && to == 4);
    assert_false(outcome_change(&o, "score", &from, &to));
    assert_true(o.steps == 100 && o.tokens == 700);
    for (uint64_t n = 1; n <= 25; n++) { // never the same step on both sides, but for one alone
        uint64_t k = n / 2 > 10 ? 10 : n / 2 ? n / 2 : 1;
        o = run(n, 0, 1, 0);
        assert_true(outcome_change(&o, "loss", &from, &to));
        assert_true(fabs(from - (double)(k + 1) / 2) < 1e-12);
        assert_true(fabs(to - ((double)n - (double)(k - 1) / 2)) < 1e-12);
    }
}

static void test_idle(void **state) {
    (void)state;
    struct outcome o = run(9, 0.6931, -1e-4, 1e-3);
    assert_true(outcome_is_idle(&o));
    o.kl_start = 2e-3;
    assert_false(outcome_is_idle(&o));
    o.kl_start = 1e-4;
    assert_true(outcome_is_idle(&o));
    o = run(9, 0.6931, -1e-4, 1e-1); // the margin moved
    o.kl_start = 1e-4;
    assert_false(outcome_is_idle(&o));
    o = run(9, 0.6931, -1e-2, 0); // the loss did; where the KL is known, that is but noise
    assert_false(outcome_is_idle(&o));
    o.kl_start = 1e-4;
    assert_true(outcome_is_idle(&o));
}

static void test_words(void **state) {
    (void)state;
    struct str s = {0};
    struct outcome o = run(100, 6, -0.05, 0.01);
    o.kl_start = 0.0213;
    outcome_words(&o, &s);
    assert_string_equal(s.text, "loss 5.72 to 1.22, margin 0.055 to 0.955, validation loss 5 to 4, "
                                "KL to the start 0.0213 nats per token");
    s.length = 0;
    outcome_json(&o, &s);
    assert_string_equal(s.text, "\"steps\":100,\"tokens\":700,\"loss\":[5.725,1.225],"
                                "\"reward_margin\":[0.055,0.955],\"valid_loss\":[5,4],"
                                "\"kl_start\":0.0213");
    o = run(9, 0.6931, -1e-4, 1e-3);
    s.length = 0;
    outcome_words(&o, &s);
    assert_non_null(strstr(s.text, "next to nothing moved; give more --epochs or a higher --lr"));
    str_release(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

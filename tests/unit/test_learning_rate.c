#include "common/training/learning_rate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const size_t sizes[] = {0,          99999999,   100000000, 494000000,
                               1540000000, 3990000000, 7600000000};

static double rate(enum rate_kind kind, size_t n) {
    return learning_rate_default(kind, n, false);
}

// What is usual for a 7B model and for the small ones that every result here rests on.
static void test_known(void **state) {
    (void)state;
    assert_true(rate(RATE_SFT, 30000) == 1e-3 && rate(RATE_SFT, 7600000000) == 2e-5);
    assert_true(rate(RATE_DPO, 30000) == 1e-4 && rate(RATE_DPO, 7600000000) == 5e-7);
    assert_true(rate(RATE_DPO, 494000000) == 5e-6 && rate(RATE_DPO, 1540000000) == 1e-6);
    assert_true(rate(RATE_DISTILL, 30000) == 1e-3 && rate(RATE_DISTILL, 494000000) == 2e-5);
    assert_true(rate(RATE_SFT, 99999999) == 1e-3 && rate(RATE_SFT, 100000000) == 1e-4);
}

static void test_monotone(void **state) {
    (void)state;
    for (enum rate_kind k = RATE_SFT; k <= RATE_DISTILL; k++) {
        double most = rate(k, 0);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            double full = rate(k, sizes[i]), adapter = learning_rate_default(k, sizes[i], true);
            assert_true(!i || full <= rate(k, sizes[i - 1]));
            assert_true(adapter <= most && adapter >= full);
            assert_true(adapter == most || adapter == 10 * full);
        }
    }
    double zephyr = learning_rate_default(RATE_DPO, 7240000000, true) / 5e-6;
    assert_true(zephyr > 0.9999 && zephyr < 1.0001);
}

static void test_words(void **state) {
    (void)state;
    char text[RATE_HELP], count[16];
    learning_rate_words(RATE_DPO, text);
    assert_string_equal(text,
                        "0.0001 below 100M, 5e-06 below 1B, 1e-06 below 4B, 5e-07 from there");
    static const struct {
        size_t n;
        const char *text;
    } counts[] = {{12, "12"}, {29500, "29.5k"}, {494032768, "494M"}, {7615616512, "7.62B"}};
    for (size_t i = 0; i < 4; i++) {
        learning_rate_count(counts[i].n, count);
        assert_string_equal(count, counts[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

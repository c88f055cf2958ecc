#include "common/base/rng.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// Random123's published answers for philox4x32-10: counter and key all zeros, then all ones. Ours
// puts the row, position and stream into the counter and the seed into the key.
static void test_known_answers(void **state) {
    (void)state;
    assert_true(rng_bits(0, 0, 0, 0) == UINT64_C(0x6627e8d5e169c58d));
    uint64_t ones = UINT64_MAX;
    assert_true(rng_bits(ones, 0, ones, ones) == UINT64_C(0x408f276d41c83b0e));
}

static void test_streams_differ(void **state) {
    (void)state;
    uint64_t x = rng_bits(1, RNG_TEST, 2, 3);
    assert_true(x == rng_bits(1, RNG_TEST, 2, 3));
    assert_true(x != rng_bits(2, RNG_TEST, 2, 3) && x != rng_bits(1, RNG_INIT, 2, 3));
    assert_true(x != rng_bits(1, RNG_TEST, 3, 3) && x != rng_bits(1, RNG_TEST, 2, 4));
    assert_true(x != rng_bits(1, RNG_TEST, 3, 2));
}

static void test_moments(void **state) {
    (void)state;
    enum { N = 100000 };
    double mean = 0, square = 0, uniform = 0, low = 1, high = 0;
    for (uint64_t i = 0; i < N; i++) {
        double z = rng_normal(5, RNG_TEST, 0, i), u = rng_uniform(5, RNG_TEST, 1, i);
        mean += z / N;
        square += z * z / N;
        uniform += u / N;
        low = fmin(low, u);
        high = fmax(high, u);
    }
    assert_true(fabs(mean) < 0.015 && fabs(square - 1) < 0.03);
    assert_true(fabs(uniform - 0.5) < 0.005 && low >= 0 && high < 1 && low < 0.001 && high > 0.999);
}

static void test_permute(void **state) {
    (void)state;
    enum { N = 1000 };
    size_t a[N], b[N], counts[6] = {0}, fixed = 0;
    bool seen[N] = {false};
    rng_permute(1, RNG_ORDER, 0, N, a);
    rng_permute(1, RNG_ORDER, 0, N, b);
    assert_memory_equal(a, b, sizeof a);
    rng_permute(1, RNG_ORDER, 1, N, b);
    for (size_t i = 0; i < N; i++) {
        assert_true(a[i] < N && !seen[a[i]]);
        seen[a[i]] = true;
        fixed += a[i] == b[i];
    }
    assert_true(fixed < 10);
    for (uint64_t salt = 0; salt < 6000; salt++) { // all orders of three, equally often
        rng_permute(2, RNG_ORDER, salt, 3, a);
        counts[a[0] * 2 + (a[1] > a[2])]++;
    }
    for (int i = 0; i < 6; i++) assert_in_range(counts[i], 850, 1150);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_permute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

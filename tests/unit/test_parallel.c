#include "common/base/parallel.h"
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { N = 1003 };

static void count(void *self, size_t i) {
    ((int *)self)[i]++;
    if (parallel_self() < 0 || parallel_self() >= parallel_threads()) abort();
}

enum { GRAIN = 10 };

static void count_range(void *self, size_t first, size_t last) {
    if (last - first < GRAIN) abort();
    for (size_t i = first; i < last; i++) ((int *)self)[i]++;
}

static void test_each_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 17; threads += 4) {
        int hits[N] = {0}, ranges[N] = {0};
        parallel_init(threads);
        assert_int_equal(parallel_threads(), threads);
        parallel_for(N, count, hits);
        parallel_range(N, GRAIN, count_range, ranges);
        for (size_t i = 0; i < N; i++) assert_true(hits[i] == 1 && ranges[i] == 1);
        for (size_t n = 1; n <= 7; n++) { // fewer than threads, and shares of different length
            int few[7] = {0};
            parallel_for(n, count, few);
            for (size_t i = 0; i < 7; i++) assert_int_equal(few[i], i < n);
        }
        parallel_for(0, count, NULL);
        parallel_range(0, GRAIN, count_range, NULL);
    }
}

static void test_default_is_capped(void **state) {
    (void)state;
    setenv("OMP_NUM_THREADS", "1", 1);
    parallel_init(0);
    assert_int_equal(parallel_threads(), 1);
    setenv("OMP_NUM_THREADS", "100000", 1); // never more than there are
    parallel_init(0);
    assert_true(parallel_threads() >= 1 && parallel_threads() < 100000);
    unsetenv("OMP_NUM_THREADS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_default_is_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

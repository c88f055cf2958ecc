// The warning of what a cache leaves out of the student: when, once, and that a budget's own tail
// is no reason.
#include "common/training/tail_watch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// The step, counted from 1, at which n steps of mass `from` and then `to` warn first; 0: none.
static int warned(double budget, double from, int turn, double to, int n, int *times) {
    struct tail_watch w = {.budget = budget};
    int at = 0;
    *times = 0;
    for (int step = 1; step <= n; step++) {
        char *text = tail_watch_step(&w, step <= turn ? from : to);
        if (text && !at) at = step;
        if (text) assert_non_null(strstr(text, "of the student's probability"));
        if (text)
            assert_non_null(strstr(text, budget > 0 ? "smaller --error-budget" : "--student"));
        *times += text != NULL;
        free(text);
    }
    return at;
}

static void without_a_budget(void **state) {
    (void)state;
    int times;
    assert_int_equal(warned(0, 0.021, 100, 0, 60, &times), 20);
    assert_int_equal(times, 1);
    assert_int_equal(warned(0, 0.019, 100, 0, 60, &times), 0);
    assert_int_equal(warned(0, 0, 30, 0.1, 60, &times), 35); // 5 of 20 steps at 0.1 are 0.025
    assert_int_equal(warned(0, 0.5, 1, 0, 60, &times), 20);  // the first step counts as any other
}

static void within_a_budget(void **state) {
    (void)state;
    int times;
    assert_int_equal(warned(0.04, 0.15, 100, 0, 60, &times), 0);
    assert_int_equal(warned(0.04, 0.15, 20, 0.24, 80, &times), 37); // 17 of 20: 0.2265
    assert_int_equal(times, 1);
    assert_int_equal(warned(0.04, 0.001, 20, 0.019, 80, &times), 0); // below 2 % nothing matters
}

// Kept and restored after any step, it warns when an undisturbed one does.
static void continued(void **state) {
    (void)state;
    struct tail_watch w = {.budget = 0.04}, next;
    int at = 0;
    for (int step = 1; step <= 80; step++) {
        struct str kept = {0};
        char *text = tail_watch_step(&w, step <= 20 ? 0.15 : 0.24);
        if (text) assert_int_equal(at, 0);
        if (text) at = step;
        free(text);
        tail_watch_save(&w, &kept);
        next = (struct tail_watch){.budget = 0.04};
        assert_true(tail_watch_restore(&next, kept.text));
        w = next;
        str_release(&kept);
    }
    assert_int_equal(at, 37);
    assert_false(tail_watch_restore(&w, "runaway 1"));
    assert_false(tail_watch_restore(&w, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_budget),
        cmocka_unit_test(within_a_budget),
        cmocka_unit_test(continued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

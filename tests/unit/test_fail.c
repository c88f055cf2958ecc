#include "common/base/fail.h"
#include "tests/unit/child.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_first_stays(void **state) {
    (void)state;
    struct fail f = {0}, g = {0};
    assert_false(fail_set(&f, EXIT_BADDATA, "no '%s'", "x"));
    assert_false(fail_set(&f, EXIT_USAGE, "later"));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_string_equal(f.text, "no 'x'");
    assert_true(fail_pass(&g, &(struct fail){0}));
    assert_false(fail_pass(&g, &f));
    assert_string_equal(g.text, "no 'x'");
    assert_false(fail_pass(&g, &(struct fail){.code = EXIT_FAILED, .text = "other"}));
    assert_int_equal(g.code, EXIT_BADDATA);
}

static void test_long_text_is_cut(void **state) {
    (void)state;
    struct fail f = {0};
    char word[3000];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = 0;
    fail_set(&f, EXIT_FAILED, "%s", word);
    assert_int_equal(strlen(f.text), sizeof f.text - 1);
}

static void dies(void *self) {
    die(*(int *)self, "'%s' is %d", "it", 3);
}
static void dies_if(void *self) {
    struct fail f = {0};
    die_if(&f);
    fail_set(&f, *(int *)self, "stuck");
    die_if(&f);
}
static void warns(void *self) {
    (void)self;
    warn("%s", "careful");
}

static void test_die(void **state) {
    (void)state;
    struct child c = run_child(dies, &(int){EXIT_BADDATA});
    assert_int_equal(c.code, 3);
    assert_string_equal(c.text, "test_fail: 'it' is 3\n");
    c = run_child(dies_if, &(int){EXIT_STOPPED});
    assert_int_equal(c.code, 75);
    assert_string_equal(c.text, "test_fail: stuck\n");
    c = run_child(warns, NULL);
    assert_int_equal(c.code, 0);
    assert_string_equal(c.text, "test_fail: warning: careful\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_stays),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

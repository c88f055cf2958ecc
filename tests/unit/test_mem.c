#include "common/base/arena.h"
#include "common/base/mem.h"
#include "tests/unit/child.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_grow(void **state) {
    (void)state;
    int *p = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        grow(&p, &capacity, (size_t)i + 1, sizeof *p);
        assert_true(capacity > (size_t)i);
        p[i] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(p[i], i);
    free(p);
}

static void test_arena(void **state) {
    (void)state;
    struct arena plan = {0}, a;
    assert_null(arena_take(&plan, 100));
    arena_take(&plan, 1);
    assert_int_equal(plan.peak, 192); // pieces of 64 bytes
    arena_init(&a, plan.peak);
    char *x = arena_take(&a, 100), *y = arena_take(&a, 1);
    assert_true((uintptr_t)x % 64 == 0 && y == x + 128);
    assert_true(x[0] == 0 && x[99] == 0 && y[0] == 0);
    arena_release(&a);
    assert_null(a.base);
}

static void test_pieces_keep_their_bytes(void **state) { // those after them are touched alone
    (void)state;
    enum { PIECES = 7 };
    size_t bytes = (3u << 20) / 2 + 5;
    struct arena a;
    char *piece[PIECES];
    arena_init(&a, PIECES * (bytes + 63));
    for (int i = 0; i < PIECES; i++) {
        piece[i] = arena_take(&a, bytes);
        for (size_t k = 0; k < bytes; k++) assert_int_equal(piece[i][k], 0);
        memset(piece[i], 1 + i, bytes);
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t k = 0; k < bytes; k++) assert_int_equal(piece[i][k], 1 + i);
    arena_release(&a);
}

static void test_big(void **state) {
    (void)state;
    size_t bytes = (5u << 20) + 3;
    unsigned char *p = big_alloc(bytes);
    for (size_t i = 0; i < bytes; i += 4096) assert_int_equal(p[i], 0);
    p[bytes - 1] = 1;
    big_free(p, bytes);
}

static void test_str(void **state) {
    (void)state;
    struct str s = {0};
    str_add(&s, "", 0);
    assert_string_equal(s.text, "");
    for (int i = 0; i < 300; i++) str_printf(&s, "%d,", i % 10);
    str_puts(&s, "end");
    assert_int_equal(s.length, 603);
    assert_string_equal(s.text + 598, "9,end");
    str_release(&s);
    assert_null(s.text);
    char *text = xasprintf("%s-%d", "a", 7), *copy = xstrdup(text);
    assert_string_equal(copy, "a-7");
    free(text);
    free(copy);
}

static void takes_too_much(void *self) {
    (void)self;
    size_t huge = SIZE_MAX / 4;
    memset(big_alloc(huge), 1, 1);
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct child c = run_child(takes_too_much, NULL);
    assert_int_equal(c.code, 1);
    assert_non_null(strstr(c.text, "test_mem: out of memory: cannot allocate"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_pieces_keep_their_bytes),
        cmocka_unit_test(test_big),
        cmocka_unit_test(test_str),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// A level that multiplies wrongly is found out and left out. It is simulated by copies of the
// levels in use one of whose functions does its work and then changes a number, by the last bit
// only in bf16.
#include "common/engine/levels.h"
#include "tests/unit/child.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

extern const struct kernels kernels_portable;

static void wrong_float32(const struct block *b) {
    kernels()->block(b);
    if (!b->bf16) b->c[b->rows / 2 * b->ldc] += 1e-2f;
}

static void wrong_bf16(const struct block *b) {
    kernels()->block(b);
    float *last = &b->c[(b->rows - 1) * b->ldc + b->cols - 1];
    if (b->bf16) *last = nextafterf(*last, 9);
}

static void not_a_number(const struct block *b) {
    kernels()->block(b);
    b->c[0] = NAN;
}

static void beside_its_place(const struct block *b) {
    kernels()->block(b);
    b->c[b->cols] = 0;
}

static void wrong_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                       size_t M, size_t K, const void *next) {
    kernels()->rows(y, ldy, x, ldx, n, w, M, K, next);
    y[M - 1] += 1e-2f;
}

static struct kernels wrong_level(int how) {
    void (*const wrong[])(const struct block *b) = {wrong_float32, wrong_bf16, not_a_number,
                                                    beside_its_place};
    struct kernels k = *kernels();
    k.name = "broken";
    k.pairs = false;
    if (how < 4)
        k.block = wrong[how];
    else
        k.rows = wrong_rows;
    return k;
}

static void proofs(void **state) {
    (void)state;
    assert_true(level_proves(kernels(), &kernels_portable));
    for (int how = 0; how < 5; how++) {
        struct kernels k = wrong_level(how);
        assert_false(level_proves(&k, &kernels_portable));
    }
}

static void choose(void *self) {
    const struct kernels *const *level = self;
    puts(levels_best(level, 3)->name);
}

static void left_out(void **state) {
    (void)state;
    struct kernels good = *kernels(), broken = wrong_level(1);
    good.name = "good";
    good.pairs = false;
    const struct kernels *level[3] = {&kernels_portable, &good, &broken};
    struct child c = run_child(choose, level);
    assert_int_equal(c.code, 0);
    assert_non_null(
        strstr(c.text, "kernel level 'broken' multiplies wrongly on this CPU: left out"));
    assert_non_null(strstr(c.text, "good\n"));
    int lines = 0;
    for (const char *p = c.text; *p; p++) lines += *p == '\n';
    assert_int_equal(lines, 2);
    level[1] = &broken; // none is right but the portable one
    c = run_child(choose, level);
    assert_non_null(strstr(c.text, "portable\n"));
}

static void slow_pairs(const struct block *b) {
    float waste[96 * 64];
    struct block again = *b;
    again.c = waste;
    again.ldc = 64;
    again.add = false;
    for (int i = 0; i < 20; i++) kernels()->block(&again);
    kernels()->block(b);
}

// Pairs that are slower than the level below has them are not used, and nothing is said.
static void slower(void **state) {
    (void)state;
    struct kernels good = *kernels(), slow = good;
    good.name = "good";
    good.pairs = false;
    slow.name = "slow";
    slow.pairs = true;
    slow.block = slow_pairs;
    const struct kernels *level[3] = {&kernels_portable, &good, &slow};
    struct child c = run_child(choose, level);
    assert_string_equal(c.text, "good\n");
}

// Checkpoints name the level: whether a run that continues has its bits.
static void kinds_of_bits(void **state) {
    (void)state;
    assert_true(kernels_same_bits(kernels()->name, true));
    assert_false(kernels_same_bits("blas of another build", false));
#if defined(__x86_64__)
    assert_false(kernels_same_bits("portable", false) && kernels_same_bits("avx2", false));
    assert_true(kernels_same_bits("avx2", true) == kernels_same_bits("avx512", true));
    assert_true(kernels_same_bits("avx2", true) == kernels_same_bits("avx512bf16", true));
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(proofs), cmocka_unit_test(left_out),
                                       cmocka_unit_test(slower), cmocka_unit_test(kinds_of_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

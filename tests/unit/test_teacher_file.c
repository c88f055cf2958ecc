#include "formats/teachers/teacher_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/wait.h>
#include "tests/unit/made_teacher.h"

enum { ROWS = 22, PER = 6, PARTS = 4 };

static void check_set(struct teacher_set *s, const struct fail *f) {
    if (!s) fail_msg("%s", f->text);
    assert_int_equal(teacher_set_rows(s), ROWS);
    const struct teacher_info *i = teacher_set_info(s);
    assert_int_equal(i->vocab, 40);
    assert_int_equal(i->max_length, LONGEST);
    assert_true(i->reward_beta == 0.1 && hash_equal(i->tokenizer, hash_bytes("{}", 2)) &&
                i->reference.high == 5);
    assert_string_equal(i->recipe, "demo");
    assert_string_equal(i->rule, "{\"alpha\":1}");
    struct teacher_row row;
    for (size_t k = 0; k < 2 * ROWS; k++) { // to and fro between shards
        size_t r = k * 7 % ROWS;
        if (!teacher_set_row(s, r, &row)) fail_msg("%s", f->text);
        check_row(&row, r);
        assert_int_equal(teacher_set_length(s, r), row.n);
    }
}

static void test_list(void **state) {
    (void)state;
    char *path = scratch_path("a.h5"), *one = scratch_path("one.h5");
    write_set(path, "{}", ROWS, PER, 32);
    write_set(one, "{}", ROWS, 0, 32);
    const char *paths[PARTS];
    for (size_t i = 0; i < PARTS; i++) paths[i] = part_path(path, (i + 1) % PARTS, PARTS);
    struct fail f = {0};
    struct teacher_set *s = teacher_set_open(PARTS, paths, &f);
    if (s) teacher_set_keep(s, 2);
    check_set(s, &f);
    assert_int_equal(teacher_set_part_rows(s, 3), ROWS - 3 * PER);
    const struct parents *p = teacher_set_parents(s);
    assert_int_equal(p->n, PARTS);
    assert_true(hash_equal(p->items[0].hash, teacher_set_content(s, 0)));
    assert_false(teacher_set_row(s, ROWS, &(struct teacher_row){0}));
    teacher_set_close(s);
    f = (struct fail){0};
    s = teacher_set_open(1, (const char *[]){one}, &f);
    check_set(s, &f);
    teacher_set_close(s);
    for (size_t i = 0; i < PARTS; i++) free((char *)paths[i]);
    free(path);
    free(one);
}

static void test_refusals(void **state) {
    (void)state;
    char *path = scratch_path("b.h5"), *other = scratch_path("c.h5");
    write_set(path, "{\"k\":1}", ROWS, PER, 32);
    write_set(other, "{\"k\":2}", ROWS, PER, 32);
    const char *paths[PARTS];
    for (size_t i = 0; i < PARTS; i++) paths[i] = part_path(path, i, PARTS);
    struct fail f = {0};
    assert_null(teacher_set_open(PARTS - 1, paths, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "of which 3 came"));
    free((char *)paths[2]);
    paths[2] = part_path(other, 2, PARTS);
    f = (struct fail){0};
    assert_null(teacher_set_open(PARTS, paths, &f));
    assert_non_null(strstr(f.text, "option 'k' was 1 and is 2"));
    for (size_t i = 0; i < PARTS; i++) free((char *)paths[i]);
    free(path);
    free(other);
}

// stdin from a child that names `n` parts, slowly, the second one twice.
static pid_t stream_parts(const char *path, size_t n) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < n + 1; i++) {
            char *part = part_path(path, i < 2 ? i : i - 1, PARTS);
            usleep(3000);
            dprintf(ends[1], "%s\n", part);
        }
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
    clearerr(stdin);
    return child;
}

static void test_stream(void **state) {
    (void)state;
    char *path = scratch_path("s.h5");
    write_set(path, "{}", ROWS, PER, 32);
    struct fail f = {0};
    pid_t child = stream_parts(path, PARTS);
    struct teacher_set *s = teacher_set_open(1, (const char *[]){"-"}, &f);
    check_set(s, &f);
    assert_int_equal(teacher_set_parents(s)->n, PARTS);
    teacher_set_close(s);
    waitpid(child, NULL, 0);
    child = stream_parts(path, PARTS - 1); // it ends too early
    s = teacher_set_open(1, (const char *[]){"-"}, &f);
    struct teacher_row row;
    assert_true(teacher_set_row(s, 2 * PER, &row));
    assert_false(teacher_set_row(s, 3 * PER, &row));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "of which 3 came"));
    assert_null(teacher_set_parents(s));
    teacher_set_close(s);
    waitpid(child, NULL, 0);
    free(path);
}

static void test_damage(void **state) {
    (void)state;
    char *path = scratch_path("d.h5");
    write_set(path, "{}", ROWS, 0, 32);
    size_t n, refused = 0;
    unsigned char *bytes = file_bytes(path, &n);
    for (size_t i = 0; i < n; i += 37) {
        bytes[i] ^= 8;
        file_write(path, bytes, n);
        bytes[i] ^= 8;
        struct fail f = {0};
        struct teacher_row row = {0};
        struct teacher_set *s = teacher_set_open(1, (const char *[]){path}, &f);
        if (s && teacher_set_row(s, 5, &row))
            check_row(&row, 5);
        else
            refused++;
        teacher_set_close(s);
    }
    assert_true(refused > n / 37 / 2);
    free(bytes);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

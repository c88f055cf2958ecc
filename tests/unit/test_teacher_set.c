// Several caches as one sequence of rows, rows that occur twice, chunks that cannot be read.
#include "tests/unit/made_teacher.h"

static struct teacher_set *open_parts(const char *const *bases, const size_t *parts, size_t n,
                                      size_t missing, struct fail *f) {
    const char *paths[32] = {0};
    size_t count = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < parts[k]; i++) paths[count++] = part_path(bases[k], i, parts[k]);
    count -= missing;
    struct teacher_set *s = teacher_set_open(count, paths, f);
    for (size_t i = 0; i < count + missing; i++) free((char *)paths[i]);
    return s;
}

static void test_caches(void **state) {
    (void)state;
    char *a = scratch_path("a.h5"), *b = scratch_path("b.h5");
    write_set(a, "{\"k\":1}", 10, 4, 32);
    write_set(b, "{\"k\":2}", 7, 0, 32);
    struct fail f = {0};
    const char *const bases[] = {a, b, a};
    const size_t parts[] = {3, 1, 3};
    struct teacher_set *s = open_parts(bases, parts, 3, 0, &f); // a twice counts once
    if (!s) fail_msg("%s", f.text);
    assert_int_equal(teacher_set_caches(s), 2);
    assert_int_equal(teacher_set_parts(s), 4);
    assert_int_equal(teacher_set_rows(s), 17);
    assert_int_equal(teacher_set_part_first(s, 3), 10);
    assert_int_equal(teacher_set_parents(s)->n, 4);
    struct teacher_row row;
    for (size_t r = 0; r < 17; r++) {
        if (!teacher_set_row(s, r, &row)) fail_msg("%s", f.text);
        check_row(&row, r < 10 ? r : r - 10);
    }
    struct teacher_set_numbers n = teacher_set_numbers(s);
    assert_int_equal(n.rows, 17);
    assert_int_equal(n.repeated, 0); // within a cache
    teacher_set_close(s);
    assert_null(open_parts((const char *const[]){b, a}, (const size_t[]){1, 3}, 2, 1, &f));
    if (!strstr(f.text, "option 'k' was 1 and is 2; of '") || !strstr(f.text, "2 of 3 parts came"))
        fail_msg("%s", f.text);
    free(a);
    free(b);
}

static void test_repeated(void **state) {
    (void)state;
    char *path = scratch_path("r.h5");
    write_set(path, "{}", 130, 50, 8); // rows come again after 120
    struct fail f = {0};
    struct teacher_set *s = open_parts((const char *const[]){path}, (const size_t[]){3}, 1, 0, &f);
    struct teacher_row row;
    teacher_set_keep(s, 2);
    for (size_t k = 0; k < 3; k++) // counted once however often they are read
        for (size_t r = 0; r < 130; r += 50) assert_true(teacher_set_row(s, r, &row));
    struct teacher_set_numbers n = teacher_set_numbers(s);
    assert_int_equal(n.rows, 130);
    assert_int_equal(n.repeated, 10);
    assert_non_null(strstr(n.first_repeated, "row 120, in '"));
    assert_non_null(strstr(n.first_repeated, "r-00002-of-00003.h5'"));
    teacher_set_close(s);
    free(path);
}

// ---- damage

enum { MANY = 20000 }; // columns of positions have several chunks

static bool same_row(const struct teacher_row *a, const struct teacher_row *b) {
    if (a->n != b->n || a->positions != b->positions) return false;
    if (memcmp(a->ids, b->ids, a->n * sizeof *a->ids) || memcmp(a->mask, b->mask, a->n))
        return false;
    for (size_t p = 0; p < a->positions; p++) {
        const struct teacher_position *x = &a->position[p], *y = &b->position[p];
        if (x->n != y->n || memcmp(x->ids, y->ids, x->n * sizeof *x->ids) ||
            memcmp(x->logp, y->logp, x->n * sizeof *x->logp))
            return false;
        if (x->log_tail != y->log_tail || x->tvd != y->tvd || a->entropy[p] != b->entropy[p])
            return false;
    }
    return true;
}

// A byte is wrong somewhere: what is given of the rest is right; returns the rows that are not.
static size_t check_damaged(const char *path, const struct teacher_shard *good, size_t *whole) {
    struct fail f = {0};
    struct teacher_row row;
    struct teacher_set *s = teacher_set_open(1, &path, &f);
    if (s) teacher_set_skip_bad(s);
    if (!s || !teacher_set_row(s, 0, &row)) { // not of a chunk of a column
        assert_int_equal(f.code, EXIT_BADDATA);
        teacher_set_close(s);
        (*whole)++;
        return 0;
    }
    size_t lost = 0;
    for (size_t r = 0; r < MANY; r++) {
        assert_true(teacher_set_row(s, r, &row));
        struct teacher_row want = teacher_shard_row(good, r);
        if (!row.n)
            lost++;
        else if (!same_row(&row, &want))
            fail_msg("row %zu is another", r);
    }
    struct teacher_set_numbers n = teacher_set_numbers(s);
    assert_int_equal(n.lost, lost);
    assert_int_equal(n.first_lost[0] != 0, lost > 0);
    teacher_set_close(s);
    return lost;
}

static void damage(int bits, bool components) {
    char *path = scratch_path("d.h5");
    if (components)
        write_components(path, MANY, bits);
    else
        write_set(path, "{}", MANY, 0, bits);
    struct fail f = {0};
    struct teacher_shard good;
    struct columns_reader *r = columns_open(path, "teacher", &f);
    if (!teacher_shard_load(&good, r, &f)) fail_msg("%s", f.text);
    columns_close(r);
    size_t n, some = 0, all = 0, whole = 0, tries = 0;
    unsigned char *bytes = file_bytes(path, &n);
    for (size_t i = n / 100; i < n; i += n / 19, tries++) {
        bytes[i] ^= 8;
        file_write(path, bytes, n);
        bytes[i] ^= 8;
        size_t lost = check_damaged(path, &good, &whole);
        some += lost > 0 && lost < MANY;
        all += lost == MANY;
    }
    print_message("bits %d%s: of %zu wrong bytes %zu cost some rows, %zu all, %zu the file\n", bits,
                  components ? ", components" : "", tries, some, all, whole);
    assert_true(2 * some > tries);
    teacher_shard_release(&good);
    free(bytes);
    free(path);
}

static void test_damage(void **state) {
    (void)state;
    damage(8, false);
    damage(32, false);
    damage(8, true);
    damage(32, true);
}

// Unless it is to be skipped, damage is a failure that says where.
static void test_refuse_damage(void **state) {
    (void)state;
    char *path = scratch_path("e.h5");
    write_set(path, "{}", MANY, 0, 8);
    size_t n, named = 0;
    unsigned char *bytes = file_bytes(path, &n);
    for (size_t i = n / 100; i < n; i += n / 17) {
        bytes[i] ^= 8;
        file_write(path, bytes, n);
        bytes[i] ^= 8;
        struct fail f = {0};
        struct teacher_row row;
        struct teacher_set *s = teacher_set_open(1, (const char *[]){path}, &f);
        if (!s || !teacher_set_row(s, 3, &row)) assert_int_equal(f.code, EXIT_BADDATA);
        named += strstr(f.text, "is damaged: column '") && strstr(f.text, " (rows ");
        teacher_set_close(s);
    }
    assert_true(named > 6);
    free(bytes);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caches),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_refuse_damage),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

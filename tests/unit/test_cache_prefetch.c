// The prefetching reader against the set itself, in the order of the training loop.
#include "common/base/order.h"
#include "formats/teachers/cache_prefetch.h"
#include "tests/unit/made_teacher.h"
#include <sys/wait.h>

enum { ROWS = 43, PER = 4, PARTS = 11 };

struct run {
    struct cache_prefetch *prefetch;
    size_t first, rows;
};

static size_t part_rows(void *self, size_t part) {
    struct run *r = self;
    size_t first, rows = cache_prefetch_part_rows(r->prefetch, part, &first), end = first + rows;
    if (first < r->first) first = r->first;
    if (end > r->first + r->rows) end = r->first + r->rows;
    return first < end ? end - first : 0;
}

// Epochs of steps of `batch` rows; every row must be the set's. Returns the rows read until a
// failure.
static size_t read_epochs(struct teacher_set *s, size_t window, size_t batch, size_t epochs,
                          size_t first, size_t rows, struct fail *f) {
    struct run run = {cache_prefetch_start(s, window, first, rows), first, rows};
    struct order order;
    size_t done = 0, at[ROWS], seen[ROWS] = {0};
    order_init(&order, 5, rows, teacher_set_parts(s), window, part_rows, &run);
    for (size_t e = 0; e < epochs; e++)
        for (size_t k = 0; k < rows; k += batch) {
            size_t n = rows - k < batch ? rows - k : batch, least = SIZE_MAX, most = 0;
            for (size_t i = 0; i < n; i++) {
                at[i] = first + order_row(&order, e, k + i);
                if (at[i] < least) least = at[i];
                if (at[i] > most) most = at[i];
            }
            if (!cache_prefetch_prepare(run.prefetch, least, most, e + 1 < epochs, f)) goto end;
            for (size_t i = 0; i < n; i++, done++) {
                struct teacher_row row = cache_prefetch_row(run.prefetch, at[i]);
                check_row(&row, at[i]);
                assert_int_equal(seen[at[i]]++, e);
            }
        }
end:
    order_release(&order);
    cache_prefetch_stop(run.prefetch);
    return done;
}

static struct teacher_set *open_set(const char *path, size_t parts, struct fail *f) {
    const char *paths[PARTS] = {0};
    for (size_t i = 0; i < parts; i++) paths[i] = part_path(path, parts - 1 - i, parts);
    struct teacher_set *s = teacher_set_open(parts, paths, f);
    for (size_t i = 0; i < parts; i++) free((char *)paths[i]);
    if (!s) fail_msg("%s", f->text);
    return s;
}

static void test_orders(void **state) {
    (void)state;
    char *path = scratch_path("a.h5"), *one = scratch_path("one.h5");
    write_set(path, "{}", ROWS, PER, 32);
    write_set(one, "{}", ROWS, 0, 32);
    static const size_t windows[] = {1, 3, 1000000000}, batches[] = {1, 7, 64};
    for (size_t k = 0; k < 2 * 3 * 3; k++) {
        struct fail f = {0};
        struct teacher_set *s = k % 2 ? open_set(path, PARTS, &f) : open_set(one, 1, &f);
        size_t window = windows[k / 2 % 3], batch = batches[k / 6];
        assert_int_equal(read_epochs(s, window, batch, 3, 0, ROWS, &f), 3 * ROWS);
        assert_int_equal(read_epochs(s, window, batch, 2, 9, 20, &f), 2 * 20);
        assert_int_equal(read_epochs(s, window, batch, 2, ROWS - 1, 1, &f), 2);
        assert_int_equal(f.code, EXIT_DONE);
        teacher_set_close(s);
    }
    free(path);
    free(one);
}

// No more than two windows are read ahead, and what fails there fails when it is wanted.
static void test_bounded(void **state) {
    (void)state;
    char *path = scratch_path("b.h5"), *bad = NULL;
    write_set(path, "{}", ROWS, PER, 32);
    for (size_t window = 1; window <= 3; window++) {
        struct fail f = {0};
        struct teacher_set *s = open_set(path, PARTS, &f);
        bad = part_path(path, 7, PARTS);
        char *away = scratch_path("away.h5");
        assert_int_equal(rename(bad, away), 0);
        size_t done = read_epochs(s, window, 1, 2, 0, ROWS, &f);
        assert_int_equal(rename(away, bad), 0);
        assert_true(done >= 7 / window * window * PER && done < (7 / window + 1) * window * PER);
        assert_int_equal(f.code, EXIT_BADDATA);
        assert_non_null(strstr(f.text, "b-00007-of-00011.h5"));
        teacher_set_close(s);
        free(away);
        free(bad);
    }
    free(path);
}

static void stream(const char *path, size_t n) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        for (size_t i = 0; i < n; i++) {
            usleep(2000);
            dprintf(ends[1], "%s\n", part_path(path, i ^ 1 ? i : 1, PARTS));
        }
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
}

static void test_stream(void **state) {
    (void)state;
    char *path = scratch_path("s.h5");
    write_set(path, "{}", ROWS, PER, 32);
    for (size_t window = 1; window <= 4; window += 3)
        for (size_t come = PARTS - 3; come <= PARTS; come += 3) {
            struct fail f = {0};
            stream(path, come);
            struct teacher_set *s = teacher_set_open(1, (const char *[]){"-"}, &f);
            size_t done = read_epochs(s, window, 3, 2, 0, ROWS, &f);
            if (come == PARTS) {
                assert_int_equal(done, 2 * ROWS);
                assert_int_equal(f.code, EXIT_DONE);
                assert_int_equal(teacher_set_parents(s)->n, PARTS);
            } else {
                assert_int_equal(f.code, EXIT_BADDATA);
                assert_non_null(strstr(f.text, "of which 8 came"));
                assert_true(done <= come * PER && done + 3 > come / window * window * PER);
            }
            teacher_set_close(s);
            wait(NULL);
        }
    free(path);
}

// Another thread's use of HDF5 between its own.
static void test_quiet(void **state) {
    (void)state;
    char *path = scratch_path("q.h5"), *other = scratch_path("other.h5");
    write_set(path, "{}", ROWS, PER, 32);
    struct fail f = {0};
    struct teacher_set *s = open_set(path, PARTS, &f);
    struct cache_prefetch *r = cache_prefetch_start(s, 1, 0, ROWS);
    for (size_t row = 0; row < ROWS; row++) {
        assert_true(cache_prefetch_prepare(r, row, row, false, &f));
        teacher_set_quiet(s, true);
        write_set(other, "{}", 3, 0, 32);
        teacher_set_quiet(s, false);
        struct teacher_row got = cache_prefetch_row(r, row);
        check_row(&got, row);
    }
    assert_true(cache_prefetch_waited(r) >= 0);
    cache_prefetch_stop(r);
    teacher_set_close(s);
    free(path);
    free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_quiet),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

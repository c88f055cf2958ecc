#include "formats/store/h5.h"
#include "formats/store/zfilter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/scratch.h"

enum { COUNT = 2500, CHUNK = 1000 };

static void fill(int32_t *x) {
    for (int i = 0; i < COUNT; i++) x[i] = i * i % 977 - 300;
}

static void write_column(struct h5 *h, const char *name, enum h5_type type, const void *data) {
    size_t size = h5_size(type);
    struct h5_shape s = {
        .type = type, .rank = 1, .dims = {COUNT, 1}, .count = COUNT, .chunk = CHUNK, .level = 3};
    unsigned char padded[CHUNK * 8];
    void *to = xmalloc(zfilter_bound(sizeof padded));
    assert_true(h5_begin(h, name, &s));
    for (size_t i = 0; i < 3; i++) {
        size_t n = i < 2 ? CHUNK : COUNT - 2 * CHUNK;
        memset(padded, 0, sizeof padded);
        memcpy(padded, (const char *)data + i * CHUNK * size, n * size);
        size_t made = zfilter_encode(padded, CHUNK * size, size, 3, to);
        assert_true(h5_chunks_write(h, i, to, made));
    }
    assert_true(h5_end(h));
    free(to);
}

static void write_file(const char *path) {
    struct fail f = {0};
    int32_t x[COUNT];
    uint8_t bytes[COUNT];
    fill(x);
    for (int i = 0; i < COUNT; i++) bytes[i] = (uint8_t)x[i];
    struct h5 *h = h5_create(path, &f);
    h5_put_text(h, "title", "caf\xc3\xa9");
    h5_put_text(h, "empty", "");
    h5_put_int(h, "answer", -42);
    h5_put_real(h, "pi", 3.25);
    h5_group(h, "g");
    struct h5_shape s = {.type = H5_FLOAT32, .rank = 2, .dims = {2, 3}, .count = 6};
    h5_write(h, "g/w", &s, (float[]){1, 2, 3, 4, 5, 6});
    write_column(h, "x", H5_INT32, x);
    write_column(h, "b", H5_UINT8, bytes);
    assert_true(h5_close(h));
    assert_int_equal(f.code, 0);
}

static void test_round_trip(void **state) {
    (void)state;
    struct fail f = {0};
    char *path = scratch_path("a.h5");
    write_file(path);
    struct h5 *h = h5_open(path, &f);
    char *text = h5_get_text(h, "title"), *empty = h5_get_text(h, "empty");
    int64_t answer = 0;
    double pi = 0;
    assert_string_equal(text, "caf\xc3\xa9");
    assert_string_equal(empty, "");
    assert_true(h5_get_int(h, "answer", &answer) && answer == -42);
    assert_true(h5_get_real(h, "pi", &pi) && pi == 3.25);
    assert_null(h5_get_text(h, "none"));
    struct h5_shape s;
    assert_true(h5_shape(h, "g/w", &s));
    assert_int_equal(s.rank, 2);
    assert_int_equal(s.dims[1], 3);
    float w[6];
    assert_true(h5_read(h, "g/w", 0, 6, w));
    assert_true(w[5] == 6);
    int32_t want[COUNT], got[COUNT];
    uint8_t bytes[COUNT];
    fill(want);
    assert_true(h5_read(h, "x", 0, COUNT, got));
    assert_memory_equal(got, want, sizeof want);
    assert_true(h5_read(h, "x", 990, 1200, got)); // across chunks
    assert_memory_equal(got, want + 990, 1200 * sizeof *want);
    assert_true(h5_read(h, "b", 0, COUNT, bytes));
    for (int i = 0; i < COUNT; i++) assert_int_equal(bytes[i], (uint8_t)want[i]);
    size_t n;
    char **names = h5_members(h, "/", &n);
    assert_int_equal(n, 3);
    assert_string_equal(names[2], "x");
    h5_names_free(names, n);
    assert_true(h5_is_text(h, "empty") && !h5_is_text(h, "pi"));
    assert_true(h5_close(h));
    free(text);
    free(empty);
    free(path);
}

static void test_same_bytes(void **state) {
    (void)state;
    char *a = scratch_path("s1.h5"), *b = scratch_path("s2.h5");
    write_file(a);
    sleep(1); // a stored time would show
    write_file(b);
    assert_true(files_equal(a, b));
    free(a);
    free(b);
}

static void test_refusals(void **state) {
    (void)state;
    char *path = scratch_path("r.h5");
    struct fail f = {0};
    assert_null(h5_open(path, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "No such file"));
    file_write(path, "hello", 5);
    f = (struct fail){0};
    assert_null(h5_open(path, &f));
    assert_non_null(strstr(f.text, "not an HDF5 file"));
    f = (struct fail){0};
    assert_null(h5_create("/proc/nothing/x.h5", &f));
    assert_int_equal(f.code, EXIT_FAILED);
    f = (struct fail){0};
    assert_null(h5_open(scratch, &f));
    assert_non_null(strstr(f.text, "not a regular file"));
    free(path);
}

// A writer that has a file open, or ended without closing it, is not damage.
static void test_left_open(void **state) {
    (void)state;
    char *path = scratch_path("open.h5");
    struct fail f = {0};
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct h5 *h = h5_create(path, &f);
        h5_put_int(h, "version", 1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_null(h5_open(path, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "open for writing in another program"));
    assert_non_null(strstr(f.text, "h5clear -s"));
    free(path);
}

// A flipped bit in a compressed chunk is found, with the dataset's name and place.
static void test_damaged_chunk(void **state) {
    (void)state;
    char *path = scratch_path("d.h5");
    write_file(path);
    size_t n;
    unsigned char *bytes = file_bytes(path, &n);
    size_t at = 0; // the first zstd frame
    while (at + 4 < n && memcmp(bytes + at, "\x28\xb5\x2f\xfd", 4) != 0) at++;
    assert_true(at + 40 < n);
    bytes[at + 30] ^= 0x10;
    file_write(path, bytes, n);
    struct fail f = {0};
    int32_t x[COUNT];
    struct h5 *h = h5_open(path, &f);
    assert_true(h5_read(h, "x", 1000, 1000, x));
    assert_false(h5_read(h, "x", 0, 1000, x));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "dataset 'x', elements 0 to 999"));
    assert_false(h5_close(h));
    free(bytes);
    free(path);
}

static void test_fletcher(void **state) {
    (void)state;
    assert_int_equal(zfilter_fletcher32("", 0), 0);
    // words 0x6162 0x6364 0x6500: sum1 = 0x129c6 -> 0x29c7; sum2 = 0x6162 + 0xc4c6 + 0x129c6
    assert_int_equal(zfilter_fletcher32("abcde", 5), 0x4ff029c7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_left_open),
        cmocka_unit_test(test_damaged_chunk), cmocka_unit_test(test_fletcher),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

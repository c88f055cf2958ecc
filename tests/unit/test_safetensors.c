#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "formats/models/safetensors.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/scratch.h"

static int make_folder(void **state) {
    parallel_init(2);
    return scratch_open(state);
}

// A file of `header` and `n` bytes of data; length < 0: the header's own.
static char *forge(const char *name, long long length, const char *header, size_t n) {
    char *path = scratch_path(name);
    FILE *file = fopen(path, "wb");
    uint64_t size = length < 0 ? strlen(header) : (uint64_t)length;
    fwrite(&size, 8, 1, file);
    fputs(header, file);
    for (size_t i = 0; i < n; i++) fputc((int)i, file);
    fclose(file);
    return path;
}

static void refuse(long long length, const char *header, size_t n, const char *message) {
    struct safetensors s;
    struct fail f = {0};
    char *path = forge("bad.safetensors", length, header, n);
    bool opened = safetensors_open(&s, path, &f);
    if (opened || !strstr(f.text, message)) print_message("%s: %s\n", header, f.text);
    assert_false(opened);
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, message));
    free(path);
}

#define T(name, type, shape, range)                                                                \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" range "}"

static void hostile_headers(void **state) {
    (void)state;
    refuse(-1, "", 0, "not a safetensors file");
    refuse(1LL << 40, "{}", 0, "not a safetensors file");
    refuse(INT64_MAX, "{}", 0, "not a safetensors file");
    refuse(100000001, "{}", 0, "not a safetensors file");
    refuse(-1, "{" T("a", "F32", "[2]", "[0,8]") "}", 7, "'a' lies outside");
    refuse(-1, "{" T("a", "F32", "[2]", "[0,8]") "}", 9, "1 bytes that belong to no tensor");
    refuse(-1, "{" T("a", "F32", "[2]", "[8,0]") "}", 8, "'a' lies outside");
    refuse(-1, "{" T("a", "F32", "[2]", "[-8,0]") "}", 8, "'a' lies outside");
    refuse(-1, "{" T("a", "F32", "[3]", "[0,8]") "}", 8, "has 8 bytes, but its shape needs 12");
    refuse(-1, "{" T("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, "bad shape");
    refuse(-1, "{" T("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "bad shape");
    refuse(-1, "{" T("a", "F32", "[1.5]", "[0,4]") "}", 4, "bad shape");
    refuse(-1, "{" T("a", "F32", "[1]", "[0]") "}", 4, "bad data_offsets");
    refuse(-1, "{" T("a", "Q4", "[1]", "[0,4]") "}", 4, "unknown dtype");
    refuse(-1, "{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[0,4]") "}", 4,
           "overlaps");
    refuse(-1, "{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[8,12]") "}", 12,
           "leaves a hole");
    refuse(-1, "{" T("a", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[4,8]") "}", 8,
           "duplicate object key");
    refuse(-1, "{\"a\":1}", 0, "unknown dtype");
}

static void half_types(void **state) {
    (void)state;
    static const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x83ff, 0x0400, 0x7c00, 0x0000};
    static const float want[] = {1, -2, 65504, 0x1p-24f, -1023 * 0x1p-24f, 0x1p-14f, INFINITY, 0};
    char *path = scratch_path("half.safetensors");
    FILE *file = fopen(path, "wb");
    const char *header =
        "{" T("h", "F16", "[2,4]", "[0,16]") "," T("b", "BF16", "[1]", "[16,18]") "}";
    uint64_t size = strlen(header);
    fwrite(&size, 8, 1, file);
    fputs(header, file);
    fwrite(half, 1, sizeof half, file);
    fwrite("\xc0\x3f", 1, 2, file);
    fclose(file);
    struct safetensors s;
    struct fail f = {0};
    assert_true(safetensors_open(&s, path, &f));
    float x[8], y;
    assert_true(safetensors_read(safetensors_find(&s, "h"), x, &f));
    assert_memory_equal(x, want, sizeof want);
    assert_true(safetensors_read(safetensors_find(&s, "b"), &y, &f));
    assert_true(y == 1.5f);
    assert_null(safetensors_find(&s, "c"));
    char shape[40];
    safetensors_shape(safetensors_find(&s, "h"), shape, sizeof shape);
    assert_string_equal(shape, "(2, 4)");
    safetensors_close(&s);
    free(path);
}

static void round_trip(void **state) {
    (void)state;
    // 1 + 2^-8 lies half way between two bf16 numbers: to the even one
    float a[6] = {1, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -3.25f, 0, 1e-3f}, b[2] = {7, 8}, back[6];
    struct safe_source t[] = {{"m.a", 2, {2, 3}, a}, {"b\"\\", 1, {2}, b}};
    struct fail f = {0};
    struct safetensors s;
    char *path = scratch_path("out.safetensors");
    assert_true(safetensors_write(path, SAFE_F32, 2, t, &f));
    assert_true(safetensors_open(&s, path, &f));
    assert_true(safetensors_read(safetensors_find(&s, "m.a"), back, &f));
    assert_memory_equal(back, a, sizeof a);
    assert_true(safetensors_read(safetensors_find(&s, "b\"\\"), back, &f));
    assert_memory_equal(back, b, sizeof b);
    safetensors_close(&s);
    assert_true(safetensors_write(path, SAFE_BF16, 2, t, &f));
    assert_true(safetensors_open(&s, path, &f));
    assert_true(safetensors_read(safetensors_find(&s, "m.a"), back, &f));
    assert_true(back[1] == 1 && back[2] == 1 + 4 * 0x1p-8f && back[3] == -3.25f);
    safetensors_close(&s);
    free(path);
}

// Where the file is not what it was when it was opened, a mapping would end the program by a
// signal.
static void refuse_changes(void **state) {
    (void)state;
    float a[40000] = {1}, back[40000];
    char *path = scratch_path("changed.safetensors");
    for (int type = SAFE_F32; type <= SAFE_BF16; type += SAFE_BF16 - SAFE_F32) {
        struct safe_source t = {"a", 1, {40000}, a};
        struct fail f = {0};
        struct safetensors s;
        struct stat st;
        assert_true(safetensors_write(path, (enum safe_type)type, 1, &t, &f));
        assert_true(safetensors_open(&s, path, &f));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - 1), 0);
        assert_false(safetensors_read(&s.tensors[0], back, &f));
        assert_int_equal(f.code, EXIT_BADDATA);
        assert_non_null(strstr(f.text, "was replaced while it was being read"));
        // shorter only once it is open again: as if its length had been that all the while
        f = (struct fail){0};
        assert_int_equal(stat(path, &s.files[0]->as_opened), 0);
        assert_false(safetensors_read(&s.tensors[0], back, &f));
        assert_int_equal(f.code, EXIT_BADDATA);
        assert_non_null(strstr(f.text, "became shorter while it was being read"));
        f = (struct fail){0};
        assert_false(safetensors_same(&s.tensors[0], &s.tensors[0], &f));
        assert_non_null(strstr(f.text, "became shorter"));
        f = (struct fail){0};
        unlink(path);
        assert_false(safetensors_read(&s.tensors[0], back, &f));
        assert_non_null(strstr(f.text, "No such file"));
        safetensors_close(&s);
    }
    free(path);
}

static void write_text(const char *name, const char *text) {
    char *path = scratch_path(name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    free(path);
}

static bool open_set(const char *index, const char *message) {
    struct safetensors s;
    struct fail f = {0};
    write_text("model.safetensors.index.json", index);
    bool ok = safetensors_open(&s, scratch, &f);
    if (ok) {
        assert_int_equal(s.n, 2);
        safetensors_close(&s);
    } else if (!message || !strstr(f.text, message)) {
        print_message("%s\n", f.text);
        return false;
    }
    return ok == !message;
}

static void sets(void **state) {
    (void)state;
    free(forge("one.safetensors", -1, "{" T("a", "F32", "[1]", "[0,4]") "}", 4));
    free(forge("two.safetensors", -1, "{" T("b", "F32", "[1]", "[0,4]") "}", 4));
    free(forge("again.safetensors", -1, "{" T("a", "F32", "[1]", "[0,4]") "}", 4));
    struct safetensors s;
    struct fail f = {0};
    assert_false(safetensors_open(&s, scratch, &f));
    assert_non_null(strstr(f.text, "no model.safetensors"));
#define SET(x) "{\"weight_map\":{" x "}}"
    assert_true(open_set(SET("\"a\":\"one.safetensors\",\"b\":\"two.safetensors\""), NULL));
    assert_true(
        open_set(SET("\"a\":\"one.safetensors\",\"b\":\"three.safetensors\""), "cannot open"));
    assert_true(open_set(SET("\"a\":\"../one.safetensors\""), "bad file name"));
    assert_true(open_set(SET("\"a\":7"), "bad file name"));
    assert_true(open_set(SET("\"a\":\"one.safetensors\",\"c\":\"two.safetensors\""), "'c'"));
    assert_true(
        open_set(SET("\"a\":\"one.safetensors\",\"x\":\"again.safetensors\""), "two files"));
    assert_true(open_set("{}", "no weight_map"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hostile_headers, make_folder, scratch_close),
        cmocka_unit_test_setup_teardown(half_types, make_folder, scratch_close),
        cmocka_unit_test_setup_teardown(round_trip, make_folder, scratch_close),
        cmocka_unit_test_setup_teardown(refuse_changes, make_folder, scratch_close),
        cmocka_unit_test_setup_teardown(sets, make_folder, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "formats/store/artefact.h"
#include "formats/store/h5.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/wait.h>
#include "tests/unit/scratch.h"

static const struct hash128 some = {0x0123456789abcdefu, 0xfedcba9876543210u};

static void test_hash(void **state) {
    (void)state;
    char text[33];
    struct hash128 back;
    hash_text(some, text);
    assert_string_equal(text, "0123456789abcdeffedcba9876543210");
    assert_true(hash_parse(text, &back) && hash_equal(back, some));
    assert_false(hash_parse("0123", &back));
    hash_text(hash_bytes("", 0), text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f"); // of XXH3's specification
}

static void write_artefact(const char *path, const struct lineage *l, int version) {
    struct fail f = {0};
    struct lineage own = *l;
    own.version = version;
    char *temp = whole_file_temp(path);
    struct h5 *h = h5_create(temp, &f);
    artefact_put(h, l->kind, &own, some);
    h5_close(h);
    assert_true(whole_file_commit(temp, path, &f));
    free(temp);
}

static void test_read_back(void **state) {
    (void)state;
    char *path = scratch_path("a.h5");
    struct fail f = {0};
    struct artefact a;
    struct lineage l = {.kind = "tokens", .stage = "tokenize", .options = "{\"kind\":\"sft\"}"};
    parents_add(&l.parents, "model", some);
    parents_add(&l.parents, "pairs", (struct hash128){1, 2});
    write_artefact(path, &l, 0);
    assert_true(artefact_read(path, "tokens", &a, &f));
    assert_string_equal(a.stage, "tokenize");
    assert_string_equal(a.options, l.options);
    assert_true(parents_equal(&a.parents, &l.parents));
    assert_true(hash_equal(a.content, some));
    artefact_release(&a);
    assert_false(artefact_read(path, "model", &a, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "kind 'tokens', not 'model'"));
    write_artefact(path, &l, 7);
    f = (struct fail){0};
    assert_false(artefact_read(path, "tokens", &a, &f));
    assert_non_null(strstr(f.text, "version 7"));
    assert_non_null(strstr(f.text, "reads up to 1"));
    parents_release(&l.parents);
    free(path);
}

static void test_already_there(void **state) {
    (void)state;
    char *path = scratch_path("b.h5");
    struct fail f = {0};
    struct lineage l = {.kind = "tokens", .stage = "tokenize", .options = "{\"a\":1}"};
    parents_add(&l.parents, "model", some);
    assert_false(artefact_is_current(path, &l, true, &f));
    assert_int_equal(f.code, 0);
    write_artefact(path, &l, 0);
    assert_true(artefact_is_current(path, &l, false, &f));
    l.options = "{\"a\":2}";
    assert_false(artefact_is_current(path, &l, false, &f));
    assert_int_equal(f.code, 0);
    assert_false(artefact_is_current(path, &l, true, &f));
    assert_int_equal(f.code, EXIT_FAILED);
    parents_release(&l.parents);
    free(path);
}

static void check_difference(const struct lineage *a, const struct lineage *b, const char *want) {
    char *x = lineage_text(a->kind, a), *y = lineage_text(b->kind, b);
    struct str difference = {0};
    assert_false(lineage_same(x, y, &difference));
    if (!strstr(difference.text, want)) fail_msg("'%s' lacks '%s'", difference.text, want);
    str_release(&difference);
    free(x);
    free(y);
}

static void test_difference(void **state) {
    (void)state;
    struct lineage a = {.kind = "model", .stage = "sft", .options = "{\"lr\":0.1,\"seed\":1}"};
    struct lineage b = a;
    b.options = "{\"lr\":0.1,\"seed\":2}";
    check_difference(&a, &b, "option 'seed' was 1 and is 2");
    b.options = "{\"lr\":0.1}";
    check_difference(&a, &b, "option 'seed' was 1 and is not set");
    b = a;
    b.stage = "distill";
    check_difference(&a, &b, "stage: sft");
    b = a;
    parents_add(&b.parents, "tokens", some);
    check_difference(&a, &b, "input 1");
    check_difference(&b, &a, "input 1");
    parents_release(&b.parents);
}

// Files of processes that are gone are swept; others' and the living's stay.
static void test_sweep(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        char *path = scratch_path("c.h5"), *temp = whole_file_temp(path);
        file_write(temp, "x", 1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    char *path = scratch_path("c.h5"), *mine = whole_file_temp(path);
    char *other = scratch_path("c.h5.tmp-elsewhere-1-00000000");
    char *kept = scratch_path("c.h5.tmp-notes");
    file_write(mine, "x", 1);
    file_write(other, "x", 1);
    file_write(kept, "x", 1);
    size_t before = scratch_count();
    struct fail f = {0};
    assert_true(whole_file_prepare(path, &f));
    assert_int_equal(scratch_count(), before - 1);
    assert_int_equal(access(mine, F_OK), 0);
    free(mine);
    free(other);
    free(kept);
    free(path);
}

static void test_prepare_refuses(void **state) {
    (void)state;
    struct fail f = {0};
    assert_false(whole_file_prepare("/no/such/folder/x.h5", &f));
    assert_int_equal(f.code, EXIT_FAILED);
    f = (struct fail){0};
    assert_false(whole_file_prepare(scratch, &f));
    assert_non_null(strstr(f.text, "is a folder"));
}

static void check_part(const char *path, size_t part, size_t parts, const char *want) {
    char *got = part_path(path, part, parts);
    assert_string_equal(got, want);
    free(got);
}

static void test_part_path(void **state) {
    (void)state;
    check_part("x/cache.h5", 0, 12, "x/cache-00000-of-00012.h5");
    check_part("x.y/cache", 3, 12, "x.y/cache-00003-of-00012");
    check_part("cache.h5", 0, 1, "cache.h5");
    check_part(".hidden", 1, 2, ".hidden-00001-of-00002");
}

static void test_paths_from_stdin(void **state) {
    (void)state;
    char *path = scratch_path("list");
    file_write(path, "one\n\ntwo\r\nthree", 15);
    assert_non_null(freopen(path, "r", stdin));
    const char *items[] = {"zero", "-", "four"};
    const char *want[] = {"zero", "one", "two", "three", "four"};
    struct fail f = {0};
    struct path_source *s = path_source_open(3, items, &f);
    for (int i = 0; i < 5; i++) assert_string_equal(path_source_next(s), want[i]);
    assert_null(path_source_next(s));
    path_source_close(s);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),          cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_already_there), cmocka_unit_test(test_difference),
        cmocka_unit_test(test_sweep),         cmocka_unit_test(test_prepare_refuses),
        cmocka_unit_test(test_part_path),     cmocka_unit_test(test_paths_from_stdin),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

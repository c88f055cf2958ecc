#include "formats/tokens/reference.h"
#include "formats/tokens/tokens.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/resource.h>
#include "tests/unit/scratch.h"

static const struct lineage origin = {.kind = "tokens", .stage = "tokenize", .options = "{}"};

static void write_tokens(const char *path, size_t rows, size_t per, struct hash128 tokenizer) {
    struct fail f = {0};
    struct tokens_info info = {.kind = TOKENS_SFT, .vocab = 50, .tokenizer = tokenizer};
    struct columns_plan plan = {.rows_per_shard = per, .rows_total = rows};
    struct columns_writer *w = tokens_writer_open(path, &origin, &info, &plan, &f);
    for (size_t r = 0; r < rows; r++) {
        int32_t ids[8];
        uint8_t mask[8];
        size_t n = 2 + r % 6;
        for (size_t i = 0; i < n; i++) ids[i] = (int32_t)((r * 7 + i) % 50), mask[i] = i >= 1;
        assert_true(tokens_write(w, ids, mask, n, 1));
    }
    if (!columns_commit(w, NULL)) fail_msg("%s", f.text);
}

static const struct hash128 one = {1, 1}, two = {2, 2};

static void check_rows(const struct tokens *t, size_t from, size_t rows) {
    for (size_t r = 0; r < rows; r++) {
        size_t at = t->first[from + r];
        assert_int_equal(t->first[from + r + 1] - at, 2 + r % 6);
        assert_int_equal(t->ids[at + 1], (r * 7 + 1) % 50);
        assert_int_equal(t->mask[at], 0);
        assert_int_equal(t->mask[at + 1], 1);
        assert_int_equal(t->prompt_length[from + r], 1);
    }
}

// Two sets after each other, the first one's parts in any order.
static void test_sets(void **state) {
    (void)state;
    char *a = scratch_path("a.h5"), *b = scratch_path("b.h5");
    write_tokens(a, 10, 4, one);
    write_tokens(b, 7, 0, one);
    const char *paths[] = {part_path(a, 2, 3), part_path(a, 0, 3), part_path(a, 1, 3), b};
    struct tokens t;
    struct fail f = {0};
    if (!tokens_load(&t, 4, paths, &f)) fail_msg("%s", f.text);
    assert_int_equal(t.rows, 17);
    assert_int_equal(t.kind, TOKENS_SFT);
    assert_int_equal(t.vocab, 50);
    assert_int_equal(t.longest, 7);
    assert_int_equal(t.parts, 4);
    assert_int_equal(t.part_rows[2], 2);
    assert_int_equal(t.parents.n, 4);
    check_rows(&t, 0, 10);
    check_rows(&t, 10, 7);
    tokens_release(&t);
    for (int i = 0; i < 3; i++) free((char *)paths[i]);
    free(a);
    free(b);
}

// More shards than a process may have files open.
static void test_many(void **state) {
    (void)state;
    enum { MANY = 70, OPEN = 32 };
    char *path = scratch_path("many.h5"), *paths[MANY];
    write_tokens(path, 2 * MANY, 2, one);
    for (size_t i = 0; i < MANY; i++) paths[i] = part_path(path, i, MANY);
    struct rlimit before, few = {OPEN, OPEN};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct tokens t;
    struct fail f = {0};
    if (!tokens_load(&t, MANY, (const char *const *)paths, &f)) fail_msg("%s", f.text);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(t.parts, MANY);
    check_rows(&t, 0, 2 * MANY);
    tokens_release(&t);
    for (size_t i = 0; i < MANY; i++) free(paths[i]);
    free(path);
}

// A file that another has replaced since it was opened.
static void test_replaced(void **state) {
    (void)state;
    char *path = scratch_path("r.h5"), ids[4];
    struct fail f = {0};
    write_tokens(path, 4, 0, one);
    struct columns_reader *r = columns_open(path, "tokens", &f);
    columns_rest(r);
    assert_true(columns_read(r, "mask", 0, 4, ids));
    columns_rest(r);
    write_tokens(path, 5, 0, one);
    assert_false(columns_read(r, "mask", 0, 4, ids));
    assert_non_null(strstr(f.text, "was replaced while it was being read"));
    columns_close(r);
    free(path);
}

static void refuse(size_t n, const char *const *paths, const char *want) {
    struct tokens t;
    struct fail f = {0};
    assert_false(tokens_load(&t, n, paths, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    if (!strstr(f.text, want)) fail_msg("'%s' lacks '%s'", f.text, want);
}

static void test_refusals(void **state) {
    (void)state;
    char *c = scratch_path("c.h5"), *d = scratch_path("d.h5"), *e = scratch_path("e.h5");
    write_tokens(c, 10, 4, one);
    write_tokens(d, 12, 4, one);
    write_tokens(e, 3, 0, two);
    char *c0 = part_path(c, 0, 3), *c1 = part_path(c, 1, 3), *c2 = part_path(c, 2, 3);
    char *d1 = part_path(d, 1, 3);
    refuse(2, (const char *[]){c0, c2}, "of which 2 were given");
    refuse(3, (const char *[]){c0, c1, c1}, "are the same part 1");
    refuse(3, (const char *[]){c0, d1, c2}, "are not of one set");
    refuse(4, (const char *[]){c0, c1, c2, e}, "different tokenizers");
    refuse(1, (const char *[]){"/nonexistent"}, "No such file");
    refuse(0, NULL, "no tokens were given");
    struct pairs p;
    struct fail f = {0};
    assert_false(pairs_load(&p, 1, (const char *[]){e}, &f));
    assert_non_null(strstr(f.text, "kind 'tokens', not 'pairs'"));
    char *owned[] = {c, d, e, c0, c1, c2, d1};
    for (int i = 0; i < 7; i++) free(owned[i]);
}

// Columns that contradict each other, though every checksum is right.
static void test_contradictions(void **state) {
    (void)state;
    char *path = scratch_path("bad.h5");
    struct tokens_info info = {.kind = TOKENS_TEXT, .vocab = 50, .tokenizer = one};
    struct columns_plan plan = {0};
    for (int what = 0; what < 3; what++) {
        struct fail f = {0};
        struct columns_writer *w = tokens_writer_open(path, &origin, &info, &plan, &f);
        int32_t ids[2] = {3, what == 0 ? 50 : 4}, length = what == 1 ? 3 : 2;
        int32_t prompt = what == 2 ? -1 : 0;
        uint8_t mask[2] = {0, 1};
        columns_append(w, 0, ids, 2);
        columns_append(w, 1, mask, 2);
        columns_append(w, 2, &length, 1);
        columns_append(w, 3, &prompt, 1);
        columns_end_row(w);
        assert_true(columns_commit(w, NULL));
        refuse(1, (const char *[]){path}, "is damaged");
    }
    free(path);
}

static void test_pairs_and_reference(void **state) {
    (void)state;
    char *path = scratch_path("p.h5"), *kept = scratch_path("ref.h5");
    struct fail f = {0};
    struct tokens_info info = {.vocab = 9, .tokenizer = one};
    struct columns_plan plan = {0};
    struct columns_writer *w = pairs_writer_open(path, &origin, &info, &plan, &f);
    assert_true(pairs_write(w, (int32_t[]){1, 2}, 2, (int32_t[]){3}, 1, (int32_t[]){4, 5, 6}, 3));
    assert_true(pairs_write(w, (int32_t[]){7}, 1, (int32_t[]){8, 8}, 2, (int32_t[]){0}, 1));
    assert_true(columns_commit(w, NULL));
    struct pairs p;
    assert_true(pairs_load(&p, 1, (const char *[]){path}, &f));
    assert_int_equal(p.rows, 2);
    assert_int_equal(p.longest, 5);
    assert_int_equal(p.longest_shared, 6);
    assert_int_equal(p.rejected[p.rejected_first[1] - 1], 6);
    assert_int_equal(p.chosen_first[2], 3);
    struct lineage l = {
        .kind = "model", .stage = "dpo-train", .options = "{}", .parents = p.parents};
    w = reference_writer_open(kept, &l, &plan, &f);
    reference_write(w, -1.5, -2.5);
    reference_write(w, -3.5, -4.5);
    assert_true(columns_commit(w, NULL));
    double chosen[2], rejected[2];
    struct hash128 content = {0};
    assert_true(reference_load(kept, &p.parents, 2, chosen, rejected, &content, &f));
    assert_true(chosen[1] == -3.5 && rejected[0] == -2.5 && !hash_is_zero(content));
    assert_false(reference_load(kept, &(struct parents){0}, 2, chosen, rejected, NULL, &f));
    assert_non_null(strstr(f.text, "other pairs"));
    pairs_release(&p);
    for (size_t empty = 0; empty < 3; empty++) { // a prompt or a response of no tokens
        f = (struct fail){0};
        w = pairs_writer_open(path, &origin, &info, &plan, &f);
        assert_true(pairs_write(w, (int32_t[]){1}, empty != 0, (int32_t[]){2}, empty != 1,
                                (int32_t[]){3}, empty != 2));
        assert_true(columns_commit(w, NULL));
        assert_false(pairs_load(&p, 1, (const char *[]){path}, &f));
        assert_non_null(strstr(f.text, "empty prompt or response"));
        assert_int_equal(f.code, EXIT_BADDATA);
        f = (struct fail){0};
        assert_false(pairs_check(path, &f));
    }
    free(path);
    free(kept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),           cmocka_unit_test(test_many),
        cmocka_unit_test(test_replaced),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_pairs_and_reference),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

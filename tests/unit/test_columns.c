#include "formats/store/columns.h"
#include "formats/store/spool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "tests/unit/scratch.h"

// Rows long enough that columns have several chunks: row r adds 700 + r values to x, one length.
enum { ROWS = 230 };
static const struct column table[] = {{"x", COLUMN_I32}, {"flag", COLUMN_U8}, {"none", COLUMN_F64}};
static const struct columns_attr attrs[] = {{"vocab", NULL, 99}, {"rule", "{}", 0}};
static const struct columns_blob blobs[] = {{"tokenizer.json", "{\"a\":1}", 7}, {"empty", "", 0}};
static const struct lineage origin = {
    .kind = "tokens", .stage = "tokenize", .options = "{\"k\":1}"};

static struct columns_writer *create(const char *path, const struct columns_plan *plan,
                                     struct fail *f) {
    return columns_create(path, &origin, 3, table, 2, attrs, 2, blobs, plan, f);
}

static bool add_row(struct columns_writer *w, size_t row) {
    int32_t x[1000];
    size_t n = 700 + row;
    for (size_t i = 0; i < n; i++) x[i] = (int32_t)(row * 31 + i * i % 1009);
    uint8_t flag = row % 3 == 0;
    return columns_append(w, 0, x, n) && columns_append(w, 1, &flag, 1) && columns_end_row(w);
}

static void write_rows(const char *path, const struct columns_plan *plan, size_t first, size_t n) {
    struct fail f = {0};
    struct hash128 content;
    struct columns_writer *w = create(path, plan, &f);
    for (size_t i = columns_rows(w); i < n; i++) add_row(w, first + i);
    if (!columns_commit(w, &content)) fail_msg("%s", f.text);
}

static void test_round_trip(void **state) {
    (void)state;
    char *path = scratch_path("r.h5"), *again = scratch_path("r2.h5");
    struct columns_plan plan = {0};
    write_rows(path, &plan, 0, ROWS);
    write_rows(again, &plan, 0, ROWS);
    assert_true(files_equal(path, again));
    struct fail f = {0};
    struct columns_reader *r = columns_open(path, "tokens", &f);
    assert_non_null(r);
    assert_true(columns_expect(r, 3, table));
    size_t n = columns_count(r, "x"), at = 0, bytes;
    assert_int_equal(n, 700 * ROWS + ROWS * (ROWS - 1) / 2);
    int32_t *x = columns_read_all(r, "x", &n);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t i = 0; i < 700 + row; i++)
            if (x[at++] != (int32_t)(row * 31 + i * i % 1009)) fail_msg("row %zu, %zu", row, i);
    int32_t some[3];
    assert_true(columns_read(r, "x", COLUMN_CHUNK - 1, 3, some));
    assert_memory_equal(some, x + COLUMN_CHUNK - 1, sizeof some);
    assert_int_equal(columns_part(r).rows, ROWS);
    assert_int_equal(columns_count(r, "none"), 0);
    int64_t vocab = 0;
    assert_true(columns_int(r, "vocab", &vocab) && vocab == 99);
    char *rule = columns_text(r, "rule"), *blob = columns_blob(r, "tokenizer.json", &bytes);
    assert_string_equal(rule, "{}");
    assert_int_equal(bytes, 7);
    assert_string_equal(blob, "{\"a\":1}");
    if (!columns_verify(r)) fail_msg("%s", f.text);
    assert_false(columns_read(r, "x", n, 1, some));
    assert_int_equal(f.code, EXIT_BADDATA);
    columns_close(r);
    free(x);
    free(rule);
    free(blob);
    free(path);
    free(again);
}

// Stopped at many places, with and without a checkpoint after the last rows, and resumed.
static void test_resume(void **state) {
    (void)state;
    char *whole = scratch_path("w.h5"), *path = scratch_path("p.h5");
    char *spool = scratch_path("p.h5.spool");
    struct columns_plan plan = {0}, again = {.resume = true};
    write_rows(whole, &plan, 0, ROWS);
    for (size_t stop = 0; stop < ROWS; stop += 37) {
        struct fail f = {0};
        struct columns_writer *w = create(path, &plan, &f);
        for (size_t i = 0; i < stop; i++) add_row(w, i);
        assert_true(columns_checkpoint(w, &stop, sizeof stop));
        for (size_t i = stop; i < stop + 13; i++) add_row(w, i);
        columns_abandon(w, true); // as a kill would
        FILE *torn = fopen(spool, "ab");
        fwrite("half a record", 1, 13, torn);
        fclose(torn);
        w = create(path, &again, &f);
        size_t n;
        const void *back = columns_state(w, &n);
        assert_int_equal(n, sizeof stop);
        assert_memory_equal(back, &stop, sizeof stop);
        assert_int_equal(columns_rows(w), stop);
        for (size_t i = stop; i < ROWS; i++) add_row(w, i);
        assert_true(columns_commit(w, NULL));
        assert_true(files_equal(whole, path));
        assert_int_not_equal(access(spool, F_OK), 0);
        unlink(path);
    }
    free(whole);
    free(path);
    free(spool);
}

static void test_spool_of_another_run(void **state) {
    (void)state;
    char *path = scratch_path("o.h5");
    struct columns_plan plan = {0}, again = {.resume = true};
    struct fail f = {0};
    struct columns_writer *w = create(path, &plan, &f);
    add_row(w, 0);
    assert_true(columns_checkpoint(w, "", 0));
    struct fail g = {0};
    assert_null(create(path, &plan, &g)); // while it is being written
    assert_non_null(strstr(g.text, "in use"));
    columns_abandon(w, true);
    struct lineage other = origin;
    other.options = "{\"k\":2}";
    assert_null(columns_create(path, &other, 3, table, 2, attrs, 2, blobs, &again, &f));
    assert_int_equal(f.code, EXIT_FAILED);
    assert_non_null(strstr(f.text, "option 'k' was 1 and is 2"));
    f = (struct fail){0};
    w = columns_create(path, &other, 3, table, 2, attrs, 2, blobs, &plan, &f); // discards it
    assert_non_null(w);
    assert_int_equal(columns_rows(w), 0);
    columns_abandon(w, false);
    free(path);
}

struct finished {
    size_t n;
    char last[200];
};

static void note_finished(void *self, const char *path) {
    struct finished *done = self;
    done->n++;
    snprintf(done->last, sizeof done->last, "%s", path);
}

static bool same_set(const char *a, const char *b, size_t parts) {
    bool same = true;
    for (size_t i = 0; i < parts; i++) {
        char *x = part_path(a, i, parts), *y = part_path(b, i, parts);
        same = same && files_equal(x, y);
        free(x);
        free(y);
    }
    return same;
}

// Counted beforehand or not, by one run, by a stopped one, or by three: the same files.
static void test_shards(void **state) {
    (void)state;
    char *a = scratch_path("a.h5"), *b = scratch_path("b.h5"), *c = scratch_path("c.h5");
    struct finished done = {0};
    struct columns_plan late = {.rows_per_shard = 60};
    struct columns_plan early = {.rows_per_shard = 60,
                                 .rows_total = ROWS,
                                 .resume = true,
                                 .finished = note_finished,
                                 .self = &done};
    write_rows(a, &late, 0, ROWS);
    struct fail f = {0};
    struct columns_writer *w = create(b, &early, &f);
    for (size_t i = 0; i < 130; i++) {
        add_row(w, i);
        if (i == 59 || i == 125) columns_checkpoint(w, "s", 1);
    }
    assert_int_equal(done.n, 2);
    columns_abandon(w, true);
    w = create(b, &early, &f);
    assert_int_equal(columns_rows(w), 126);
    assert_int_equal(done.n, 4); // the two that were finished are named again
    for (size_t i = 126; i < ROWS; i++) add_row(w, i);
    assert_true(columns_commit(w, NULL));
    assert_int_equal(done.n, 6);
    assert_true(same_set(a, b, 4));
    assert_true(columns_is_current(b, &origin, &early, false, &f));
    assert_int_equal(done.n, 10);
    struct columns_plan cut = {.rows_per_shard = 65, .rows_total = ROWS}; // four parts as well
    assert_false(columns_is_current(b, &origin, &cut, false, &f));
    assert_int_equal(f.code, 0);
    assert_false(columns_is_current(b, &origin, &cut, true, &f));
    assert_int_equal(f.code, EXIT_FAILED);
    for (size_t i = 0; i < 3; i++) {
        struct columns_plan share = {
            .rows_per_shard = 60, .rows_total = ROWS, .shard = i, .shards = 3};
        size_t first, count;
        columns_share(ROWS, 60, i, 3, &first, &count);
        write_rows(c, &share, first, count);
    }
    assert_true(same_set(a, c, 4));
    free(a);
    free(b);
    free(c);
}

static void test_share(void **state) {
    (void)state;
    for (size_t total = 1; total < 40; total++)
        for (size_t per = 0; per < 9; per++)
            for (size_t n = 1; n < 7; n++) {
                size_t next = 0, first, count;
                for (size_t i = 0; i < n; i++) {
                    columns_share(total, per, i, n, &first, &count);
                    if (!count) continue;
                    assert_int_equal(first, next);
                    if (per) assert_int_equal(first % per, 0);
                    next = first + count;
                }
                assert_int_equal(next, total);
            }
}

// Under any file-size limit: code 1, no new file, the former one untouched, the spool kept; and
// then the same command continues to the right bytes.
static void test_no_space(void **state) {
    (void)state;
    char *path = scratch_path("full.h5"), *whole = scratch_path("whole.h5");
    char *spool = scratch_path("full.h5.spool");
    struct columns_plan plan = {.resume = true};
    size_t size;
    write_rows(whole, &plan, 0, ROWS);
    file_write(path, "former", 6);
    free(file_bytes(whole, &size));
    for (rlim_t limit = 500; limit < size; limit += size / 5) {
        pid_t child = fork();
        if (child == 0) {
            struct fail f = {0};
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
            struct columns_writer *w = create(path, &plan, &f);
            for (size_t i = columns_rows(w); i < ROWS; i++) {
                add_row(w, i);
                if (i % 50 == 49) columns_checkpoint(w, "", 0);
            }
            _exit(columns_commit(w, NULL) ? 0 : f.code);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EXIT_FAILED);
        unsigned char *bytes = file_bytes(path, &size);
        assert_memory_equal(bytes, "former", 6);
        free(bytes);
        free(file_bytes(whole, &size));
        assert_int_equal(access(spool, F_OK), 0);
    }
    write_rows(path, &plan, 0, ROWS);
    assert_true(files_equal(path, whole));
    free(path);
    free(whole);
    free(spool);
}

// Killed at any moment, again and again, until it is done: the bytes of an undisturbed run.
static void test_kill(void **state) {
    (void)state;
    char *path = scratch_path("k.h5"), *whole = scratch_path("k2.h5");
    struct columns_plan plan = {.rows_per_shard = 60, .rows_total = ROWS, .resume = true};
    write_rows(whole, &plan, 0, ROWS);
    for (int round = 0, wait = 2000, done = 0; !done; round++, wait += 1500) {
        pid_t child = fork();
        if (child == 0) {
            struct fail f = {0};
            struct columns_writer *w = create(path, &plan, &f);
            for (size_t i = columns_rows(w); i < ROWS; i++) {
                add_row(w, i);
                if (i % 10 == 9) columns_checkpoint(w, &i, sizeof i);
            }
            _exit(columns_commit(w, NULL) ? 0 : 1);
        }
        usleep((useconds_t)wait);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        done = WIFEXITED(status);
        if (done) assert_int_equal(WEXITSTATUS(status), 0);
        assert_true(round < 1000);
    }
    assert_true(same_set(path, whole, 4));
    free(path);
    free(whole);
}

// A spool with a byte changed or its end cut off is taken up from what is valid before, or refused.
static void test_damaged_spool(void **state) {
    (void)state;
    char *path = scratch_path("q.h5"), *whole = scratch_path("q2.h5");
    char *spool = scratch_path("q.h5.spool");
    struct columns_plan plan = {0}, again = {.resume = true};
    write_rows(whole, &plan, 0, 90);
    struct fail f = {0};
    struct columns_writer *w = create(path, &plan, &f);
    for (size_t i = 0; i < 90; i++) {
        add_row(w, i);
        if (i % 45 == 20) assert_true(columns_checkpoint(w, "", 0));
    }
    columns_abandon(w, true);
    size_t n, taken = 0;
    unsigned char *bytes = file_bytes(spool, &n);
    for (size_t k = 0; k < 60; k++) {
        size_t at = k < 30 ? k * 13 : n / 30 * (k - 30); // header and first records, then all
        bool cut = k % 2;
        bytes[at] ^= 0x20;
        file_write(spool, bytes, cut ? at : n);
        bytes[at] ^= 0x20;
        f = (struct fail){0};
        w = create(path, &again, &f);
        if (!w) {
            assert_int_equal(f.code, EXIT_FAILED);
            continue;
        }
        size_t from = columns_rows(w);
        assert_true(from == 0 || from == 21 || from == 66);
        taken += from != 0;
        for (size_t i = from; i < 90; i++) add_row(w, i);
        assert_true(columns_commit(w, NULL));
        assert_true(files_equal(path, whole));
    }
    assert_true(taken > 5);
    free(bytes);
    free(path);
    free(whole);
    free(spool);
}

// Damage is refused or harmless, never a crash; in a chunk it is named.
// Appends what no writer would to a spool: a chunk, a state with `value` at `at` (UINT64_MAX:
// none).
static void forge(const char *path, const struct spool_entry *e, size_t at, uint64_t value) {
    struct fail f = {0};
    char head[4096], *spool = xasprintf("%s.spool", path), *state;
    uint64_t length; // of the header, which stands behind the first record
    size_t n;
    FILE *file = fopen(spool, "rb");
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    fclose(file);
    memcpy(&length, head + 64, sizeof length);
    head[72 + length] = 0;
    struct spool *s = spool_open(spool, head + 72, true, NULL, NULL, &f); // its own header
    if (!s) fail_msg("%s", f.text);
    const void *from = spool_state(s, &n);
    state = xmalloc(n);
    memcpy(state, from, n);
    memcpy(state + at, &value, value == UINT64_MAX ? 0 : sizeof value);
    char *bytes = xcalloc(e->length + 1, 1);
    if (e->length) assert_true(spool_add(s, e, bytes));
    assert_true(spool_checkpoint(s, state, n));
    assert_true(spool_close(s, true));
    free(bytes);
    free(state);
    free(spool);
}

// Bytes with a right XXH3 that no writer has left are refused, whatever they claim.
static void test_forged_spool(void **state) {
    (void)state;
    static const struct {
        struct spool_entry entry;
        size_t at; // of a number in the state: rows, then of each column chunks, elements, bytes
        uint64_t value;
    } forged[] = {
        {{.part = 1, .index = 1, .elements = COLUMN_CHUNK, .length = 1 << 21}, 0, UINT64_MAX},
        {{.part = 1, .index = 0, .elements = COLUMN_CHUNK, .length = 9, .column = 3},
         0,
         UINT64_MAX},
        {{.part = 1, .index = 3, .elements = COLUMN_CHUNK, .length = 9}, 0, UINT64_MAX},
        {{.part = 0, .index = 0, .elements = COLUMN_CHUNK, .length = 9}, 0, UINT64_MAX},
        {{.part = 9, .index = 0, .elements = COLUMN_CHUNK, .length = 9}, 0, UINT64_MAX},
        {{.part = 1, .index = 1, .elements = 1ull << 40, .length = 9}, 0, UINT64_MAX},
        {{.length = 0}, 0, ROWS + 1},
        {{.length = 0}, 0, UINT64_MAX - 1},
        {{.length = 0}, 8, 7},
        {{.length = 0}, 16, COLUMN_CHUNK},
    };
    char *path = scratch_path("g.h5");
    struct columns_plan plan = {.rows_per_shard = 100, .rows_total = ROWS, .resume = true};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct fail f = {0};
        struct columns_plan fresh = plan;
        fresh.resume = false;
        struct columns_writer *w = create(path, &fresh, &f);
        for (size_t row = 0; row < 190; row++) add_row(w, row);
        assert_true(columns_checkpoint(w, "s", 1));
        columns_abandon(w, true);
        forge(path, &forged[i].entry, forged[i].at, forged[i].value);
        w = create(path, &plan, &f);
        if (w) fail_msg("forged spool %zu is taken up", i);
        assert_int_equal(f.code, EXIT_FAILED);
        assert_non_null(strstr(f.text, "is damaged; remove it"));
    }
    free(path);
}

static void test_damage(void **state) {
    (void)state;
    char *path = scratch_path("d.h5"), *hurt = scratch_path("hurt.h5");
    struct columns_plan plan = {0};
    write_rows(path, &plan, 0, 5);
    size_t n, refused = 0, tried = 0;
    unsigned char *bytes = file_bytes(path, &n);
    for (size_t i = 0; i < 2 * n; i += 23, tried++) {
        bool cut = i >= n;
        bytes[i % n] ^= (unsigned char)(1u << i % 8);
        file_write(hurt, bytes, cut ? i - n : n);
        bytes[i % n] ^= (unsigned char)(1u << i % 8);
        struct fail f = {0};
        struct columns_reader *r = columns_open(hurt, NULL, &f);
        bool ok = r && columns_verify(r);
        columns_close(r);
        if (!ok) assert_int_equal(f.code, EXIT_BADDATA);
        assert_false(cut && ok);
        refused += !ok;
    }
    assert_true(refused > tried / 2);
    free(bytes);
    free(path);
    free(hurt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_spool_of_another_run),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_damaged_spool),
        cmocka_unit_test(test_forged_spool),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

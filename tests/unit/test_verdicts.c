// The log of verdicts: kept, replayed, continued after a kill in the middle of a line, refused
// where it is damaged; and responses as text.
#include "tests/unit/scratch.h"
#include "formats/records/responses.h"
#include "formats/records/verdicts.h"
#include "formats/bytes/slurp.h"
#include "formats/bytes/whole_file.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct response_text text(const char *prompt, const char *response) {
    return (struct response_text){.prompt = (char *)prompt,
                                  .response = (char *)response,
                                  .prompt_bytes = strlen(prompt),
                                  .response_bytes = strlen(response)};
}

static struct hash128 key(const char *prompt, const char *a, const char *b) {
    struct response_text x = text(prompt, a), y = text(prompt, b);
    return verdicts_key(&x, &y);
}

static void put(const char *path, const char *bytes) {
    struct fail f = {0};
    assert_true(whole_file_write(path, bytes, strlen(bytes), &f));
}

static void keys_tell_all_parts_apart(void **state) {
    (void)state;
    struct hash128 k = key("p", "ab", "c");
    assert_true(hash_equal(k, key("p", "ab", "c")));
    assert_false(hash_equal(k, key("p", "c", "ab"))); // the other order is another question
    assert_false(hash_equal(k, key("p", "a", "bc")));
    assert_false(hash_equal(k, key("pa", "b", "c")));
}

static void claims_once(void **state) {
    (void)state;
    struct fail f = {0};
    struct verdicts *v = verdicts_open(NULL, "judge", &f);
    assert_true(isnan(verdicts_find(v, key("p", "a", "b"))));
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        assert_true(verdicts_claim(v, key(name, "a", "b")));
        assert_false(verdicts_claim(v, key(name, "a", "b")));
        assert_true(isnan(verdicts_find(v, key(name, "a", "b"))));
        assert_true(verdicts_add(v, key(name, "a", "b"), i / 1000.0, &f));
    }
    assert_true(verdicts_find(v, key("123", "a", "b")) == 0.123);
    assert_true(isnan(verdicts_find(v, key("123", "b", "a"))));
    verdicts_close(v);
}

static void replays_and_continues(void **state) {
    (void)state;
    struct fail f = {0};
    char *path = scratch_path("log.jsonl");
    struct verdicts *v = verdicts_open(path, "one", &f);
    assert_int_equal(access(path, F_OK), -1); // not before the first verdict
    assert_true(verdicts_add(v, key("p", "a", "b"), 0.1, &f));
    assert_true(verdicts_add(v, key("p", "b", "a"), 1, &f));
    verdicts_close(v);
    size_t n;
    char *whole = slurp(path, 1 << 20, &n, &f);
    for (size_t cut = 0; cut <= n; cut++) { // killed after any byte
        FILE *file = fopen(path, "w");
        fwrite(whole, 1, cut, file);
        fclose(file);
        v = verdicts_open(path, "one", &f);
        if (f.code) fail_msg("after %zu bytes: %s", cut, f.text);
        assert_null(verdicts_other_judge(v));
        if (verdicts_claim(v, key("p", "a", "b"))) verdicts_add(v, key("p", "a", "b"), 0.1, &f);
        if (verdicts_claim(v, key("p", "b", "a"))) verdicts_add(v, key("p", "b", "a"), 1, &f);
        verdicts_close(v);
        size_t length;
        char *again = slurp(path, 1 << 20, &length, &f);
        assert_true(length == n - (cut == n - 1)); // a sound line without its end is sound
        assert_memory_equal(again, whole, length);
        free(again);
    }
    free(whole);
    v = verdicts_open(path, "two", &f);
    assert_string_equal(verdicts_other_judge(v), "one");
    assert_true(verdicts_find(v, key("p", "a", "b")) == 0.1);
    assert_true(verdicts_add(v, key("q", "a", "b"), 0.5, &f));
    verdicts_close(v);
    v = verdicts_open(path, "two", &f);
    assert_null(verdicts_other_judge(v)); // the log says who went on
    verdicts_close(v);
    free(path);
}

static void refuses_damage(void **state) {
    (void)state;
    static const char *const bad[] = {
        "nonsense\n",
        "{\"key\": \"00000000000000000000000000000001\"}\n",
        "{\"key\": \"0\", \"preference\": 0.5}\n",
        "{\"key\": \"00000000000000000000000000000001\", \"preference\": 1.5}\n",
        "{\"key\": \"00000000000000000000000000000001\", \"preference\": \"x\"}\n",
        "[1]\n",
    };
    char *path = scratch_path("bad.jsonl");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fail f = {0};
        char *log = xasprintf("{\"judge\": \"x\"}\n%s", bad[i]);
        put(path, log);
        assert_null(verdicts_open(path, "x", &f));
        assert_int_equal(f.code, EXIT_BADDATA);
        assert_non_null(strstr(f.text, "line 2 is no verdict"));
        free(log);
    }
    free(path);
}

static void reads_responses(void **state) {
    (void)state;
    struct fail f = {0};
    struct responses r;
    char *path = scratch_path("r.jsonl");
    put(path, "{\"row\": 3, \"sample\": 1, \"prompt\": \"a\\u0000b\", \"response\": \"\\u00e9\", "
              "\"difficulty\": -0.5}\n{\"prompt\": \"\", \"response\": \"\"}\n");
    assert_true(responses_load(&r, path, &f));
    assert_int_equal(r.n, 2);
    assert_int_equal(r.items[0].row, 3);
    assert_int_equal(r.items[0].sample, 1);
    assert_int_equal(r.items[0].prompt_bytes, 3);
    assert_true(r.items[0].difficulty == -0.5);
    assert_int_equal(r.items[0].response_bytes, 2);
    assert_int_equal(responses_characters(r.items[0].response, 2), 1);
    assert_int_equal(r.items[1].row, 1);
    assert_true(isnan(r.items[1].difficulty));
    responses_release(&r);
    free(path);
    path = scratch_path("r.csv");
    put(path, "row,sample,prompt,response\r\n7,2,\"a, b\",\"c\"\"d\"\r\n");
    assert_true(responses_load(&r, path, &f));
    assert_int_equal(r.items[0].row, 7);
    assert_int_equal(r.items[0].sample, 2);
    assert_string_equal(r.items[0].response, "c\"d");
    responses_release(&r);
    free(path);
}

static void refuses_responses(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "no rows"},
        {"{\"prompt\": \"x\", \"answer\": \"y\"}\n",
         "line 1: no column 'response'; there are: prompt, "},
        {"{\"prompt\": \"x\", \"response\": 5}\n", "'response' is no text"},
        {"{\"prompt\": \"x\", \"response\": \"y\"}\n{\"prompt\"\n", "line 2"},
    };
    char *path = scratch_path("bad-responses.jsonl");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fail f = {0};
        struct responses r;
        put(path, bad[i].text);
        assert_false(responses_load(&r, path, &f));
        assert_int_equal(f.code, EXIT_BADDATA);
        if (!strstr(f.text, bad[i].words)) fail_msg("%s", f.text);
    }
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_tell_all_parts_apart), cmocka_unit_test(claims_once),
        cmocka_unit_test(replays_and_continues),     cmocka_unit_test(refuses_damage),
        cmocka_unit_test(reads_responses),           cmocka_unit_test(refuses_responses),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}

#include "formats/bytes/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct json *parse(const char *text) {
    struct fail f = {0};
    struct json *v = json_parse(text, strlen(text), "test.json", &f);
    if (!v) print_message("%s\n", f.text);
    assert_non_null(v);
    return v;
}

static void refuse(const char *text, size_t n, const char *message) {
    struct fail f = {0};
    assert_null(json_parse(text, n, "test.json", &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    if (!strstr(f.text, message)) print_message("%s\n", f.text);
    assert_non_null(strstr(f.text, message));
    assert_null(strchr(f.text, '\n'));
}

static void types_and_order(void **state) {
    (void)state;
    struct json *v = parse("{\"z\": 1, \"a\": [true, null, -2.5, \"x\\u0000y\"], \"m\": {}}");
    assert_int_equal(json_type(v), JSON_OBJECT);
    assert_int_equal(json_size(v), 3);
    assert_string_equal(json_key(v, 0), "z");
    assert_string_equal(json_key(v, 2), "m");
    assert_int_equal(json_int(json_get(v, "z")), 1);
    const struct json *a = json_get(v, "a");
    assert_true(json_bool(json_at(a, 0)));
    assert_int_equal(json_type(json_at(a, 1)), JSON_NULL);
    assert_true(json_number(json_at(a, 2)) == -2.5);
    assert_false(json_is_integer(json_at(a, 2)));
    size_t n;
    assert_memory_equal(json_text(json_at(a, 3), &n), "x\0y", 3);
    assert_int_equal(n, 3);
    assert_null(json_at(a, 4));
    assert_null(json_get(v, "q"));
    assert_null(json_text(json_get(v, "q"), &n));
    json_free(v);
}

static void large_object(void **state) {
    (void)state;
    struct str s = {0};
    enum { N = 150000 };
    for (int i = 0; i < N; i++) str_printf(&s, "%s\"k%d\": %d", i ? "," : "{", i * 7 % N, i);
    str_puts(&s, "}");
    struct fail f = {0};
    struct json *v = json_parse(s.text, s.length, "vocab", &f);
    assert_non_null(v);
    for (int i = 0; i < N; i++) {
        assert_int_equal(json_int(json_value(v, (size_t)i)), i);
        assert_ptr_equal(json_get(v, json_key(v, (size_t)i)), json_value(v, (size_t)i));
    }
    assert_null(json_get(v, "k"));
    json_free(v);
    str_release(&s);
}

static void refusals(void **state) {
    (void)state;
    refuse("{\"a\": 1,\n \"a\": 2}", 17, "'test.json' line 2");
    refuse("{\"a\": 1,\n \"a\": 2}", 17, "duplicate object key");
    refuse("[1, 2", 5, "line 1");
    refuse("", 0, "invalid JSON");
    refuse("1 2", 3, "end of file expected");
    refuse("\"\xff\"", 3, "line 1, column");
    refuse("[1e999]", 7, "overflow");
    char deep[2000];
    memset(deep, '[', sizeof deep);
    refuse(deep, sizeof deep, "nested too deeply");
    char *many = malloc(2 * (size_t)JSON_VALUES + 2);
    for (size_t i = 0; i <= JSON_VALUES; i++) memcpy(many + 2 * i, i ? ",1" : "[1", 2);
    refuse(many, 2 * (size_t)JSON_VALUES + 2, "too many JSON values");
    free(many);
}

static void line_of_a_piece(void **state) {
    (void)state;
    struct fail f = {0};
    assert_null(json_parse_at("{\n]", 3, "rows.jsonl", 17, &f));
    assert_non_null(strstr(f.text, "'rows.jsonl' line 18"));
}

static void huge_numbers(void **state) {
    (void)state;
    struct json *v = parse("{\"model_max_length\": 1000000000000000019884624838656, \"n\": 3}");
    assert_true(json_number(json_get(v, "model_max_length")) > 9e29);
    assert_true(json_number(json_get(v, "n")) == 3);
    json_free(v);
}

static void round_trip(void **state) {
    (void)state;
    const char *text =
        "{\"a\": [1, 0.1, 1e-06, 10000.0, true], \"b\": \"q\\\"\\\\\\n\\u0001\xc3\xa9\", "
        "\"c\": {}, \"d\": null}";
    struct json *v = parse(text);
    struct str s = {0};
    json_write(&s, v, 0);
    assert_string_equal(s.text, text);
    s.length = 0;
    json_write(&s, json_get(v, "a"), 2);
    assert_string_equal(s.text, "[\n  1,\n  0.1,\n  1e-06,\n  10000.0,\n  true\n]");
    str_release(&s);
    json_free(v);
}

static void quoted_bytes(void **state) {
    (void)state;
    static const char text[] = "[\"a\\\"]\\\\\",\"\"]", inside[] = "..#######..#.";
    struct json_quotes q = {0};
    for (size_t i = 0; text[i]; i++) assert_int_equal(json_quoted(&q, text[i]), inside[i] == '#');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_bytes),    cmocka_unit_test(types_and_order),
        cmocka_unit_test(large_object),    cmocka_unit_test(refusals),
        cmocka_unit_test(line_of_a_piece), cmocka_unit_test(huge_numbers),
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

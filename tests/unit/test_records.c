#include "formats/records/records.h"
#include "formats/bytes/stream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/records-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state) {
    (void)state;
    char *command = xasprintf("rm -rf '%s'", folder);
    int bad = system(command);
    free(command);
    return bad;
}

static char *file(const char *name, const char *bytes, size_t n) {
    char *path = xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    fwrite(bytes, 1, n, f);
    fclose(f);
    return path;
}

static void add_row(struct str *to, struct record *row, const char *const *names) {
    str_printf(to, "%zu", row->line);
    if (!record_parse(row)) str_puts(to, "!");
    for (; *names && !row->bad.code; names++) {
        size_t n;
        const char *text = record_text(row, *names, &n);
        str_puts(to, "|");
        if (text)
            str_add(to, text, n);
        else
            str_puts(to, "-");
    }
    str_puts(to, ";");
}

// "line|field|field;" for each row, "line!;" for a bad one, then the failure.
static char *read_as(const char *name, const char *bytes, size_t n, const char *const *names) {
    char *path = file(name, bytes, n);
    const char *paths[] = {path};
    struct fail f = {0};
    struct str s = {0};
    struct record row = {0};
    struct records *r = records_open(1, paths, SYNTAX_AUTO, &f);
    str_puts(&s, "");
    while (records_next(r, &row)) add_row(&s, &row, names);
    if (f.code) str_puts(&s, f.text);
    record_release(&row);
    records_close(r);
    free(path);
    return s.text;
}

static void expect(const char *name, const char *bytes, const char *want) {
    static const char *const names[] = {"a", "b", NULL};
    char *have = read_as(name, bytes, strlen(bytes), names);
    if (!strstr(have, want) || (*want && strncmp(have, want, strlen(want)) && !strchr(want, '\'')))
        print_message("%s\n", have);
    assert_non_null(strstr(have, want));
    if (!strchr(want, '\'')) assert_string_equal(have, want);
    free(have);
}

static void csv(void **state) {
    (void)state;
    expect("1.csv", "a,b\n1,2\n3,4\n", "2|1|2;3|3|4;");
    expect("2.csv",
           "\xef\xbb\xbf"
           "a,b\r\n1,\"x\r\ny\"\"z\"\r\n\r\n 3 ,4",
           "2|1|x\r\ny\"z;5| 3 |4;");
    expect("3.csv", "b,c,a\n1,2,3\n", "2|3|1;");
    expect("4.csv", "a,b\n1\n1,2,3\n4,5\n", "2!;3!;4|4|5;");
    expect("5.csv", "a,b\n1,\"x\ny\n", "' line 4 (the row begins at line 2)");
    expect("5.csv", "a,b\n1,2\n1,\"x\ny\n", "' line 5 (the row begins at line 3)");
    expect("6.csv", "a,b\n1,x\"y\n", "6.csv' line 2 (the");
    expect("7.csv", "a,b\n1,\xff\n3,\xc3\xa9\n", "2!;3|3|\xc3\xa9;");
    expect("8.csv", "a,a\n1,2\n", "column 'a' is twice");
    expect("9.csv", "", "");
    expect("a.csv", "a,b\r1,2\r", "1|1|2;");
    expect("b.csv", "a,b\n\"x\ny\",2\n3,4\n", "2|x\ny|2;4|3|4;");
    expect("c.tsv", "a\tb\n1,0\t2\n", "2|1,0|2;");
    expect("d", "a,b\n,\n", "2||;");
}

static void json(void **state) {
    (void)state;
    expect("1.jsonl", "{\"a\":\"1\"}\n\n{\"a\":\"x\",\"b\":3}\r\n{\"a\":}\n{\"b\":\"\\u0000\"}",
           "1|1|-;3|x|-;4!;5|-|");
    expect("2.jsonl", "{\"a\":\"\xff\"}\n[1]\n{\"b\":\"y\"}\n", "1!;2!;3|-|y;");
    expect("1.json", " [ {\"a\":\"],[\"},\n\n{\"b\":\"q\\\"]\"} , 7 ]\n", "1|],[|-;3|-|q\"];3!;");
    expect("2.json", "[]", "");
    expect("3.json", "[{\"a\":\"1\"}", "' ends inside its array");
    expect("4.json", "[{\"a\":\"1\"}] x", "' continues after its array");
    expect("5.json", "[{\"a\":\"1\"},]", "1|1|-;1!;");
    expect("6.json", "[{\"a\":\"1\"", "' ends inside its array");
}

static void text(void **state) {
    (void)state;
    static const char *const names[] = {"text", NULL};
    const char *lines = "one\r\n\n two\nthree";
    char *have = read_as("1.txt", lines, strlen(lines), names);
    assert_string_equal(have, "1|one;3| two;4|three;");
    free(have);
    const char *stories = "\none\n\nmore\n<|endoftext|>\n\n<|endoftext|>\ntwo\n<|endoftext|>\n";
    have = read_as("2.txt", stories, strlen(stories), names);
    assert_string_equal(have, "2|one\n\nmore;8|two;");
    free(have);
}

static void refusals(void **state) {
    (void)state;
    struct fail f = {0};
    const char *none[] = {"/nonexistent/x.csv"};
    struct record row = {0};
    struct records *r = records_open(1, none, SYNTAX_AUTO, &f);
    assert_false(records_next(r, &row));
    assert_non_null(strstr(f.text, "cannot open '/nonexistent/x.csv'"));
    records_close(r);
    static const char *const names[] = {"a", NULL};
    char *have = read_as("utf16.csv",
                         "\xff\xfe"
                         "a\0",
                         4, names);
    assert_non_null(strstr(have, "UTF-16"));
    free(have);
    record_release(&row);
}

// gzip -n of "a,b\n1,2\n" (28 bytes), twice: members follow each other
static void gzip(void **state) {
    (void)state;
    char *path = file("x.csv", "a,b\n1,2\n", 8);
    char *command = xasprintf("gzip -nc '%s' > '%s/x'; printf '3,4\\n' | gzip -nc >> '%s/x'", path,
                              folder, folder);
    assert_int_equal(system(command), 0);
    free(command);
    free(path);
    path = xasprintf("%s/x", folder);
    struct fail f = {0};
    struct str s = {0};
    static const char *const names[] = {"a", "b", NULL};
    const char *paths[] = {path};
    struct record row = {0};
    struct records *r = records_open(1, paths, SYNTAX_AUTO, &f);
    while (records_next(r, &row)) add_row(&s, &row, names);
    assert_int_equal(f.code, 0);
    assert_string_equal(s.text, "2|1|2;3|3|4;");
    records_close(r);
    assert_int_equal(truncate(path, 20), 0);
    r = records_open(1, paths, SYNTAX_AUTO, &f);
    while (records_next(r, &row)) {
    }
    assert_non_null(strstr(f.text, "truncated gzip file"));
    records_close(r);
    record_release(&row);
    str_release(&s);
    free(path);
}

// The same as frames of zstd (level 3): "a,b\n1,2\n", then "3,4\n"
static void zstd(void **state) {
    (void)state;
    static const char packed[] = "\x28\xb5\x2f\xfd\x20\x08\x41\x00\x00"
                                 "a,b\n1,2\n"
                                 "\x28\xb5\x2f\xfd\x20\x04\x21\x00\x00"
                                 "3,4\n";
    static const char *const names[] = {"a", "b", NULL};
    char *have = read_as("z", packed, sizeof packed - 1, names);
    assert_string_equal(have, "2|1|2;3|3|4;");
    free(have);
    have = read_as("z", "\x28\xb5\x2f\xfd\x20\x08\x47\0\0abcdefgh", 17, names);
    assert_non_null(strstr(have, "damaged zstd file"));
    free(have);
}

static void too_long(void **state) {
    (void)state;
    size_t n = (size_t)RECORD_BYTES + 100;
    char *bytes = malloc(n);
    memset(bytes, 'x', n);
    static const char *const names[] = {"text", NULL};
    const char *starts[] = {"a,b\n1,\"", "[{\"a\":\"", "{\"a\":\""},
               *ends[] = {".csv", ".json", ".jsonl"};
    for (int i = 0; i < 3; i++) {
        memcpy(bytes, starts[i], strlen(starts[i]));
        char *name = xasprintf("long%s", ends[i]), *have = read_as(name, bytes, n, names);
        assert_non_null(strstr(have, "row too long"));
        free(name);
        free(have);
    }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv),      cmocka_unit_test(json), cmocka_unit_test(text),
        cmocka_unit_test(refusals), cmocka_unit_test(gzip), cmocka_unit_test(zstd),
        cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}

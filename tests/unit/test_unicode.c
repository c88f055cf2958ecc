#include "common/base/regex.h"
#include "common/base/unicode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FFFD "\xef\xbf\xbd"

static void repaired(const char *text, const char *want) {
    struct str out = {0};
    str_puts(&out, "");
    unicode_repair(text, strlen(text), &out);
    assert_string_equal(out.text, want);
    assert_true(unicode_valid(out.text, out.length));
    assert_int_equal(unicode_valid(text, strlen(text)), !strcmp(text, want));
    str_release(&out);
}

static void ill_formed(void **state) {
    (void)state;
    repaired("plain text, longer than eight", "plain text, longer than eight");
    repaired("\xc3\xa9\xe6\x97\xa5\xf0\x9f\x90\xa6", "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x90\xa6");
    repaired("a\x80z", "a" FFFD "z");
    repaired("\xc0\xaf", FFFD FFFD);                   // overlong
    repaired("\xe0\x9f\xbf", FFFD FFFD FFFD);          // overlong
    repaired("\xed\xa0\x80", FFFD FFFD FFFD);          // surrogate
    repaired("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD); // above U+10FFFF
    repaired("\xf0\x9f\x90", FFFD);                    // cut short: one for its longest good part
    repaired("\xe6\x97z", FFFD "z");
    repaired("\xff\xfe", FFFD FFFD);
}

static void characters(void **state) {
    (void)state;
    static const uint32_t all[] = {0, 'a', 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char bytes[4];
        uint32_t c = 1;
        size_t n = unicode_put(all[i], bytes);
        assert_true(unicode_valid(bytes, n));
        assert_int_equal(unicode_next(bytes, n, &c), n);
        assert_int_equal(c, all[i]);
        if (n > 1) assert_false(unicode_valid(bytes, n - 1));
    }
}

static void form(enum unicode_form f, const char *text, const char *want) {
    struct str out = {0};
    str_puts(&out, "");
    unicode_normalise(text, strlen(text), f, &out);
    assert_string_equal(out.text, want);
    str_release(&out);
}

static void normal_forms(void **state) {
    (void)state;
    form(UNICODE_NFC, "cafe\xcc\x81 e\xcc\x81", "caf\xc3\xa9 \xc3\xa9");
    form(UNICODE_NFC, "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"); // jamo
    form(UNICODE_NFC,
         "\xcc\x81"
         "a",
         "\xcc\x81"
         "a");
    form(UNICODE_NFC, "a\xcc\xa7\xcc\x81z", "\xc3\xa1\xcc\xa7z"); // marks are put in order
    form(UNICODE_NFC, "\xe2\x84\xab", "\xc3\x85");                // angstrom sign
    form(UNICODE_NFD, "x\xc3\xa9y", "xe\xcc\x81y");
    form(UNICODE_NFKC, "\xef\xac\x81 \xc2\xbd",
         "fi 1\xe2\x81\x84"
         "2");
    form(UNICODE_NFKD, "\xc3\xa9", "e\xcc\x81");
}

static void finds(const char *pattern, const char *text, size_t from, int start, int end) {
    char why[200] = "";
    struct regex *r = regex_new(pattern, strlen(pattern), why, sizeof why);
    struct regex_work *w = regex_work_new();
    size_t s = 0, e = 0;
    assert_non_null(r);
    bool found = regex_find(r, w, text, strlen(text), from, &s, &e);
    assert_int_equal(found, start >= 0);
    if (found) assert_int_equal(s, start);
    if (found) assert_int_equal(e, end);
    regex_work_free(w);
    regex_free(r);
}

static void patterns(void **state) {
    (void)state;
    finds("\\p{L}+", "12 \xc3\xa9t\xc3\xa9.", 0, 3, 8);
    finds("\\p{L}+", "ab", 1, 1, 2);
    finds("\\p{L}+", "ab", 2, -1, 0);
    finds("\\s", "\xe1\xa0\x8e", 0, -1, 0); // U+180E is no white space
    finds("[\\s]", "\xe1\xa0\x8e", 0, -1, 0);
    finds("\\S", "\xe1\xa0\x8e", 0, 0, 3);
    finds("[^\\s]", " \xc2\x85\xe3\x80\x80x", 0, 6, 7);
    finds("\\\\s", "\\s", 0, 0, 2); // an escaped backslash, then an s
    finds("(?i:'ll)", "we'LL", 0, 2, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ill_formed),
        cmocka_unit_test(characters),
        cmocka_unit_test(normal_forms),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

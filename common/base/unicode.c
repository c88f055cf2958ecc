#include "common/base/unicode.h"
#include "common/base/fail.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

// Length of the well-formed character at p, or 0; *bad is then the length of the ill-formed part.
static size_t character(const unsigned char *p, size_t n, size_t *bad) {
    *bad = 1;
    if (p[0] < 0x80) return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    unsigned low = 0x80, high = 0xbf; // what the second byte may be
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf) {
        if (i >= n || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }
    }
    return length;
}

size_t unicode_valid_prefix(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0, bad;
    while (i < n) {
        uint64_t eight;
        if (i + 8 <= n && (memcpy(&eight, p + i, 8), !(eight & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        size_t length = character(p + i, n - i, &bad);
        if (!length) break;
        i += length;
    }
    return i;
}

bool unicode_valid(const char *text, size_t n) {
    return unicode_valid_prefix(text, n) == n;
}

void unicode_repair(const char *text, size_t n, struct str *out) {
    while (n) {
        size_t good = unicode_valid_prefix(text, n), bad;
        str_add(out, text, good);
        text += good;
        n -= good;
        if (!n) break;
        character((const unsigned char *)text, n, &bad);
        str_add(out, "\xef\xbf\xbd", 3);
        text += bad;
        n -= bad;
    }
}

size_t unicode_next(const char *text, size_t n, uint32_t *c) {
    const unsigned char *p = (const unsigned char *)text;
    size_t bad, length = character(p, n, &bad);
    switch (length) {
    case 1:
        *c = p[0];
        return 1;
    case 2:
        *c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
        return 2;
    case 3:
        *c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        return 3;
    case 4:
        *c = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
        return 4;
    default:
        *c = 0xfffd;
        return 1;
    }
}

size_t unicode_put(uint32_t c, char out[4]) {
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)out);
}

static void map(const char *text, size_t n, enum unicode_form form, struct str *out) {
    static const int options[] = {
        [UNICODE_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [UNICODE_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [UNICODE_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [UNICODE_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n,
                                           &mapped, (utf8proc_option_t)options[form]);
    if (length == UTF8PROC_ERROR_NOMEM)
        die(EXIT_FAILED, "out of memory: cannot normalise a text of %zu bytes", n);
    if (length < 0)
        str_add(out, text, n); // ill-formed text: left alone
    else
        str_add(out, mapped, (size_t)length);
    free(mapped);
}

// Below U+0300 every character is its own NFC, and none combines with what stands before it; below
// U+0080 this holds for all forms. So only runs of other characters, each with the one character
// before it, need the tables.
void unicode_normalise(const char *text, size_t n, enum unicode_form form, struct str *out) {
    const uint32_t limit = form == UNICODE_NFC ? 0x300 : 0x80;
    size_t done = 0, i = 0, previous = 0;
    while (i < n) {
        uint32_t c;
        size_t length = unicode_next(text + i, n - i, &c);
        if (c < limit) {
            previous = i;
            i += length;
            continue;
        }
        str_add(out, text + done, previous - done);
        size_t end = i;
        while (end < n && c >= limit) {
            end += unicode_next(text + end, n - end, &c);
            if (end < n) unicode_next(text + end, n - end, &c);
        }
        map(text + previous, end - previous, form, out);
        done = previous = i = end;
    }
    str_add(out, text + done, n - done);
}

static void each_character(const char *text, size_t n, utf8proc_int32_t (*change)(utf8proc_int32_t),
                           struct str *out) {
    for (size_t i = 0; i < n;) {
        uint32_t c;
        char bytes[4];
        i += unicode_next(text + i, n - i, &c);
        size_t length = unicode_put((uint32_t)change((utf8proc_int32_t)c), bytes);
        str_add(out, bytes, length);
    }
}

void unicode_lower(const char *text, size_t n, struct str *out) {
    each_character(text, n, utf8proc_tolower, out);
}

void unicode_upper(const char *text, size_t n, struct str *out) {
    each_character(text, n, utf8proc_toupper, out);
}

bool unicode_is_space(uint32_t c) {
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

bool unicode_is_word(uint32_t c) {
    if (c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9)) return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return false;
    }
}

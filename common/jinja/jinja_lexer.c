#include "common/jinja/jinja_lexer.h"
#include "common/base/unicode.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
    struct jpool *pool;
    const char *s; // NUL-terminated, line breaks as \n
    size_t n, at;
    size_t counted; // up to here in line and column
    uint32_t line, column;
    bool line_starts; // what stands before `at` ends a line, or nothing does
    struct jtokens out;
};

static void count_lines(struct lexer *x, size_t to) {
    for (; x->counted < to; x->counted++) {
        unsigned char c = (unsigned char)x->s[x->counted];
        if (c == '\n') x->line++, x->column = 1;
        if (c != '\n' && (c & 0xc0) != 0x80) x->column++;
    }
}

static struct jtoken *add(struct lexer *x, enum jtoken_type type, size_t start, size_t end) {
    struct jtokens *t = &x->out;
    if (t->n == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        struct jtoken *more = jpool_take(x->pool, capacity * sizeof *more);
        if (t->n) memcpy(more, t->token, t->n * sizeof *more);
        t->token = more;
        t->capacity = capacity;
    }
    count_lines(x, start);
    struct jtoken *made = &t->token[t->n++];
    *made = (struct jtoken){
        type,        x->line, x->column, jpool_copy(x->pool, x->s + start, end - start),
        end - start, 0,       0};
    return made;
}

static _Noreturn void fail_here(struct lexer *x, size_t at, const char *what) {
    x->counted = 0;
    x->line = x->column = 1;
    count_lines(x, at);
    jinja_fail_at(x->pool->fault, x->line, x->column, "%s", what);
}

static bool starts(const struct lexer *x, size_t at, const char *word) {
    size_t n = strlen(word);
    return x->n - at >= n && !memcmp(x->s + at, word, n);
}

// White space as Python's \s sees it.
static size_t skip_space(const struct lexer *x, size_t at) {
    uint32_t c;
    while (at < x->n) {
        size_t k = unicode_next(x->s + at, x->n - at, &c);
        if (!unicode_is_space(c) && !(c >= 0x1c && c <= 0x1f)) break;
        at += k;
    }
    return at;
}

static bool blank(const struct lexer *x, size_t from, size_t to) {
    return skip_space(x, from) >= to;
}

static size_t without_end(const struct lexer *x, size_t from, size_t to) { // rstrip
    while (to > from) {
        size_t at = to - 1;
        while (at > from && ((unsigned char)x->s[at] & 0xc0) == 0x80) at--;
        if (!blank(x, at, to)) break;
        to = at;
    }
    return to;
}

// The text before a tag that begins at `end` with this sign after its bracket.
static void add_text(struct lexer *x, size_t end, char sign, bool print) {
    size_t start = x->at, stop = end;
    if (sign == '-') {
        stop = without_end(x, start, end);
    } else if (sign != '+' && !print) {
        size_t line = end;
        while (line > start && x->s[line - 1] != '\n') line--;
        bool first = line > start || x->line_starts;
        if (first && end > line && blank(x, line, end)) stop = line;
    }
    if (stop > start) add(x, JT_TEXT, start, stop);
}

static size_t find(const struct lexer *x, size_t from, const char *what) {
    const char *at = memmem(x->s + from, x->n - from, what, strlen(what));
    return at ? (size_t)(at - x->s) : SIZE_MAX;
}

// Behind a block tag, a comment: the sign before its end is at `sign`.
static void after_tag(struct lexer *x, size_t end, char sign) {
    x->at = end;
    if (sign == '-') x->at = skip_space(x, end);
    if (sign != '-' && sign != '+' && end < x->n && x->s[end] == '\n') x->at++;
    x->line_starts = x->at > 0 && x->s[x->at - 1] == '\n';
}

static void comment(struct lexer *x, size_t open) {
    size_t close = find(x, open + 2, "#}");
    if (close == SIZE_MAX) fail_here(x, open, "a comment '{#' has no end '#}'");
    char sign = close > open + 2 ? x->s[close - 1] : 0;
    after_tag(x, close + 2, sign == '-' || sign == '+' ? sign : 0);
}

// Behind a word of a tag: "-%}", "+%}" or "%}"; 0: it is none.
static size_t tag_end(const struct lexer *x, size_t at, char *sign) {
    at = skip_space(x, at);
    *sign = at < x->n && (x->s[at] == '-' || x->s[at] == '+') ? x->s[at] : 0;
    at += *sign != 0;
    return starts(x, at, "%}") ? at + 2 : 0;
}

static size_t tag_word(const struct lexer *x, size_t open, const char *word, char *sign) {
    size_t at = open + 2;
    *sign = at < x->n && (x->s[at] == '-' || x->s[at] == '+') ? x->s[at] : 0;
    at = skip_space(x, at + (*sign != 0));
    return starts(x, at, word) ? at + strlen(word) : 0;
}

// {% raw %} ... {% endraw %}: text as it stands. False: this is another block.
static bool raw(struct lexer *x, size_t open) {
    char sign, end_sign;
    size_t word = tag_word(x, open, "raw", &sign), body = word ? tag_end(x, word, &end_sign) : 0;
    if (!body) return false;
    x->at = end_sign == '-' ? skip_space(x, body) : body;
    x->line_starts = false;
    for (size_t at = x->at; (at = find(x, at, "{%")) != SIZE_MAX; at += 2) {
        word = tag_word(x, at, "endraw", &sign);
        size_t end = word ? tag_end(x, word, &end_sign) : 0;
        if (!end) continue;
        add_text(x, at, sign, false);
        after_tag(x, end, end_sign);
        return true;
    }
    fail_here(x, open, "'raw' has no 'endraw'");
}

// ---- inside a tag -------------------------------------------------------------------------------

static size_t number(struct lexer *x, size_t at) {
    size_t start = at, n = 0;
    char digits[80] = {0};
    bool real = false;
    for (; at < x->n && n + 1 < sizeof digits; at++) {
        char c = x->s[at], next = at + 1 < x->n ? x->s[at + 1] : 0;
        bool digit = isdigit((unsigned char)c);
        bool point = c == '.' && isdigit((unsigned char)next) && !real;
        bool power = (c == 'e' || c == 'E') &&
                     (isdigit((unsigned char)next) || next == '-' || next == '+') &&
                     !strpbrk(digits, "eE");
        bool sign = (c == '-' || c == '+') && n && (digits[n - 1] == 'e' || digits[n - 1] == 'E');
        if (c == '_' && isdigit((unsigned char)next)) continue;
        if (!digit && !point && !power && !sign) break;
        real |= point || power;
        digits[n++] = c;
        digits[n] = 0;
    }
    digits[n] = 0;
    struct jtoken *t = add(x, real ? JT_FLOAT : JT_INT, start, at);
    t->real = strtod(digits, NULL);
    t->integer = real || n > 18 ? 0 : strtoll(digits, NULL, 10);
    if (!real && n > 18) fail_here(x, start, "an integer is too large");
    return at;
}

static size_t hex(struct lexer *x, size_t at, size_t end, size_t n, uint32_t *c) {
    *c = 0;
    for (size_t i = 0; i < n; i++) {
        if (at + i >= end || !isxdigit((unsigned char)x->s[at + i]))
            fail_here(x, at, "a string has a bad escape");
        char d = (char)tolower((unsigned char)x->s[at + i]);
        *c = *c * 16 + (uint32_t)(d <= '9' ? d - '0' : d - 'a' + 10);
    }
    if (*c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
        fail_here(x, at, "a string has an escape that is no character");
    return at + n;
}

// The escape after a backslash at `at`; returns where it ends and what it writes.
static size_t escape(struct lexer *x, size_t at, size_t end, char out[4], size_t *n) {
    static const char names[] = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
    char c = x->s[at];
    uint32_t value = 0;
    *n = 0;
    if (c == '\n') return at + 1;
    for (size_t i = 0; i + 1 < sizeof names; i += 2)
        if (names[i] == c) {
            out[(*n)++] = names[i + 1];
            return at + 1;
        }
    if (c == 'x' || c == 'u' || c == 'U') {
        at = hex(x, at + 1, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, &value);
    } else if (c >= '0' && c <= '7') {
        for (size_t i = 0; i < 3 && x->s[at] >= '0' && x->s[at] <= '7'; i++)
            value = value * 8 + (uint32_t)(x->s[at++] - '0');
    } else { // not an escape: both characters stay
        out[(*n)++] = '\\';
        return at;
    }
    *n = unicode_put(value, out);
    return at;
}

static size_t string(struct lexer *x, size_t start) {
    char quote = x->s[start];
    size_t end = start + 1, n = 0;
    for (; end < x->n && x->s[end] != quote; end++)
        if (x->s[end] == '\\') end++;
    if (end >= x->n) fail_here(x, start, "a string has no end");
    struct jtoken *t = add(x, JT_STRING, start + 1, end);
    char *text = jpool_take(x->pool, end - start);
    for (size_t at = start + 1; at < end;) {
        if (x->s[at] != '\\') {
            text[n++] = x->s[at++];
            continue;
        }
        char out[4];
        size_t k;
        at = escape(x, at + 1, end, out, &k);
        memcpy(text + n, out, k);
        n += k;
    }
    t->text = text;
    t->n = n;
    return end + 1;
}

static bool is_name(unsigned char c, bool first) {
    return c == '_' || c >= 0x80 || isalpha(c) || (!first && isdigit(c));
}

static size_t sign(struct lexer *x, size_t at) {
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (starts(x, at, two[i])) {
            add(x, JT_SIGN, at, at + 2);
            return at + 2;
        }
    if (!x->s[at] || !strchr("+-*/%~.,:|()[]{}<>=", x->s[at])) {
        char *text = jpool_take(x->pool, 64);
        unsigned char c = (unsigned char)x->s[at];
        size_t n = c < 0x80 ? 1 : 0;
        strcpy(text, "character '");
        memcpy(text + strlen(text), x->s + at, n);
        strcat(text, "' means nothing in a tag");
        fail_here(x, at, text);
    }
    add(x, JT_SIGN, at, at + 1);
    return at + 1;
}

// The end of the tag at `at`, where no bracket is open: its length; 0: none.
static size_t closes(const struct lexer *x, size_t at, const char *end, char *mark) {
    *mark = x->s[at] == '-' || (x->s[at] == '+' && *end == '%') ? x->s[at] : 0;
    size_t skip = *mark != 0;
    return starts(x, at + skip, end) ? skip + 2 : 0;
}

static void tag(struct lexer *x, size_t open, bool print) {
    const char *end = print ? "}}" : "%}";
    char mark = x->s[open + 2];
    size_t at = open + 2 + (mark == '-' || mark == '+'), brackets = 0, length;
    add(x, print ? JT_OPEN_PRINT : JT_OPEN_BLOCK, open, open + 2);
    for (;;) {
        at = skip_space(x, at);
        if (at >= x->n) fail_here(x, open, print ? "'{{' has no end '}}'" : "'{%' has no end '%}'");
        if (!brackets && (length = closes(x, at, end, &mark))) break;
        char c = x->s[at];
        if (isdigit((unsigned char)c)) {
            at = number(x, at);
        } else if (c == '\'' || c == '"') {
            at = string(x, at);
        } else if (is_name((unsigned char)c, true)) {
            size_t start = at;
            while (at < x->n && is_name((unsigned char)x->s[at], false)) at++;
            add(x, JT_NAME, start, at);
        } else {
            if (c && strchr("([{", c)) brackets++;
            if (c && strchr(")]}", c) && brackets) brackets--;
            at = sign(x, at);
        }
    }
    add(x, print ? JT_CLOSE_PRINT : JT_CLOSE_BLOCK, at, at + length);
    at += length;
    if (!print) {
        after_tag(x, at, mark);
        return;
    }
    x->at = mark == '-' ? skip_space(x, at) : at;
    x->line_starts = x->s[x->at - 1] == '\n';
}

// ---- the whole ----------------------------------------------------------------------------------

// Line breaks as \n, the last one left out.
static void one_spelling(struct lexer *x, const char *source, size_t n) {
    char *s = jpool_take(x->pool, n + 4), *to = s;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        *to++ = source[i] == '\r' ? '\n' : source[i];
    }
    if (to > s && to[-1] == '\n') to--;
    *to = 0;
    x->s = s;
    x->n = (size_t)(to - s);
}

static size_t next_tag(const struct lexer *x) {
    size_t at = x->at;
    while ((at = find(x, at, "{")) != SIZE_MAX) {
        if (at + 1 < x->n && strchr("{%#", x->s[at + 1]) && x->s[at + 1]) return at;
        at++;
    }
    return SIZE_MAX;
}

struct jtokens jinja_lex(struct jpool *p, const char *source, size_t n) {
    struct lexer x = {.pool = p, .line = 1, .column = 1, .line_starts = true};
    one_spelling(&x, source, n);
    for (size_t open; (open = next_tag(&x)) != SIZE_MAX;) {
        bool print = x.s[open + 1] == '{';
        char mark = x.s[open + 2];
        add_text(&x, open, mark, print);
        if (x.s[open + 1] == '#')
            comment(&x, open);
        else if (print || !raw(&x, open))
            tag(&x, open, print);
    }
    if (x.at < x.n) add(&x, JT_TEXT, x.at, x.n);
    add(&x, JT_END, x.n, x.n);
    return x.out;
}

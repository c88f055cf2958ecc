#include "formats/records/markdown.h"
#include "common/base/mem.h"
#include "common/base/regex.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static size_t occurrences(const char *pattern, const struct str *text) {
    char why[128];
    struct regex *r = regex_new(pattern, strlen(pattern), why, sizeof why);
    assert(r);
    struct regex_work *w = regex_work_new();
    size_t count = 0, start, end = 0;
    while (regex_find(r, w, text->text, text->length, end, &start, &end)) count++;
    regex_work_free(w);
    regex_free(r);
    return count;
}

// Removes every occurrence of `what` (n > 0), as Python's replace does.
static void remove_all(struct str *s, const char *what, size_t n) {
    size_t to = 0;
    for (size_t at = 0; at < s->length;) {
        if (at + n <= s->length && !memcmp(s->text + at, what, n)) {
            at += n;
        } else {
            s->text[to++] = s->text[at++];
        }
    }
    s->length = to;
    s->text[to] = 0;
}

// ```...``` without a backtick inside: what is between goes, wherever else it stands too.
static void remove_code(struct str *s, const char *text, size_t n) {
    static const char fence[] = "```";
    for (size_t at = 0; at + 3 <= n;) {
        const char *open = memmem(text + at, n - at, fence, 3);
        if (!open) return;
        const char *inside = open + 3, *close = memchr(inside, '`', (size_t)(text + n - inside));
        if (!close) return;
        bool block = text + n - close >= 3 && !memcmp(close, fence, 3);
        if (block && close > inside) remove_all(s, inside, (size_t)(close - inside));
        at = (size_t)((block ? close + 3 : open + 1) - text);
    }
}

struct markdown_counts markdown_count(const char *text, size_t n) {
    struct markdown_counts c = {{0}, 0, 0, 0, 0};
    struct str s = {0};
    str_add(&s, text, n);
    remove_code(&s, text, n);
    for (int level = 1; level <= 6; level++) {
        char pattern[16];
        snprintf(pattern, sizeof pattern, "^#{%d}\\s", level);
        c.header[level - 1] = occurrences(pattern, &s);
    }
    c.ordered = occurrences("^\\s*\\d+\\.\\s", &s);
    c.unordered = occurrences("^\\s*[-*+]\\s", &s);
    c.stars = occurrences("\\*\\*[^*\\n]+\\*\\*", &s);
    c.underscores = occurrences("__[^_\\n]+__", &s);
    str_release(&s);
    return c;
}

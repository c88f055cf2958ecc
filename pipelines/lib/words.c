#include "pipelines/lib/words.h"
#include "common/base/mem.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool in_word(const char *text, size_t n, size_t i, size_t start) {
    unsigned char c = (unsigned char)text[i];
    if (c >= 0x80 || isalnum(c)) return true;
    return c == '\'' && i > start && i + 1 < n && isalpha((unsigned char)text[i + 1]);
}

static bool is_stop(char c) {
    return c == '.' || c == '!' || c == '?';
}

static bool ends_properly(const char *text, size_t n) {
    while (n && (isspace((unsigned char)text[n - 1]) || strchr("\"')]", text[n - 1]))) n--;
    return n && is_stop(text[n - 1]);
}

bool words_same(const struct word *a, const struct word *b) {
    return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

bool words_is(const struct word *w, const char *text) {
    return strlen(text) == w->n && memcmp(w->text, text, w->n) == 0;
}

// An open-addressed table of indices of words; a slot holds index + 1.
struct table {
    size_t *slot, mask;
};

static struct table table_new(size_t n) {
    size_t size = 16;
    while (size < 2 * n) size *= 2;
    return (struct table){xcalloc(size, sizeof(size_t)), size - 1};
}

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

static void find_first(struct words *w) {
    struct table t = table_new(w->n);
    for (size_t i = 0; i < w->n; i++) {
        uint64_t hash = 0;
        for (size_t k = 0; k < w->word[i].n; k++)
            hash = mix(hash, (unsigned char)w->word[i].text[k]);
        size_t at = hash & t.mask;
        while (t.slot[at] && !words_same(&w->word[t.slot[at] - 1], &w->word[i]))
            at = (at + 1) & t.mask;
        if (!t.slot[at]) t.slot[at] = i + 1;
        w->word[i].first = t.slot[at] - 1;
    }
    free(t.slot);
}

enum { RUN = 4 };

static bool same_run(const struct word *a, const struct word *b) { // that end at a and at b
    for (int k = 0; k < RUN; k++)
        if (a[-k].first != b[-k].first) return false;
    return true;
}

static void find_again(struct words *w) {
    struct table t = table_new(w->n);
    for (size_t i = RUN - 1; i < w->n; i++) {
        uint64_t hash = 0;
        for (size_t k = 0; k < RUN; k++) hash = mix(hash, w->word[i - k].first);
        size_t at = hash & t.mask;
        while (t.slot[at] && !same_run(&w->word[t.slot[at] - 1], &w->word[i]))
            at = (at + 1) & t.mask;
        w->word[i].again = t.slot[at];
        if (!t.slot[at]) t.slot[at] = i + 1;
    }
    free(t.slot);
}

void words_split(struct words *w, const char *text, size_t n) {
    *w = (struct words){.lower = xmalloc(n + 1)};
    w->ended = ends_properly(text, n);
    bool open = false; // the current sentence has a word
    for (size_t i = 0; i < n;) {
        size_t start = i;
        while (i < n && in_word(text, n, i, start)) {
            w->lower[i] = (char)tolower((unsigned char)text[i]);
            i++;
        }
        if (i == start) {
            if (is_stop(text[i]) || text[i] == '\n') open = false;
            i++;
            continue;
        }
        if (!open) w->sentences++;
        open = true;
        grow(&w->word, &w->capacity, w->n + 1, sizeof *w->word);
        w->word[w->n++] =
            (struct word){.text = w->lower + start, .n = i - start, .sentence = w->sentences - 1};
    }
    find_first(w);
    find_again(w);
}

void words_release(struct words *w) {
    free(w->lower);
    free(w->word);
    *w = (struct words){0};
}

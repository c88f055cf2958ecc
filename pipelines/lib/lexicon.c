#include "pipelines/lib/lexicon.h"
#include "common/base/mem.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

size_t list_count(const char *list) {
    size_t n = 1;
    for (; *list; list++) n += *list == '|';
    return n;
}

const char *list_item(const char *list, size_t i, size_t *n) {
    for (; i; i--) list = strchr(list, '|') + 1;
    *n = strcspn(list, "|");
    return list;
}

struct lexicon {
    struct lexicon_word *word; // sorted by text
    size_t n, capacity;
};

static int compare(const struct lexicon_word *a, const char *text, size_t n) {
    int order = memcmp(a->text, text, a->length < n ? a->length : n);
    return order ? order : (a->length > n) - (a->length < n);
}

static size_t place(const struct lexicon *x, const char *text, size_t n) {
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (compare(&x->word[mid], text, n) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_at(const struct lexicon *x, size_t i, const char *text, size_t n) {
    return i < x->n && compare(&x->word[i], text, n) == 0;
}

// The word's entry, made if it is new.
static struct lexicon_word *enter(struct lexicon *x, const char *text, size_t n) {
    char *lower = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++) lower[i] = (char)tolower((unsigned char)text[i]);
    lower[n] = 0;
    size_t i = place(x, lower, n);
    if (is_at(x, i, lower, n)) {
        free(lower);
        return &x->word[i];
    }
    grow(&x->word, &x->capacity, x->n + 1, sizeof *x->word);
    memmove(x->word + i + 1, x->word + i, (x->n - i) * sizeof *x->word);
    x->n++;
    x->word[i] = (struct lexicon_word){
        .text = lower, .length = n, .topic_class = -1, .pair = -1, .side = -1};
    return &x->word[i];
}

// Enters each word of each item. Words in phrases that are common are left as they are.
static void enter_list(struct lexicon *x, const char *list, uint32_t roles, uint32_t classes) {
    while (*list) {
        size_t n = strcspn(list, "| ");
        struct lexicon_word *w = enter(x, list, n);
        if (!(w->roles & ROLE_COMMON)) {
            w->roles |= roles;
            w->classes |= classes;
        }
        list += n;
        if (*list) list++;
    }
}

static void enter_topics(struct lexicon *x, int class) {
    const char *nouns = word_classes[class].nouns;
    for (size_t i = 0, n; i < list_count(nouns); i++) {
        const char *noun = list_item(nouns, i, &n);
        struct lexicon_word *w = enter(x, noun, n);
        w->roles |= ROLE_TOPIC;
        w->topic_class = class;
    }
}

static void enter_class(struct lexicon *x, int c) {
    const struct word_class *k = &word_classes[c];
    const char *lists[] = {k->adjectives, k->parts, k->supplies, k->uses, k->keep};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        enter_list(x, lists[i], ROLE_DETAIL, 1u << c);
    enter_list(x, k->verbs, ROLE_VERB, 0);
    enter_topics(x, c);
}

static void enter_shared(struct lexicon *x) {
    static const uint32_t roles[SHARED_LISTS] = {
        [LIST_NAMES] = ROLE_NAME,         [LIST_COLOURS] = ROLE_DETAIL,
        [LIST_NUMBERS] = ROLE_DETAIL,     [LIST_SETTINGS] = ROLE_DETAIL,
        [LIST_DAYS] = ROLE_DETAIL,        [LIST_HARMS] = ROLE_HARM,
        [LIST_POLITE] = ROLE_POLITE,      [LIST_RUDE] = ROLE_RUDE,
        [LIST_VAGUE] = ROLE_VAGUE,        [LIST_RAMBLE] = ROLE_RAMBLE,
        [LIST_REFUSE] = ROLE_REFUSE,      [LIST_STEPS] = ROLE_STEP,
        [LIST_NEGATIONS] = ROLE_NEGATION, [LIST_CLOSING] = ROLE_CLOSING,
    };
    const uint32_t every_class = (1u << CLASSES) - 1;
    for (int i = 0; i < SHARED_LISTS; i++)
        if (i != LIST_COMMON)
            enter_list(x, shared_list(i), roles[i], roles[i] == ROLE_DETAIL ? every_class : 0);
    for (int p = 0; p < PAIRS; p++)
        for (int side = 0; side < 2; side++) {
            struct lexicon_word *w = enter(x, opposites[p][side], strlen(opposites[p][side]));
            w->roles |= ROLE_PAIR | ROLE_DETAIL;
            w->classes = every_class;
            w->pair = p;
            w->side = side;
        }
}

struct lexicon *lexicon_new(void) {
    struct lexicon *x = xcalloc(1, sizeof *x);
    enter_list(x, shared_list(LIST_COMMON), ROLE_COMMON, 0);
    for (int c = 0; c < CLASSES; c++) enter_class(x, c);
    enter_shared(x);
    return x;
}

void lexicon_free(struct lexicon *x) {
    if (!x) return;
    for (size_t i = 0; i < x->n; i++) free((char *)x->word[i].text);
    free(x->word);
    free(x);
}

const struct lexicon_word *lexicon_find(const struct lexicon *x, const char *word, size_t n) {
    size_t i = place(x, word, n);
    if (is_at(x, i, word, n)) return &x->word[i];
    if (n < 4 || word[n - 1] != 's') return NULL;
    i = place(x, word, n - 1);
    return is_at(x, i, word, n - 1) ? &x->word[i] : NULL;
}

size_t lexicon_size(const struct lexicon *x) {
    return x->n;
}

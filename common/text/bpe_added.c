#include "common/text/bpe_added.h"
#include "common/base/unicode.h"
#include <stdlib.h>

struct trie_node { // children are a list; 0 ends it
    uint32_t child, sibling;
    int32_t token; // NO_TOKEN: nothing ends here
    unsigned char byte;
};

struct added_token *added_tokens_add(struct added_tokens *a, const char *text, size_t n) {
    grow(&a->token, &a->capacity, a->n + 1, sizeof *a->token);
    struct added_token *t = &a->token[a->n++];
    *t = (struct added_token){0};
    str_add(&t->text, text, n);
    return t;
}

void added_tokens_release(struct added_tokens *a) {
    for (size_t i = 0; i < a->n; i++) str_release(&a->token[i].text);
    free(a->token);
    *a = (struct added_tokens){0};
}

static uint32_t new_node(struct matcher *m, unsigned char byte, uint32_t sibling) {
    if (!m->n) m->n = 1; // index 0 means none
    grow(&m->node, &m->capacity, m->n + 1, sizeof *m->node);
    m->node[m->n] = (struct trie_node){.sibling = sibling, .token = NO_TOKEN, .byte = byte};
    return (uint32_t)m->n++;
}

static uint32_t child_of(const struct matcher *m, uint32_t at, unsigned char byte) {
    uint32_t child = m->node[at].child;
    while (child && m->node[child].byte != byte) child = m->node[child].sibling;
    return child;
}

void matcher_add(struct matcher *m, const char *text, size_t n, size_t token) {
    if (!n) return;
    const unsigned char *p = (const unsigned char *)text;
    if (!m->root[p[0]]) m->root[p[0]] = new_node(m, p[0], 0);
    uint32_t at = m->root[p[0]];
    for (size_t i = 1; i < n; i++) {
        uint32_t child = child_of(m, at, p[i]);
        if (!child) {
            child = new_node(m, p[i], m->node[at].child);
            m->node[at].child = child;
        }
        at = child;
    }
    m->node[at].token = (int32_t)token;
}

void matcher_release(struct matcher *m) {
    free(m->node);
    *m = (struct matcher){0};
}

// The longest token that begins at p; its length in *length.
static ptrdiff_t longest(const struct matcher *m, const unsigned char *p, size_t n,
                         size_t *length) {
    ptrdiff_t token = NO_TOKEN;
    uint32_t at = m->root[p[0]];
    for (size_t i = 1; at; i++) {
        if (m->node[at].token != NO_TOKEN) {
            token = m->node[at].token;
            *length = i;
        }
        at = i < n ? child_of(m, at, p[i]) : 0;
    }
    return token;
}

static size_t last_character(const char *text, size_t n, uint32_t *c) {
    size_t at = n - 1;
    while (at && n - at < 4 && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
    unicode_next(text + at, n - at, c);
    return at;
}

static bool stands_alone(const char *text, size_t n, size_t start, size_t end) {
    uint32_t c;
    if (start && (last_character(text, start, &c), unicode_is_word(c))) return false;
    return end == n || (unicode_next(text + end, n - end, &c), !unicode_is_word(c));
}

static void widen(const struct added_token *t, const char *text, size_t n, size_t done,
                  size_t *start, size_t *end) {
    uint32_t c;
    while (t->lstrip && *start > done) {
        size_t at = last_character(text, *start, &c);
        if (!unicode_is_space(c)) break;
        *start = at;
    }
    while (t->rstrip && *end < n) {
        size_t length = unicode_next(text + *end, n - *end, &c);
        if (!unicode_is_space(c)) break;
        *end += length;
    }
}

static bool any(const uint8_t *typed, size_t start, size_t end) {
    for (size_t i = start; typed && i < end; i++)
        if (typed[i]) return true;
    return false;
}

size_t matcher_cut(const struct matcher *m, const struct added_tokens *a, bool special,
                   const char *text, size_t n, const uint8_t *typed,
                   void (*found)(void *self, ptrdiff_t token, size_t start, size_t end),
                   void *self) {
    const unsigned char *p = (const unsigned char *)text;
    size_t done = 0, i = 0, length = 0, left = 0;
    while (m->n && i < n) {
        if (!m->root[p[i]]) {
            i++;
            continue;
        }
        ptrdiff_t token = longest(m, p + i, n - i, &length);
        if (token == NO_TOKEN) {
            i++;
            continue;
        }
        const struct added_token *t = &a->token[token];
        size_t start = i, end = i + length;
        i = end;
        bool text_only = t->special && special && any(typed, start, end);
        left += text_only;
        if ((t->special && !special) || text_only || start < done) continue;
        if (t->single_word && !stands_alone(text, n, start, end)) continue;
        widen(t, text, n, done, &start, &end);
        if (start > done) found(self, NO_TOKEN, done, start);
        found(self, token, start, end);
        done = i = end;
    }
    if (done < n) found(self, NO_TOKEN, done, n);
    return left;
}

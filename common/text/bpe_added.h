// Added tokens: whole strings that become one id before anything else looks at the text. The
// longest match at the leftmost place wins. Tokens marked `normalized` are looked for in normalised
// text, the others in the text as it came.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct added_token {
    struct str text; // owned
    int32_t id;
    bool special, normalized, single_word, lstrip, rstrip;
};

struct added_tokens {
    struct added_token *token;
    size_t n, capacity;
};
struct added_token *added_tokens_add(struct added_tokens *a, const char *text, size_t n);
void added_tokens_release(struct added_tokens *a);

struct matcher { // a byte trie; zero-initialise, matcher_release
    struct trie_node *node;
    size_t n, capacity;
    uint32_t root[256]; // 0: no token begins with this byte
};
void matcher_add(struct matcher *m, const char *text, size_t n, size_t token);
void matcher_release(struct matcher *m);

enum { NO_TOKEN = -1 };
// Cuts text into tokens and what lies between; found() gets the index of the token or NO_TOKEN, in
// order, no part empty. special: special tokens count too, else they are text. typed: where a byte
// of it is not 0, somebody typed it, and it is part of no special token; NULL: nobody. Returns how
// many special tokens are text for that reason.
size_t matcher_cut(const struct matcher *m, const struct added_tokens *a, bool special,
                   const char *text, size_t n, const uint8_t *typed,
                   void (*found)(void *self, ptrdiff_t token, size_t start, size_t end),
                   void *self);

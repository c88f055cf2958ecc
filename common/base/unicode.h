// UTF-8 and Unicode: validity, repair, normal forms, the few character classes tokenizers ask for.
// The only door to utf8proc. Text is bytes with a length; a NUL byte is a character like any other.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD };

// Bytes of the longest prefix that is well-formed UTF-8 (no surrogates, no overlong forms).
size_t unicode_valid_prefix(const char *text, size_t n);
bool unicode_valid(const char *text, size_t n);
// Appends text with each ill-formed sequence (maximal subpart) replaced by U+FFFD.
void unicode_repair(const char *text, size_t n, struct str *out);

// The character at text (n >= 1 bytes) and its length in bytes. An ill-formed byte gives U+FFFD, 1.
size_t unicode_next(const char *text, size_t n, uint32_t *c);
// Writes c as UTF-8 (1 to 4 bytes) and returns the length.
size_t unicode_put(uint32_t c, char out[4]);

// Appends the normal form of well-formed text.
void unicode_normalise(const char *text, size_t n, enum unicode_form form, struct str *out);
void unicode_lower(const char *text, size_t n, struct str *out); // each character by itself
void unicode_upper(const char *text, size_t n, struct str *out);

bool unicode_is_space(uint32_t c); // White_Space
bool unicode_is_word(uint32_t c);  // letters, marks, numbers, connectors, joiners

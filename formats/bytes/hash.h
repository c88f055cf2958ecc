// XXH3-128, the hash that names contents everywhere in our files. Running out of memory dies.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t high, low;
};
bool hash_equal(struct hash128 a, struct hash128 b);
bool hash_is_zero(struct hash128 h);
void hash_text(struct hash128 h, char text[33]);        // 32 hex digits
bool hash_parse(const char *text, struct hash128 *h);   // 32 hex digits at `text`
struct hash128 hash_bytes(const void *bytes, size_t n); // XXH3-128
struct hasher;                                          // the same, a piece at a time
struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, const void *bytes, size_t n);
struct hash128 hasher_end(struct hasher *h); // frees h

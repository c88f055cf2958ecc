#include "formats/bytes/hash.h"
#include "common/base/fail.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

bool hash_equal(struct hash128 a, struct hash128 b) {
    return a.high == b.high && a.low == b.low;
}

bool hash_is_zero(struct hash128 h) {
    return !h.high && !h.low;
}

void hash_text(struct hash128 h, char text[33]) {
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)h.high, (unsigned long long)h.low);
}

bool hash_parse(const char *text, struct hash128 *h) {
    if (strspn(text, "0123456789abcdef") < 32) return false;
    char half[17] = {0};
    memcpy(half, text, 16);
    h->high = strtoull(half, NULL, 16);
    memcpy(half, text + 16, 16);
    h->low = strtoull(half, NULL, 16);
    return true;
}

struct hash128 hash_bytes(const void *bytes, size_t n) {
    XXH128_hash_t h = XXH3_128bits(bytes, n);
    return (struct hash128){h.high64, h.low64};
}

struct hasher *hasher_new(void) {
    XXH3_state_t *state = XXH3_createState();
    if (!state) die(EXIT_FAILED, "out of memory");
    XXH3_128bits_reset(state);
    return (struct hasher *)state;
}

void hasher_add(struct hasher *h, const void *bytes, size_t n) {
    XXH3_128bits_update((XXH3_state_t *)h, bytes, n);
}

struct hash128 hasher_end(struct hasher *h) {
    XXH128_hash_t hash = XXH3_128bits_digest((XXH3_state_t *)h);
    XXH3_freeState((XXH3_state_t *)h);
    return (struct hash128){hash.high64, hash.low64};
}

#include "formats/store/zfilter.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { FLAG_REVERSE = 0x0100, CHECKSUM_BYTES = 4 };
static const unsigned long long largest_chunk = 1u << 30; // a hostile frame's claim is bounded

// HDF5's variant: big-endian 16-bit words, sums modulo 65535, an odd last byte is a high half.
uint32_t zfilter_fletcher32(const void *bytes, size_t n) {
    const unsigned char *b = bytes;
    uint32_t sum1 = 0, sum2 = 0;
    for (size_t words = n / 2; words;) {
        size_t run = words < 360 ? words : 360; // the most before sum2 overflows
        words -= run;
        for (; run; run--, b += 2) {
            sum1 += (uint32_t)b[0] << 8 | b[1];
            sum2 += sum1;
        }
        sum1 = (sum1 & 0xffff) + (sum1 >> 16);
        sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    }
    if (n % 2) {
        sum1 += (uint32_t)b[0] << 8;
        sum2 += sum1;
        sum1 = (sum1 & 0xffff) + (sum1 >> 16);
        sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    }
    sum1 = (sum1 & 0xffff) + (sum1 >> 16);
    sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    return sum2 << 16 | sum1;
}

size_t zfilter_bound(size_t n) {
    return ZSTD_compressBound(n) + CHECKSUM_BYTES + n;
}

// Byte k of every element before byte k + 1 of any.
static void shuffle(const unsigned char *from, size_t n, size_t size, unsigned char *to) {
    size_t count = n / size;
    for (size_t k = 0; k < size; k++)
        for (size_t i = 0; i < count; i++) to[k * count + i] = from[i * size + k];
}

static void unshuffle(const unsigned char *from, size_t n, size_t size, unsigned char *to) {
    size_t count = n / size;
    for (size_t k = 0; k < size; k++)
        for (size_t i = 0; i < count; i++) to[i * size + k] = from[k * count + i];
}

size_t zfilter_encode(const void *raw, size_t n, size_t size, int level, void *to) {
    assert(size && n % size == 0);
    if (size > 1) { // the planes lie after the room for the frame
        unsigned char *planes = (unsigned char *)to + ZSTD_compressBound(n) + CHECKSUM_BYTES;
        shuffle(raw, n, size, planes);
        raw = planes;
    }
    size_t made = ZSTD_compress(to, ZSTD_compressBound(n), raw, n, level);
    if (ZSTD_isError(made)) return 0;
    uint32_t sum = zfilter_fletcher32(to, made);
    unsigned char *end = (unsigned char *)to + made;
    for (int i = 0; i < CHECKSUM_BYTES; i++) end[i] = (unsigned char)(sum >> 8 * i);
    return made + CHECKSUM_BYTES;
}

bool zfilter_decode(const void *from, size_t n, size_t bytes, size_t size, void *to) {
    if (n < CHECKSUM_BYTES) return false;
    size_t made = n - CHECKSUM_BYTES;
    const unsigned char *end = (const unsigned char *)from + made;
    uint32_t sum = 0;
    for (int i = 0; i < CHECKSUM_BYTES; i++) sum |= (uint32_t)end[i] << 8 * i;
    if (sum != zfilter_fletcher32(from, made)) return false;
    if (ZSTD_getFrameContentSize(from, made) != bytes) return false;
    unsigned char *planes = size > 1 ? malloc(bytes) : to;
    size_t got = planes ? ZSTD_decompress(planes, bytes, from, made) : 0;
    bool ok = planes && got == bytes;
    if (!planes || ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) errno = ENOMEM;
    if (ok && size > 1) unshuffle(planes, bytes, size, to);
    if (size > 1) free(planes);
    return ok;
}

static size_t replace(void *fresh, size_t made, size_t room, size_t *capacity, void **buffer) {
    if (ZSTD_isError(made)) {
        free(fresh);
        return 0;
    }
    free(*buffer);
    *buffer = fresh;
    *capacity = room;
    return made;
}

static size_t decompress(size_t n, size_t *capacity, void **buffer) {
    unsigned long long size = ZSTD_getFrameContentSize(*buffer, n);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) return 0;
    if (!size || size > largest_chunk) return 0;
    void *fresh = malloc(size);
    if (!fresh) return 0;
    return replace(fresh, ZSTD_decompress(fresh, size, *buffer, n), size, capacity, buffer);
}

size_t zfilter_callback(unsigned flags, size_t n_values, const unsigned values[], size_t n,
                        size_t *capacity, void **buffer) {
    if (flags & FLAG_REVERSE) return decompress(n, capacity, buffer);
    size_t room = ZSTD_compressBound(n);
    void *fresh = malloc(room);
    if (!fresh) return 0;
    int level = n_values ? (int)values[0] : ZFILTER_LEVEL;
    return replace(fresh, ZSTD_compress(fresh, room, *buffer, n, level), room, capacity, buffer);
}

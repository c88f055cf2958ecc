// The chunk coding of our compressed columns: shuffle, then zstd as HDF5's registered filter 32015,
// then HDF5's Fletcher32. zfilter_encode makes whole chunks for H5Dwrite_chunk, which bypasses
// HDF5's own filters; zfilter_callback is the filter itself, for libhdf5 in our programs (h5.c) and
// in others' (zplugin.c). Frames carry their content size. Thread-safe; no state.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZFILTER_ID = 32015, ZFILTER_LEVEL = 3 };

// Room that zfilter_encode needs at `to` for n raw bytes, its scratch included.
size_t zfilter_bound(size_t n);
// raw (n bytes, elements of `size` bytes) -> to; returns the bytes made, 0 where
// there is no memory for it.
size_t zfilter_encode(const void *raw, size_t n, size_t size, int level, void *to);
// Back: `bytes` raw bytes from the n of a chunk. False: it has another checksum, or is no frame of
// as many bytes, or, with errno ENOMEM, there is no memory.
bool zfilter_decode(const void *from, size_t n, size_t bytes, size_t size, void *to);
uint32_t zfilter_fletcher32(const void *bytes, size_t n);

// HDF5's H5Z_func_t in plain types: returns the new size, 0 on failure.
size_t zfilter_callback(unsigned flags, size_t n_values, const unsigned values[], size_t n,
                        size_t *capacity, void **buffer);

// The numbers of safetensors files: conversion from and to float32, and the writer.
#include "common/base/jsonout.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "formats/models/safetensors.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float from_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * 0x1p-24f; // exact
    return sign ? -small : small;
}

static uint16_t load16(const unsigned char *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

struct conversion {
    const struct safe_tensor *t;
    float *to;
};

static void convert(void *self, size_t first, size_t last) {
    const struct conversion *c = self;
    const unsigned char *from = c->t->data;
    if (c->t->type == SAFE_F32) memcpy(c->to + first, from + 4 * first, 4 * (last - first));
    if (c->t->type == SAFE_BF16)
        for (size_t i = first; i < last; i++)
            c->to[i] = from_bits((uint32_t)load16(from + 2 * i) << 16);
    if (c->t->type == SAFE_F16)
        for (size_t i = first; i < last; i++) c->to[i] = from_half(load16(from + 2 * i));
}

// The mapped pages were read once and are not needed again.
static void forget(const struct safe_tensor *t) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)t->data + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)t->data + t->bytes) & ~(page - 1);
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

bool safetensors_read(const struct safe_tensor *t, float *to, struct fail *f) {
    if (t->type == SAFE_OTHER)
        return fail_set(f, EXIT_BADDATA,
                        "tensor '%s' is of type %s; only F32, F16 and BF16 are read", t->name,
                        t->type_name);
    parallel_range(t->count, 1 << 16, convert, &(struct conversion){t, to});
    forget(t);
    return true;
}

// ---- writing ------------------------------------------------------------------------------------

static size_t source_count(const struct safe_source *t) {
    size_t n = 1;
    for (size_t i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

static uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40); // stays a NaN
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void write_header(FILE *file, enum safe_type type, size_t n, const struct safe_source *t) {
    struct str s = {0};
    size_t at = 0, size = safetensors_type_size(type);
    str_puts(&s, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n; i++) {
        str_puts(&s, ",");
        jsonout_text(&s, t[i].name);
        str_printf(&s, ":{\"dtype\":\"%s\",\"shape\":[", type == SAFE_F32 ? "F32" : "BF16");
        for (size_t k = 0; k < t[i].rank; k++) str_printf(&s, k ? ",%zu" : "%zu", t[i].shape[k]);
        size_t end = at + source_count(&t[i]) * size;
        str_printf(&s, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    str_puts(&s, "}");
    while (s.length % 8) str_puts(&s, " ");
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(s.length >> (8 * i));
    fwrite(length, 1, sizeof length, file);
    fwrite(s.text, 1, s.length, file);
    str_release(&s);
}

static void write_numbers(FILE *file, enum safe_type type, const float *x, size_t n) {
    if (type == SAFE_F32) {
        fwrite(x, sizeof *x, n, file);
        return;
    }
    uint16_t block[4096];
    for (size_t i = 0; i < n; i += 4096) {
        size_t count = n - i < 4096 ? n - i : 4096;
        for (size_t k = 0; k < count; k++) block[k] = to_bf16(x[i + k]);
        fwrite(block, sizeof *block, count, file);
    }
}

bool safetensors_write(const char *path, enum safe_type type, size_t n,
                       const struct safe_source *tensors, struct fail *f) {
    if (f->code) return false;
    FILE *file = fopen(path, "wbe");
    if (!file) return fail_set(f, EXIT_FAILED, "cannot create '%s': %s", path, strerror(errno));
    errno = 0;
    write_header(file, type, n, tensors);
    for (size_t i = 0; i < n && !ferror(file); i++)
        write_numbers(file, type, tensors[i].data, source_count(&tensors[i]));
    bool bad = fflush(file) || ferror(file) || fsync(fileno(file));
    int why = errno;
    bad |= fclose(file) != 0;
    if (bad) return fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(why));
    return true;
}

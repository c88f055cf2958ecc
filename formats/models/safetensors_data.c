// The numbers of safetensors files: conversion from and to float32, and the writer.
#include "common/base/jsonout.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "formats/bytes/input.h"
#include "formats/models/gguf.h"
#include "formats/models/safetensors.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

// A tensor's file, opened again; -1 with f set, also where it is no longer the one whose header was
// read.
static int reopen(const struct safe_tensor *t, struct fail *f) {
    const struct stat *was = &t->file->as_opened;
    struct stat now;
    int fd = input_open(t->file->path, f);
    if (fd < 0) return -1;
    if (!fstat(fd, &now) && now.st_dev == was->st_dev && now.st_ino == was->st_ino &&
        now.st_size == was->st_size && now.st_mtim.tv_sec == was->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
        return fd;
    input_close(fd);
    fail_set(f, EXIT_BADDATA, "'%s' was replaced while it was being read", t->file->path);
    return -1;
}

enum { PIECE = 16384 }; // numbers of two bytes that are read and converted at once

struct conversion {
    const struct safe_tensor *t;
    int fd;
    size_t offset; // in the file
    float *to;
    atomic_flag failed; // whose is *fail
    struct fail *fail;
};

static void convert_halves(const struct conversion *c, const unsigned char *from, size_t n,
                           float *to) {
    if (c->t->type == SAFE_BF16)
        for (size_t i = 0; i < n; i++) to[i] = from_bits((uint32_t)load16(from + 2 * i) << 16);
    else
        for (size_t i = 0; i < n; i++) to[i] = from_half(load16(from + 2 * i));
}

static void convert(void *self, size_t first, size_t last) {
    struct conversion *c = self;
    const char *path = c->t->file->path;
    struct fail f = {0};
    unsigned char halves[2 * PIECE];
    bool ok = true;
    if (c->t->type == SAFE_F32)
        ok = input_read_at(c->fd, path, c->to + first, 4 * (last - first), c->offset + 4 * first,
                           &f);
    else
        for (size_t at = first, n; ok && at < last; at += n) {
            n = last - at < PIECE ? last - at : PIECE;
            ok = input_read_at(c->fd, path, halves, 2 * n, c->offset + 2 * at, &f);
            if (ok) convert_halves(c, halves, n, c->to + at);
        }
    if (!ok && !atomic_flag_test_and_set(&c->failed)) fail_pass(c->fail, &f);
}

bool safetensors_read(const struct safe_tensor *t, float *to, struct fail *f) {
    return safetensors_read_part(t, 0, t->count, to, f);
}

bool safetensors_read_part(const struct safe_tensor *t, size_t first, size_t n, float *to,
                           struct fail *f) {
    if (t->type == SAFE_OTHER)
        return fail_set(f, EXIT_BADDATA,
                        "tensor '%s' is of type %s; only F32, F16 and BF16 are read", t->name,
                        t->type_name);
    assert(first <= t->count && n <= t->count - first);
    struct conversion c = {.t = t,
                           .fd = reopen(t, f),
                           .offset = t->offset + first * safetensors_type_size(t->type),
                           .to = to,
                           .fail = f};
    atomic_flag_clear(&c.failed);
    if (c.fd < 0) return false;
    parallel_range(n, 1 << 16, convert, &c);
    input_close(c.fd);
    return !f->code;
}

bool safetensors_same(const struct safe_tensor *a, const struct safe_tensor *b, struct fail *f) {
    unsigned char x[2 * PIECE], y[2 * PIECE];
    bool same = a->type == b->type && a->bytes == b->bytes;
    int p = reopen(a, f), q = p < 0 ? -1 : reopen(b, f);
    for (size_t at = 0, n; same && q >= 0 && at < a->bytes; at += n) {
        n = a->bytes - at < sizeof x ? a->bytes - at : sizeof x;
        same = input_read_at(p, a->file->path, x, n, a->offset + at, f) &&
               input_read_at(q, b->file->path, y, n, b->offset + at, f) && !memcmp(x, y, n);
    }
    input_close(p);
    input_close(q);
    return same && !f->code;
}

// ---- writing ------------------------------------------------------------------------------------

static size_t source_count(const struct safe_source *t) {
    size_t n = 1;
    for (size_t i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

static const struct { // by enum safe_type
    const char *name;
    enum gguf_type code; // the same numbers as GGUF has them
} written[] = {[SAFE_F32] = {"F32", GGUF_F32},
               [SAFE_F16] = {"F16", GGUF_F16},
               [SAFE_BF16] = {"BF16", GGUF_BF16}};

static void write_header(FILE *file, enum safe_type type, size_t n, const struct safe_source *t) {
    struct str s = {0};
    size_t at = 0, size = safetensors_type_size(type);
    str_puts(&s, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n; i++) {
        str_puts(&s, ",");
        jsonout_text(&s, t[i].name);
        str_printf(&s, ":{\"dtype\":\"%s\",\"shape\":[", written[type].name);
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
        gguf_encode(written[type].code, count, x + i, block);
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

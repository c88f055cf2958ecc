#include "formats/models/gguf.h"
#include "common/engine/model.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "formats/bytes/input.h"
#include "formats/bytes/whole_file.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum value_type { V_UINT32 = 4, V_INT32 = 5, V_FLOAT32 = 6, V_BOOL = 7, V_STRING = 8, V_ARRAY = 9 };
enum { ALIGNMENT = 32, Q8_BLOCK = 32 };

struct gguf {
    struct str values;
    size_t n_values, n;
    struct gguf_tensor *tensors;
};

struct gguf *gguf_new(void) {
    return xcalloc(1, sizeof(struct gguf));
}

void gguf_free(struct gguf *g) {
    if (!g) return;
    str_release(&g->values);
    free(g->tensors);
    free(g);
}

// ---- values; this machine and GGUF are both little-endian

static void put(struct str *s, const void *bytes, size_t n) {
    str_add(s, bytes, n);
}

static void put_u32(struct str *s, uint32_t x) {
    put(s, &x, sizeof x);
}

static void put_u64(struct str *s, uint64_t x) {
    put(s, &x, sizeof x);
}

static void put_text(struct str *s, const char *text) {
    put_u64(s, strlen(text));
    put(s, text, strlen(text));
}

static void begin(struct gguf *g, const char *key, enum value_type type) {
    g->n_values++;
    put_text(&g->values, key);
    put_u32(&g->values, type);
}

static void begin_array(struct gguf *g, const char *key, enum value_type type, size_t n) {
    begin(g, key, V_ARRAY);
    put_u32(&g->values, type);
    put_u64(&g->values, n);
}

void gguf_text(struct gguf *g, const char *key, const char *text) {
    begin(g, key, V_STRING);
    put_text(&g->values, text);
}

void gguf_size(struct gguf *g, const char *key, size_t value) {
    begin(g, key, V_UINT32);
    put_u32(&g->values, (uint32_t)value);
}

void gguf_real(struct gguf *g, const char *key, double value) {
    float x = (float)value;
    begin(g, key, V_FLOAT32);
    put(&g->values, &x, sizeof x);
}

void gguf_flag(struct gguf *g, const char *key, bool value) {
    uint8_t x = value;
    begin(g, key, V_BOOL);
    put(&g->values, &x, sizeof x);
}

void gguf_texts(struct gguf *g, const char *key, size_t n, char *const *texts) {
    begin_array(g, key, V_STRING, n);
    for (size_t i = 0; i < n; i++) put_text(&g->values, texts[i]);
}

void gguf_sizes(struct gguf *g, const char *key, size_t n, const int32_t *values) {
    begin_array(g, key, V_INT32, n);
    put(&g->values, values, n * sizeof *values);
}

void gguf_reals(struct gguf *g, const char *key, size_t n, const float *values) {
    begin_array(g, key, V_FLOAT32, n);
    put(&g->values, values, n * sizeof *values);
}

// ---- numbers

static uint16_t half_of(float x) { // to nearest, ties to even
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    uint32_t sign = b >> 16 & 0x8000, size = b & 0x7fffffff;
    if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (size >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // rounds beyond 65504
    if (size < 0x38800000) {                                  // denormal: units of 2^-24
        float units = fabsf(x) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)lrintf(units));
    }
    uint32_t rounded = size + 0xfff + (size >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

// A block: its scale in f16, then 32 numbers of 8 bits.
static void encode_q8(const float *x, unsigned char *to) {
    float most = 0;
    for (size_t i = 0; i < Q8_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
    float scale = most / 127, inverse = scale != 0 ? 1 / scale : 0;
    uint16_t half = half_of(scale);
    memcpy(to, &half, sizeof half);
    for (size_t i = 0; i < Q8_BLOCK; i++) {
        int8_t q = (int8_t)roundf(x[i] * inverse);
        memcpy(to + 2 + i, &q, 1);
    }
}

static size_t encoded_bytes(enum gguf_type type, size_t n) {
    switch (type) {
    case GGUF_F32:
        return 4 * n;
    case GGUF_Q8_0:
        return n / Q8_BLOCK * (2 + Q8_BLOCK);
    default:
        return 2 * n;
    }
}

size_t gguf_encode(enum gguf_type type, size_t n, const float *x, void *to) {
    unsigned char *bytes = to;
    if (type == GGUF_F32) memcpy(bytes, x, n * sizeof *x);
    for (size_t i = 0; type == GGUF_Q8_0 && i < n; i += Q8_BLOCK)
        encode_q8(x + i, bytes + i / Q8_BLOCK * (2 + Q8_BLOCK));
    for (size_t i = 0; (type == GGUF_F16 || type == GGUF_BF16) && i < n; i++) {
        uint16_t half = type == GGUF_F16 ? half_of(x[i]) : model_bf16(x[i]);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
    return encoded_bytes(type, n);
}

// ---- tensors

void gguf_add(struct gguf *g, const struct gguf_tensor *t) {
    g->tensors = xrealloc(g->tensors, (g->n + 1) * sizeof *g->tensors);
    struct gguf_tensor *to = &g->tensors[g->n++];
    *to = *t;
    if (to->type == GGUF_Q8_0 && to->cols % Q8_BLOCK) to->type = GGUF_F16;
}

static size_t aligned(size_t n) {
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t tensor_bytes(const struct gguf_tensor *t) {
    return (t->rows ? t->rows : 1) * encoded_bytes(t->type, t->cols);
}

static struct str header_of(const struct gguf *g) {
    struct str s = {0};
    size_t offset = 0;
    put(&s, "GGUF", 4);
    put_u32(&s, 3);
    put_u64(&s, g->n);
    put_u64(&s, g->n_values);
    put(&s, g->values.text, g->values.length);
    for (size_t i = 0; i < g->n; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        put_text(&s, t->name);
        put_u32(&s, t->rows ? 2 : 1);
        put_u64(&s, t->cols); // the fastest dimension first
        if (t->rows) put_u64(&s, t->rows);
        put_u32(&s, t->type);
        put_u64(&s, offset);
        offset += aligned(tensor_bytes(t));
    }
    return s;
}

static bool write_padded(FILE *file, const void *bytes, size_t n, size_t pad) {
    static const char zeros[ALIGNMENT];
    return fwrite(bytes, 1, n, file) == n && fwrite(zeros, 1, pad, file) == pad;
}

static bool write_tensor(FILE *file, const struct gguf_tensor *t) {
    size_t rows = t->rows ? t->rows : 1, bytes = tensor_bytes(t);
    void *row = xmalloc(encoded_bytes(t->type, t->cols) + 1);
    float *sum = t->plus != 0 ? xmalloc(t->cols * sizeof *sum) : NULL;
    bool ok = true;
    for (size_t r = 0; ok && r < rows; r++) {
        const float *from = t->data + (t->row ? t->row(t, r) : r) * t->cols;
        for (size_t i = 0; sum && i < t->cols; i++) sum[i] = from[i] + t->plus;
        size_t n = gguf_encode(t->type, t->cols, sum ? sum : from, row);
        ok = fwrite(row, 1, n, file) == n;
    }
    free(row);
    free(sum);
    return ok && write_padded(file, "", 0, aligned(bytes) - bytes);
}

bool gguf_write(struct gguf *g, const char *path, struct fail *f) {
    if (!whole_file_prepare(path, f)) return false;
    char *temp = whole_file_temp(path);
    struct str header = header_of(g);
    FILE *file = fopen(temp, "wbe");
    bool ok = file && write_padded(file, header.text, header.length,
                                   aligned(header.length) - header.length);
    for (size_t i = 0; ok && i < g->n; i++) ok = write_tensor(file, &g->tensors[i]);
    int why = errno;
    if (file && fclose(file)) ok = false, why = errno;
    if (!ok) fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(why));
    ok = whole_file_commit(temp, path, f);
    str_release(&header);
    free(temp);
    return ok;
}

struct reading { // of the beginning of a file
    int fd;
    size_t at;
    const char *path;
    struct fail *fail;
};

static bool read_next(struct reading *r, void *to, size_t n) {
    bool ok = input_read_at(r->fd, r->path, to, n, r->at, r->fail);
    r->at += n;
    return ok;
}

static char *read_text(struct reading *r) {
    uint64_t n;
    if (!read_next(r, &n, sizeof n) || n > 1 << 24) return NULL;
    char *text = xcalloc(n + 1, 1);
    if (read_next(r, text, n)) return text;
    free(text);
    return NULL;
}

static char *first_text(struct reading *r, const char *key) {
    char head[24], *name = NULL, *text = NULL;
    uint32_t type = 0;
    if (read_next(r, head, sizeof head) && !memcmp(head, "GGUF", 4)) name = read_text(r);
    if (name && !strcmp(name, key) && read_next(r, &type, sizeof type) && type == V_STRING)
        text = read_text(r);
    free(name);
    return text;
}

char *gguf_first(const char *path, const char *key, struct fail *f) {
    struct fail own = {0}; // of a file that is none of ours
    if (!path_may_write(path, f) || !path_is_there(path, f)) return NULL;
    struct reading r = {input_open(path, &own), 0, path, &own};
    char *text = r.fd >= 0 ? first_text(&r, key) : NULL;
    input_close(r.fd);
    if (own.code == EXIT_FAILED) fail_pass(f, &own);
    return text;
}

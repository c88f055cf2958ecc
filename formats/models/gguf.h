// A GGUF file (version 3), as llama.cpp and its relatives read it: keys and values, then tensors in
// rows. Values and tensors are added in the order of the file; the file is made whole by
// gguf_write.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gguf_type { GGUF_F32 = 0, GGUF_F16 = 1, GGUF_Q8_0 = 8, GGUF_BF16 = 30 }; // of ggml

struct gguf;
struct gguf *gguf_new(void);
void gguf_free(struct gguf *g);
void gguf_text(struct gguf *g, const char *key, const char *text);
void gguf_size(struct gguf *g, const char *key, size_t value); // uint32
void gguf_real(struct gguf *g, const char *key, double value); // float32
void gguf_flag(struct gguf *g, const char *key, bool value);
void gguf_texts(struct gguf *g, const char *key, size_t n, char *const *texts);
void gguf_sizes(struct gguf *g, const char *key, size_t n, const int32_t *values); // int32
void gguf_reals(struct gguf *g, const char *key, size_t n, const float *values);

struct gguf_tensor {
    char name[64];
    size_t rows, cols; // rows 0: a vector
    enum gguf_type type;
    const float *data;
    // The row of data that is row r of the file; NULL: r itself. `heads`, `dim` are its own.
    size_t (*row)(const struct gguf_tensor *t, size_t r);
    size_t heads, dim;
    float plus; // added to every number
};
// A matrix in q8_0 whose columns are no multiple of 32 becomes f16, as llama.cpp does.
void gguf_add(struct gguf *g, const struct gguf_tensor *t);
// Whole or not at all. EXIT_FAILED.
bool gguf_write(struct gguf *g, const char *path, struct fail *f);
// The text of the first key of the file `path`, where it is `key`; NULL: it is not, or, with f set
// (EXIT_FAILED), it cannot be read or is no place for an output. free() it.
char *gguf_first(const char *path, const char *key, struct fail *f);

// n numbers in their type; q8_0: n is a multiple of 32. Returns the bytes.
size_t gguf_encode(enum gguf_type type, size_t n, const float *x, void *to);

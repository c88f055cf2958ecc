// safetensors: tensors of a Hugging Face model, memory-mapped. A folder holds model.safetensors or
// a set that model.safetensors.index.json lists; a single file may be named directly.
//
// Everything in a header is checked before use, as the format demands: at most 100 MB, no duplicate
// names (within or across files), shapes that do not overflow and agree with their byte ranges,
// ranges that lie inside the file and cover it without overlap or hole. Types: F32, F16, BF16; a
// tensor of another type is listed, but reading it fails.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum safe_type { SAFE_F32, SAFE_F16, SAFE_BF16, SAFE_OTHER };
enum { SAFE_RANK = 8 };

struct safe_tensor {
    char *name;
    enum safe_type type;
    char type_name[16];
    size_t rank, shape[SAFE_RANK], count; // count: numbers in it
    const unsigned char *data;            // inside the mapping, perhaps unaligned
    size_t bytes;
};

struct safetensors {
    size_t n, capacity;
    struct safe_tensor *tensors; // sorted by name
    size_t n_maps;
    struct safe_map {
        unsigned char *base;
        size_t size;
    } * maps;
};

bool safetensors_open(struct safetensors *s, const char *path, struct fail *f);
const struct safe_tensor *safetensors_find(const struct safetensors *s, const char *name);
// Converts to float32; to (count). Its pages are given back. Uses all threads.
bool safetensors_read(const struct safe_tensor *t, float *to, struct fail *f);
// "(2048, 128)"
void safetensors_shape(const struct safe_tensor *t, char *text, size_t size);
void safetensors_close(struct safetensors *s);

// Writing: one file, the tensors in the order given, header padded to 8 bytes. BF16 rounds to
// nearest even. The file is made under path itself: the caller gives a name nobody reads yet.
struct safe_source {
    const char *name;
    size_t rank, shape[SAFE_RANK];
    const float *data;
};
bool safetensors_write(const char *path, enum safe_type type, size_t n,
                       const struct safe_source *tensors, struct fail *f);
size_t safetensors_type_size(enum safe_type type); // bytes of a number

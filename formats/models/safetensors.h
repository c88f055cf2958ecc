// safetensors: tensors of a Hugging Face model. A folder holds model.safetensors or a set that
// model.safetensors.index.json lists; a single file may be named directly. Opening reads the
// headers; no file stays open, for a model may be of hundreds. Nothing is memory-mapped: a mapped
// file that is cut short or cannot be read ends the program by a signal.
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
#include <sys/stat.h>

enum safe_type { SAFE_F32, SAFE_F16, SAFE_BF16, SAFE_OTHER };
enum { SAFE_RANK = 8 };

struct safe_tensor {
    char *name;
    enum safe_type type;
    char type_name[16];
    size_t rank, shape[SAFE_RANK], count; // count: numbers in it
    const struct safe_file *file;
    size_t offset, bytes; // in the file
};

struct safetensors {
    size_t n, capacity;
    struct safe_tensor *tensors; // sorted by name
    size_t n_files;
    struct safe_file **files;
};
struct safe_file {
    char *path;
    struct stat as_opened; // a file that was replaced since is refused
};

bool safetensors_open(struct safetensors *s, const char *path, struct fail *f);
const struct safe_tensor *safetensors_find(const struct safetensors *s, const char *name);
// Converts to float32; to (count), or (n) from number `first` on. Uses all threads.
bool safetensors_read(const struct safe_tensor *t, float *to, struct fail *f);
bool safetensors_read_part(const struct safe_tensor *t, size_t first, size_t n, float *to,
                           struct fail *f);
// Whether they have the same type and bytes; false with f set where they cannot be read.
bool safetensors_same(const struct safe_tensor *a, const struct safe_tensor *b, struct fail *f);
// "(2048, 128)"
void safetensors_shape(const struct safe_tensor *t, char *text, size_t size);
void safetensors_close(struct safetensors *s);

// Writing: one file, the tensors in the order given, header padded to 8 bytes. F16 and BF16 round
// to nearest even. The file is made under path itself: the caller gives a name nobody reads yet.
struct safe_source {
    const char *name;
    size_t rank, shape[SAFE_RANK];
    const float *data;
};
bool safetensors_write(const char *path, enum safe_type type, size_t n,
                       const struct safe_source *tensors, struct fail *f);
size_t safetensors_type_size(enum safe_type type); // bytes of a number

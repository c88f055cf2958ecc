// The group /weights of the kinds model and adapter: one contiguous dataset for each tensor of a
// table, float32 or (matrices only) bf16, and their lines in the text of content_hash. That is of
// the numbers, as float32: which of the two holds them makes no difference to it. Numbers come and
// go a block at a time, so that a model of any size passes through.
#pragma once
#include "common/base/mem.h"
#include "common/engine/model.h"
#include "formats/bytes/hash.h"
#include "formats/store/h5.h"

struct tensor_source { // where the numbers to be written come from
    // Numbers first .. first+n-1 of a tensor, whole rows; false with a failure in f.
    bool (*read)(void *self, const struct tensor *t, size_t first, size_t n, float *to,
                 struct fail *f);
    void *self;
    bool bf16; // matrices are rounded to bf16, and stored so
};
// Out of a flat buffer of the table's layout.
struct tensor_source tensor_source_flat(const float *values);
size_t tensor_block(const struct tensor *t); // numbers that are read or written at once: whole rows
size_t tensor_largest_block(const struct tensor *all, size_t n);
// hash: of each tensor's numbers, in the table's order; the lines are sorted by name.
void tensor_file_digest(const struct tensor *t, size_t n, const struct hash128 *hash,
                        struct str *digest);
// Writes the group. hash (n): of the numbers as they were written.
void tensor_file_write(struct h5 *h, const struct tensor *t, size_t n,
                       const struct tensor_source *from, struct hash128 *hash);
// Numbers first .. first+n-1 of a tensor, whole rows, of either type.
bool tensor_file_read(struct h5 *h, const struct tensor *t, size_t first, size_t n, float *to);
// Whether the group has these tensors, of these shapes, and no others; bf16: of either type.
bool tensor_file_check(struct h5 *h, const char *path, const struct tensor *t, size_t n, bool bf16);
// No number is a NaN or infinite.
bool tensor_file_finite(const float *x, size_t n);

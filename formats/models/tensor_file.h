// The group /weights of the kinds model and adapter: one contiguous float32 dataset for each tensor
// of a table, and their lines in the text of content_hash.
#pragma once
#include "common/base/mem.h"
#include "common/engine/model.h"
#include "formats/bytes/hash.h"
#include "formats/store/h5.h"

struct h5_shape tensor_file_shape(const struct tensor *t);
// hash: of each tensor's numbers, in the table's order; the lines are sorted by name.
void tensor_file_digest(const struct tensor *t, size_t n, const struct hash128 *hash,
                        struct str *digest);
void tensor_file_write(struct h5 *h, const struct tensor *t, size_t n, const float *values);
// Whether the group has these tensors, of these shapes, and no others.
bool tensor_file_check(struct h5 *h, const char *path, const struct tensor *t, size_t n);
// No number is a NaN or infinite.
bool tensor_file_finite(const float *x, size_t n);

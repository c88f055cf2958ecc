// libhdf5 behind a handle with a sticky error: the only file that includes hdf5.h.
//
// The first failure goes to the `struct fail` given at open and every later call does nothing and
// returns false; h5_close reports. A NULL handle (open failed) is accepted everywhere. Reading
// failures are EXIT_BADDATA, writing failures EXIT_FAILED. Files are written with format bounds
// V110, whose metadata carries checksums, without times, locks or variable-length strings, so that
// the same calls give the same bytes. Filter 32015 (zfilter.h) is registered here; no plugin is
// ever loaded on behalf of a file. Not for several threads at once.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// H5_BF16 is a floating-point type of libhdf5 like any other: h5py reads it as float32. In memory
// it is the upper 16 bits of a float.
enum h5_type { H5_INT32, H5_UINT8, H5_UINT16, H5_FLOAT32, H5_FLOAT64, H5_BF16, H5_FOREIGN };
size_t h5_size(enum h5_type type);           // bytes an element
const char *h5_type_name(enum h5_type type); // "int32" ...

struct h5_shape {
    enum h5_type type; // H5_FOREIGN: one we never write
    int rank;          // 1 or 2
    size_t dims[2];    // dims[1] is 1 where rank is 1
    size_t count;      // elements in all
    size_t chunk;      // elements a chunk; 0: contiguous
    int level;         // zstd's, of a chunked one
    size_t stored;     // bytes in the file, where it was read
};

struct h5;
struct h5 *h5_create(const char *path, struct fail *f); // truncates
struct h5 *h5_open(const char *path, struct fail *f);   // to read
bool h5_close(struct h5 *h);                            // whether everything since open went well
struct fail *h5_fail(struct h5 *h);
const char *h5_path(const struct h5 *h);

// Says why a file cannot be opened (open for writing elsewhere, damaged, of another kind); false.
bool h5_refuse(const char *path, bool is_hdf5, struct fail *f);

// Root attributes. Texts are fixed-length UTF-8. The get functions return false or NULL, without a
// failure, where there is none; one of another type is a failure. free() the text.
// One that is there already gets the new value, a text only of the same length.
bool h5_put_text(struct h5 *h, const char *name, const char *text);
bool h5_put_int(struct h5 *h, const char *name, int64_t value);
bool h5_put_real(struct h5 *h, const char *name, double value);
char *h5_get_text(struct h5 *h, const char *name);
bool h5_is_text(struct h5 *h, const char *name); // there is one and it is a text, a real
bool h5_is_real(struct h5 *h, const char *name);
bool h5_get_int(struct h5 *h, const char *name, int64_t *value);
bool h5_get_real(struct h5 *h, const char *name, double *value);

// Names in the order of strcmp: root attributes, or the members of a group. h5_names_free them.
char **h5_attributes(struct h5 *h, size_t *n);
char **h5_members(struct h5 *h, const char *group, size_t *n);
void h5_names_free(char **names, size_t n);
struct h5_names { // as they come
    char **items;
    size_t n, capacity;
};
void h5_names_add(struct h5_names *names, const char *name);
char **h5_names_sorted(struct h5_names *names, size_t *n); // takes the items

// Datasets. h5_shape: false, without a failure, where there is none of that name.
bool h5_group(struct h5 *h, const char *name);
bool h5_shape(struct h5 *h, const char *name, struct h5_shape *s);
bool h5_write(struct h5 *h, const char *name, const struct h5_shape *s, const void *data);
// The same in parts: elements first .. first+n-1, in two dimensions whole rows.
bool h5_begin(struct h5 *h, const char *name, const struct h5_shape *s);
bool h5_rows_write(struct h5 *h, size_t first, size_t n, const void *data);
bool h5_end(struct h5 *h);
// Elements first .. first+n-1; of a two-dimensional dataset whole rows.
bool h5_read(struct h5 *h, const char *name, size_t first, size_t n, void *to);

// Between h5_begin and h5_end of a one-dimensional chunked dataset (s->chunk), shuffled where
// elements have several bytes, zstd, Fletcher32: its chunks, encoded by zfilter_encode, in order.
bool h5_chunks_write(struct h5 *h, size_t chunk, const void *bytes, size_t n);

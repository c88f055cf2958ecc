// What the .c files of h5.h share; for nobody else.
#pragma once
#include "formats/store/h5.h"

struct h5 {
    int64_t file; // as libhdf5 counts its objects
    char *path;
    bool writing;
    struct fail *fail;
    int64_t open; // the dataset used last, 0: none
    char *open_name;
    struct h5_shape shape; // of it
    size_t held;           // its chunk that is in `chunk`, from 1 on; 0: none
    void *chunk;
};

struct h5 *h5_handle(int64_t file, const char *path, bool writing, struct fail *f);
bool h5_alive(const struct h5 *h);
bool h5_damaged(struct h5 *h, const char *what, const char *name); // false, with the failure set
// The current dataset: a chunk into h->chunk; elements first .. first+n-1 of one without chunks,
// to be read or written.
bool h5_read_chunk(struct h5 *h, size_t chunk);
bool h5_rows(struct h5 *h, bool write, size_t first, size_t n, void *data);
// The error number that a line of libhdf5's error stack quotes; 0: none.
// The errno behind what libhdf5 failed at since this was asked last; 0: the file itself is at
// fault.
int h5_cause(void);
int h5_errno_in(const char *text);

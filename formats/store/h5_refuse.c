// Why a file cannot be opened as HDF5; see formats/store/h5.h.
#include "formats/bytes/file_kind.h"
#include "formats/store/h5.h"
#include <stdio.h>
#include <string.h>

// Whether the superblock (version 3, "file consistency flags") says that a writer has the file
// open: libhdf5 refuses such a file although it may be whole.
static bool left_open(const char *path) {
    enum { VERSION = 8, FLAGS = 11, WRITING = 1 | 4 }; // 4: one writer, many readers
    unsigned char head[12] = {0};
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(head, 1, sizeof head, file) : 0;
    if (file) fclose(file);
    return n == sizeof head && !memcmp(head, "\x89HDF\r\n\x1a\n", 8) && head[VERSION] == 3 &&
           head[FLAGS] & WRITING;
}

bool h5_refuse(const char *path, bool is_hdf5, struct fail *f) {
    if (left_open(path))
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is open for writing in another program, or was when that ended: "
                        "close it there; if nothing has it open, h5clear -s '%s' takes the mark "
                        "away",
                        path, path);
    if (is_hdf5)
        return fail_set(f, EXIT_BADDATA, "'%s' is damaged or cut short; make it again", path);
    if (!file_kind_foreign(path, f)) return false;
    return fail_set(f, EXIT_BADDATA, "'%s' is not an HDF5 file; text goes through tokenize", path);
}

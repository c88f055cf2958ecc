// The identity of an input file; see formats/bytes/stream.h.
#include "formats/bytes/file_kind.h"
#include "formats/bytes/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool stream_hash(const char *path, struct hash128 *hash, struct fail *f) {
    struct stat st;
    if (f->code || !file_kind_no_folder(path, f)) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool fine = fd >= 0 && !fstat(fd, &st);
    if (fine && !S_ISREG(st.st_mode))
        fine = (errno = ESPIPE, false);
    size_t n = fine ? (size_t)st.st_size : 0;
    void *bytes = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (bytes == MAP_FAILED) fine = false;
    if (!fine)
        fail_set(f, EXIT_BADDATA, "cannot read '%s': %s", path, strerror(errno));
    else
        *hash = hash_bytes(n ? bytes : "", n);
    if (n && fine) munmap(bytes, n);
    if (fd >= 0) close(fd);
    return fine;
}

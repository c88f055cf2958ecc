#include "formats/bytes/whole_file.h"
#include "formats/store/artefact.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool whole_file_write(const char *path, const void *bytes, size_t n, struct fail *f) {
    if (!artefact_prepare(path, f)) return false;
    char *temp = artefact_temp(path);
    FILE *out = fopen(temp, "wb");
    bool ok = out && fwrite(bytes, 1, n, out) == n;
    if (out && fclose(out) != 0) ok = false;
    if (!ok) {
        fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(errno));
        remove(temp);
    } else {
        artefact_commit(temp, path, f);
    }
    free(temp);
    return !f->code;
}

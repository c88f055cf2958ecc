#include "common/base/path.h"
#include "common/base/mem.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *path_kind(mode_t mode) {
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a FIFO or pipe";
    if (S_ISSOCK(mode)) return "a socket";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    return "a regular file";
}

bool path_is_there(const char *path, struct fail *f) {
    if (f->code) return false;
    if (!access(path, F_OK)) return true;
    if (fail_code_of(errno) == EXIT_FAILED)
        fail_set(f, EXIT_FAILED, "cannot open '%s': %s", path, strerror(errno));
    return false;
}

bool path_may_write(const char *path, struct fail *f) {
    struct stat st;
    if (f->code) return false;
    if (stat(path, &st) || S_ISREG(st.st_mode)) return true;
    return fail_set(f, EXIT_FAILED, "cannot write '%s': it is %s; name a file", path,
                    path_kind(st.st_mode));
}

char *path_part(const char *path, const char *part) {
    int stem = (int)strlen(path) - (text_ends(path, ".h5") ? 3 : 0);
    return xasprintf("%.*s.%s%s", stem, path, part, path + stem);
}

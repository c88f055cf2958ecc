#include "common/base/outputs.h"
#include "common/base/mem.h"
#include <stdlib.h>
#include <sys/stat.h>

// What one command line says, like the options themselves.
static struct {
    struct identity {
        dev_t device;
        ino_t number;
    } * input;
    size_t n, capacity;
    bool keep;
} outputs;

void outputs_forget(void) {
    free(outputs.input);
    outputs.input = NULL;
    outputs.n = outputs.capacity = 0;
    outputs.keep = false;
}

void outputs_protect(const char *input) {
    struct stat st;
    if (!input || stat(input, &st) || !S_ISREG(st.st_mode)) return;
    grow(&outputs.input, &outputs.capacity, outputs.n + 1, sizeof *outputs.input);
    outputs.input[outputs.n++] = (struct identity){st.st_dev, st.st_ino};
}

void outputs_keep_existing(void) {
    outputs.keep = true;
}

bool outputs_may_renew(const char *path, struct fail *f) {
    struct stat st;
    if (f->code) return false;
    if (stat(path, &st)) return true;
    for (size_t i = 0; i < outputs.n; i++)
        if (outputs.input[i].device == st.st_dev && outputs.input[i].number == st.st_ino)
            return fail_set(f, EXIT_USAGE,
                            "'%s' is to be written, but it is also an input; name another output",
                            path);
    return true;
}

bool outputs_may_write(const char *path, struct fail *f) {
    struct stat st;
    if (!outputs_may_renew(path, f)) return false;
    return !outputs.keep || lstat(path, &st) ||
           fail_set(f, EXIT_FAILED, "'%s' exists and --no-clobber was given", path);
}

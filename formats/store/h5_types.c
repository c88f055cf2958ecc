// The parts of h5.h that need no libhdf5.
#include "common/base/mem.h"
#include "formats/store/h5.h"
#include "formats/store/h5_private.h"
#include <stdlib.h>
#include <string.h>

size_t h5_size(enum h5_type type) {
    static const size_t size[] = {4, 1, 2, 4, 8, 2, 0};
    return size[type];
}

const char *h5_type_name(enum h5_type type) {
    static const char *const name[] = {"int32",   "uint8", "uint16", "float32",
                                       "float64", "bf16",  "foreign"};
    return name[type];
}

struct h5 *h5_handle(int64_t file, const char *path, bool writing, struct fail *f) {
    struct h5 *h = xcalloc(1, sizeof *h);
    *h = (struct h5){.file = file, .path = xstrdup(path), .writing = writing, .fail = f};
    return h;
}

bool h5_alive(const struct h5 *h) {
    return h && !h->fail->code;
}

bool h5_damaged(struct h5 *h, const char *what, const char *name) {
    int error = h5_cause();
    if (error && fail_code_of(error) == EXIT_FAILED)
        return fail_set(h->fail, EXIT_FAILED, "cannot read '%s': %s", h->path, strerror(error));
    return fail_set(h->fail, EXIT_BADDATA, "'%s' is damaged: %s '%s' cannot be read", h->path, what,
                    name);
}

struct fail *h5_fail(struct h5 *h) {
    return h->fail;
}

const char *h5_path(const struct h5 *h) {
    return h->path;
}

int h5_errno_in(const char *text) {
    const char *quoted = text ? strstr(text, "errno = ") : NULL;
    return quoted ? atoi(quoted + 8) : 0;
}

void h5_names_add(struct h5_names *names, const char *name) {
    grow(&names->items, &names->capacity, names->n + 1, sizeof *names->items);
    names->items[names->n++] = xstrdup(name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **h5_names_sorted(struct h5_names *names, size_t *n) {
    if (names->n) qsort(names->items, names->n, sizeof *names->items, by_name);
    *n = names->n;
    return names->items;
}

void h5_names_free(char **names, size_t n) {
    for (size_t i = 0; i < n; i++) free(names[i]);
    free(names);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
// libhdf5 loses memory of its own where it refuses a damaged file.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) {
    return "print_suppressions=0"; // a message stays one line
}
#endif

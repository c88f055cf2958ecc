#include "common/base/options.h"
#include "common/base/outputs.h"
#include <string.h>
#include <sys/stat.h>

// Two names of one regular file, which need not have the same text; or one name of a file to be.
static bool same_file(const char *a, const char *b) {
    struct stat sa, sb;
    if (!strcmp(a, "-") || !strcmp(b, "-")) return false;
    if (stat(a, &sa) || stat(b, &sb)) return !strcmp(a, b);
    return S_ISREG(sa.st_mode) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool read_and_written(const struct opt_row *output, const char *path, const char *by,
                             struct fail *f) {
    const char *written = *(const char **)output->to;
    if (!path || !same_file(written, path)) return true;
    return fail_set(f, EXIT_USAGE,
                    "'%s' is to be written as --%s, but it is also %s%s; name another", written,
                    output->name, *by ? "--" : "an input", by);
}

static bool check_output(const struct options *o, size_t output, const struct opt_list *rest,
                         struct fail *f) {
    const struct opt_row *row = &o->rows[output];
    for (size_t i = 0; i < o->n && !f->code; i++) {
        const struct opt_row *other = &o->rows[i];
        const struct opt_list *list = other->to;
        bool counts = other->class == OPT_INPUT || (other->class == OPT_OUTPUT && i > output);
        if (counts && other->type == OPT_TEXT)
            read_and_written(row, *(const char **)other->to, other->name, f);
        for (size_t k = 0; counts && other->type == OPT_LIST && k < list->n; k++)
            read_and_written(row, list->items[k], other->name, f);
    }
    for (size_t k = 0; rest && k < rest->n; k++) read_and_written(row, rest->items[k], "", f);
    return !f->code;
}

static void protect(const struct options *o, const struct opt_list *rest) {
    for (size_t i = 0; i < o->n; i++) {
        const struct opt_row *row = &o->rows[i];
        const struct opt_list *list = row->to;
        bool reads = row->class == OPT_INPUT;
        if (reads && row->type == OPT_TEXT) outputs_protect(*(const char **)row->to);
        for (size_t k = 0; reads && row->type == OPT_LIST && k < list->n; k++)
            outputs_protect(list->items[k]);
    }
    for (size_t k = 0; rest && k < rest->n; k++) outputs_protect(rest->items[k]);
}

static bool is_on(const struct options *o, const char *name) { // a flag
    for (size_t i = 0; i < o->n; i++)
        if (!strcmp(o->rows[i].name, name)) return *(const bool *)o->rows[i].to;
    return false;
}

bool options_check_files(const struct options *o, const struct opt_list *rest, struct fail *f) {
    for (size_t i = 0; i < o->n && !f->code; i++)
        if (o->rows[i].class == OPT_OUTPUT && *(const char **)o->rows[i].to)
            check_output(o, i, rest, f);
    outputs_forget();
    protect(o, rest);
    bool keeps = is_on(o, "no-clobber");
    if (keeps && is_on(o, "force"))
        fail_set(f, EXIT_USAGE, "--force and --no-clobber are both given; choose one");
    if (keeps) outputs_keep_existing();
    return !f->code;
}

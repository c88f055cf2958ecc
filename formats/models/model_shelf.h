// The models that a command only runs, opened so that weights are in memory once: two files of one
// model, or adapters on one base, share them. The base of an adapter is looked for, by its content
// hash, among the models that were opened, then in the files that were offered (the command's other
// models, --base-model).
#pragma once
#include "common/base/options.h"
#include "formats/models/adapter_file.h"

enum { SHELF_PATHS = 16 };
struct model_shelf {
    const char *base; // --base-model; NULL: not given
    // internal
    size_t n_paths, n;
    const char *path[SHELF_PATHS];
    struct model_file *items;
    bool *bf16; // of each item
};
void model_shelf_row(struct options *o, struct model_shelf *s); // --base-model FILE
// `path` may be the base of an adapter that is opened later; NULL is fine, it must outlive s.
void model_shelf_offer(struct model_shelf *s, const char *path);
// A model or an adapter; `m` is the caller's, to be released in any order. EXIT_BADDATA where an
// adapter's base is not there.
bool model_shelf_load(struct model_shelf *s, const char *path, bool bf16, struct model_file *m,
                      struct fail *f);
void model_shelf_trim(struct model_shelf *s); // frees weights that nobody else holds
void model_shelf_release(struct model_shelf *s);

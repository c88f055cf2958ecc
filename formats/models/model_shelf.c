#include "formats/models/model_shelf.h"
#include "common/base/mem.h"
#include <stdlib.h>
#include <string.h>

void model_shelf_row(struct options *o, struct model_shelf *s) {
    const struct opt_row row[] = {
        {"base-model", OPT_TEXT, OPT_INPUT, &s->base, .metavar = "FILE",
         .help = "the model that adapters belong to, where it is none of the other models"},
    };
    options_add(o, row, 1);
}

void model_shelf_offer(struct model_shelf *s, const char *path) {
    for (size_t i = 0; path && i < s->n_paths; i++)
        if (!strcmp(s->path[i], path)) return;
    if (path && s->n_paths < SHELF_PATHS) s->path[s->n_paths++] = path;
}

static struct model_file *find(const struct model_shelf *s, struct hash128 content, bool bf16) {
    for (size_t i = 0; i < s->n; i++)
        if (hash_equal(s->items[i].content, content) && s->bf16[i] == bf16) return &s->items[i];
    return NULL;
}

static struct model_file *put(struct model_shelf *s, const char *path, bool bf16, struct fail *f) {
    struct model_file m;
    if (!model_file_load_frozen(path, bf16, &m, f)) return NULL;
    s->items = xrealloc(s->items, (s->n + 1) * sizeof *s->items);
    s->bf16 = xrealloc(s->bf16, (s->n + 1) * sizeof *s->bf16);
    s->items[s->n] = m;
    s->bf16[s->n] = bf16;
    return &s->items[s->n++];
}

// A file that is no model is not the one; one that the machine cannot read may be.
static bool is(const char *path, struct hash128 content, struct fail *f) {
    struct fail other = {0};
    struct artefact a;
    if (!artefact_read(path, "model", &a, &other)) {
        if (other.code == EXIT_FAILED) fail_pass(f, &other);
        return false;
    }
    bool same = hash_equal(a.content, content);
    artefact_release(&a);
    return same;
}

static struct model_file *find_base(struct model_shelf *s, const char *adapter, bool bf16,
                                    struct fail *f) {
    struct hash128 base;
    char wanted[33], given[33];
    if (!adapter_file_base(adapter, &base, f)) return NULL;
    struct model_file *found = find(s, base, bf16);
    model_shelf_offer(s, s->base);
    for (size_t i = 0; !found && !f->code && i < s->n_paths; i++)
        if (is(s->path[i], base, f)) return put(s, s->path[i], bf16, f);
    if (found || f->code) return found;
    hash_text(base, wanted);
    struct artefact a;
    struct fail none = {0};
    if (s->base && artefact_read(s->base, NULL, &a, &none)) {
        hash_text(a.content, given);
        artefact_release(&a);
        fail_set(f, EXIT_BADDATA,
                 "'%s' is an adapter of the model %s, and --base-model '%s' is %s; give its own "
                 "base",
                 adapter, wanted, s->base, given);
    } else {
        fail_set(f, EXIT_BADDATA,
                 "'%s' is an adapter of the model %s, which is none of the models given; name its "
                 "file with --base-model",
                 adapter, wanted);
    }
    return NULL;
}

bool model_shelf_load(struct model_shelf *s, const char *path, bool bf16, struct model_file *m,
                      struct fail *f) {
    struct artefact a;
    *m = (struct model_file){0};
    if (!artefact_read(path, NULL, &a, f)) return false;
    bool adapter = !strcmp(a.kind, "adapter");
    struct model_file *from = adapter ? NULL : find(s, a.content, bf16);
    artefact_release(&a);
    if (!from) from = adapter ? find_base(s, path, bf16, f) : put(s, path, bf16, f);
    if (!from) return false;
    model_share(&m->model, &from->model);
    model_file_copy_texts(m, from);
    if (adapter && !adapter_file_load(path, m, f)) model_file_release(m);
    return !f->code;
}

void model_shelf_trim(struct model_shelf *s) {
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct sharing *with = s->items[i].model.sharing;
        if (!with || with->models == 1) {
            model_file_release(&s->items[i]);
            continue;
        }
        s->items[kept] = s->items[i];
        s->bf16[kept++] = s->bf16[i];
    }
    s->n = kept;
}

void model_shelf_release(struct model_shelf *s) {
    for (size_t i = 0; i < s->n; i++) model_file_release(&s->items[i]);
    free(s->items);
    free(s->bf16);
    s->items = NULL;
    s->bf16 = NULL;
    s->n = s->n_paths = 0;
}

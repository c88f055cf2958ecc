#include "formats/models/hf_export.h"
#include "common/base/path.h"
#include "formats/models/hf_card.h"
#include "formats/models/hf_texts.h"
#include "formats/bytes/slurp.h"
#include "formats/bytes/whole_folder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char mark[] = "aligndistil.json";

// ---- folders ------------------------------------------------------------------------------------

static bool is_ours(const char *name) {
    static const char *const names[] = {"README.md",
                                        "aligndistil.json",
                                        "chat_template.jinja",
                                        "config.json",
                                        "generation_config.json",
                                        "model.safetensors",
                                        "model.safetensors.index.json",
                                        "special_tokens_map.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return !fnmatch("model-*-of-*.safetensors", name, 0);
}

static bool is_empty(const char *path) {
    DIR *d = opendir(path);
    size_t n = 0;
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return d && n <= 2;
}

// NULL: no such export there.
static char *read_mark(const char *folder, struct fail *f) {
    size_t n;
    struct stat st;
    if (stat(folder, &st) || !S_ISDIR(st.st_mode)) return NULL;
    char *path = xasprintf("%s/%s", folder, mark), *text = slurp_optional(path, 1 << 24, &n, f);
    free(path);
    return text;
}

static bool replaceable(const char *folder, struct fail *f) {
    struct stat st;
    if (lstat(folder, &st) || !S_ISDIR(st.st_mode)) return true; // or is refused as it is opened
    char *text = read_mark(folder, f);
    bool ours = text || is_empty(folder);
    free(text);
    return ours ||
           fail_set(f, EXIT_FAILED, "'%s' exists and is no export of ours; name another", folder);
}

bool hf_export_current(const struct hf_export *x, bool no_clobber, struct fail *f) {
    whole_folder_repair(x->folder, is_ours);
    char *have = read_mark(x->folder, f), *want = hf_mark(x->lineage, x->folder, is_ours, f);
    bool same = have && !strcmp(have, want);
    bool exists = path_is_there(x->folder, f) && !is_empty(x->folder);
    free(have);
    free(want);
    if (!same && exists && no_clobber)
        fail_set(f, EXIT_FAILED, "'%s' exists; drop --no-clobber to replace it", x->folder);
    return same && !f->code;
}

// ---- files --------------------------------------------------------------------------------------

static bool write_made(const char *folder, const char *name, char *text, struct fail *f) {
    bool ok = whole_folder_text(folder, name, text, f);
    free(text);
    return ok;
}

static size_t tensor_bytes(const struct tensor *t, enum safe_type type) {
    return t->rows * t->cols * safetensors_type_size(type);
}

// Tensors first .. return value - 1 go into one file.
static size_t shard_end(const struct model *m, const struct hf_export *x, size_t first) {
    size_t i = first, bytes = 0;
    do bytes += tensor_bytes(&m->tensors[i++], x->type);
    while (i < m->n_tensors && bytes + tensor_bytes(&m->tensors[i], x->type) <= x->shard_bytes);
    return i;
}

static bool write_shard(const char *path, enum safe_type type, const struct model *m, size_t first,
                        size_t end, struct fail *f) {
    struct safe_source *s = xcalloc(end - first, sizeof *s);
    for (size_t i = first; i < end; i++) {
        const struct tensor *t = &m->tensors[i];
        s[i - first] = (struct safe_source){
            t->name, t->vector ? 1 : 2, {t->rows, t->cols}, m->params + t->offset};
        if (t->vector) s[i - first].shape[0] = t->cols;
    }
    bool ok = safetensors_write(path, type, end - first, s, f);
    free(s);
    return ok;
}

static size_t count_shards(const struct model *m, const struct hf_export *x) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_tensors; n++) i = shard_end(m, x, i);
    return n;
}

static void index_add(struct str *index, const struct model *m, size_t first, size_t end,
                      const char *file) {
    for (size_t i = first; i < end; i++)
        str_printf(index, "%s\n    \"%s\": \"%s\"", i ? "," : "", m->tensors[i].name, file);
}

static bool write_weights(const struct hf_export *x, const char *folder, const struct model *m,
                          struct fail *f) {
    size_t shards = count_shards(m, x), total = 0, first = 0;
    struct str index = {0};
    for (size_t i = 0; i < m->n_tensors; i++) total += tensor_bytes(&m->tensors[i], x->type);
    str_printf(&index, "{\n  \"metadata\": {\"total_size\": %zu},\n  \"weight_map\": {", total);
    for (size_t k = 0; k < shards && !f->code; k++) {
        char *name = shards == 1 ? xstrdup("model.safetensors")
                                 : xasprintf("model-%05zu-of-%05zu.safetensors", k + 1, shards);
        char *path = xasprintf("%s/%s", folder, name);
        size_t end = shard_end(m, x, first);
        write_shard(path, x->type, m, first, end, f);
        index_add(&index, m, first, end, name);
        first = end;
        free(path);
        free(name);
    }
    str_puts(&index, "\n  }\n}\n");
    if (shards > 1) whole_folder_text(folder, "model.safetensors.index.json", index.text, f);
    str_release(&index);
    return !f->code;
}

static bool write_all(const struct hf_export *x, const char *folder, const struct model_file *m,
                      const struct artefact *from, struct fail *f) {
    static const char *const type_name[] = {
        [SAFE_F32] = "float32", [SAFE_F16] = "float16", [SAFE_BF16] = "bfloat16"};
    char *config = hf_config_text(m, type_name[x->type], f);
    if (!config) return false;
    write_made(folder, "config.json", config, f);
    whole_folder_text(folder, "tokenizer.json", m->tokenizer_json, f);
    write_made(folder, "tokenizer_config.json", hf_tokenizer_config_text(m, f), f);
    write_made(folder, "special_tokens_map.json", hf_special_tokens_text(m, f), f);
    write_made(folder, "generation_config.json", hf_generation_config_text(m, f), f);
    whole_folder_text(folder, "chat_template.jinja",
                      hf_template_is_apart(m, f) ? m->chat_template : NULL, f);
    write_made(folder, "README.md", hf_card_text(m, from, f), f);
    write_weights(x, folder, &m->model, f);
    return write_made(folder, mark, hf_mark(x->lineage, folder, is_ours, f), f);
}

bool hf_export_write(const struct hf_export *x, const struct model_file *m,
                     const struct artefact *from, struct fail *f) {
    struct whole_folder w;
    if (f->code || !replaceable(x->folder, f)) return false;
    if (!whole_folder_open(&w, x->folder, is_ours, f)) return false;
    write_all(x, w.partial, m, from, f);
    return whole_folder_commit(&w, f);
}

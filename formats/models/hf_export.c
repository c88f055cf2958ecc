#include "formats/models/hf_export.h"
#include "formats/models/export_folder.h"
#include "formats/models/hf_card.h"
#include "formats/models/hf_reader.h"
#include "formats/models/hf_texts.h"
#include <fnmatch.h>
#include <stdlib.h>

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
    return hf_listed(name, names, sizeof names / sizeof *names) ||
           !fnmatch("model-*-of-*.safetensors", name, 0);
}

bool hf_export_current(const struct hf_export *x, bool no_clobber, struct fail *f) {
    return export_folder_current(x->folder, is_ours, x->lineage, no_clobber, f);
}

// ---- files --------------------------------------------------------------------------------------

static void write_made(const char *folder, const char *name, char *text, struct fail *f) {
    whole_folder_text(folder, name, text, f);
    free(text);
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

static void write_all(const struct hf_export *x, const char *folder, const struct model_file *m,
                      const struct artefact *from, struct fail *f) {
    static const char *const type_name[] = {
        [SAFE_F32] = "float32", [SAFE_F16] = "float16", [SAFE_BF16] = "bfloat16"};
    char *config = hf_config_text(m, type_name[x->type], f);
    if (!config) return;
    write_made(folder, "config.json", config, f);
    whole_folder_text(folder, "tokenizer.json", m->tokenizer_json, f);
    write_made(folder, "tokenizer_config.json", hf_tokenizer_config_text(m, f), f);
    write_made(folder, "special_tokens_map.json", hf_special_tokens_text(m, f), f);
    write_made(folder, "generation_config.json", hf_generation_config_text(m, f), f);
    whole_folder_text(folder, "chat_template.jinja",
                      hf_template_is_apart(m, f) ? m->chat_template : NULL, f);
    write_made(folder, "README.md", hf_card_text(m, from, f), f);
    write_weights(x, folder, &m->model, f);
}

bool hf_export_write(const struct hf_export *x, const struct model_file *m,
                     const struct artefact *from, struct fail *f) {
    struct whole_folder w;
    if (!export_folder_open(&w, x->folder, is_ours, f)) return false;
    write_all(x, w.partial, m, from, f);
    return export_folder_commit(&w, x->lineage, f);
}

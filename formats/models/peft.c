#include "formats/models/peft.h"
#include "common/base/jsonout.h"
#include "common/engine/adapter.h"
#include "formats/bytes/json.h"
#include "formats/bytes/slurp.h"
#include "formats/bytes/stream.h"
#include "formats/models/export_folder.h"
#include "formats/models/hf_reader.h"
#include "formats/models/safetensors.h"
#include "formats/models/tensor_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- adapter_config.json

// Bookkeeping, and what matters only while an adapter is made or trained.
static const char *const harmless[] = {
    "auto_mapping",        "base_model_name_or_path",
    "inference_mode",      "peft_type",
    "peft_version",        "revision",
    "task_type",           "target_modules",
    "lora_dropout",        "r",
    "lora_alpha",          "use_rslora",
    "runtime_config",      "corda_config",
    "eva_config",          "loftq_config",
    "layers_pattern",      "qalora_group_size",
    "megatron_core",       "exclude_modules",
    "ensure_weight_tying",
};

static bool is_off(const struct json *v) { // null, false, {}, [], "none"
    const char *text = json_text(v, NULL);
    switch (json_type(v)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return !json_bool(v);
    case JSON_STRING:
        return !strcmp(text, "none");
    case JSON_ARRAY:
    case JSON_OBJECT:
        return !json_size(v);
    default:
        return false;
    }
}

// Some ways to begin change the base's weights too, so the adapter alone says little.
static bool begins_apart(const struct json *v) {
    const char *text = json_text(v, NULL);
    return json_type(v) == JSON_BOOL || json_type(v) == JSON_NULL ||
           (text &&
            (!strcmp(text, "gaussian") || !strcmp(text, "orthogonal") || !strcmp(text, "eva")));
}

static bool read_config(const char *path, const struct json *root, struct adapter_config *c,
                        struct fail *f) {
    const char *type = json_text(json_get(root, "peft_type"), NULL);
    if (!type || strcmp(type, "LORA"))
        return fail_set(f, EXIT_BADDATA, "'%s' is of peft_type '%s'; only LORA is supported", path,
                        type ? type : "(missing)");
    for (size_t i = 0; i < json_size(root); i++) {
        const char *key = json_key(root, i);
        const struct json *v = json_value(root, i);
        bool known = hf_listed(key, harmless, sizeof harmless / sizeof *harmless);
        if (known || is_off(v) || (!strcmp(key, "init_lora_weights") && begins_apart(v))) continue;
        return fail_set(f, EXIT_BADDATA, "'%s' uses '%s', which is not supported here", path, key);
    }
    const struct json *rank = json_get(root, "r"), *alpha = json_get(root, "lora_alpha");
    c->rank = json_is_integer(rank) && json_int(rank) > 0 ? (size_t)json_int(rank) : 0;
    c->alpha = json_number(alpha);
    c->dropout = json_number(json_get(root, "lora_dropout"));
    c->rank_stabilised = json_bool(json_get(root, "use_rslora"));
    if (c->rank && c->alpha > 0) return true;
    return fail_set(f, EXIT_BADDATA, "'%s' has no proper 'r' and 'lora_alpha'", path);
}

bool peft_config(const char *text, size_t n, const char *name, struct adapter_config *c,
                 struct fail *f) {
    struct json *root = json_parse(text, n, name, f);
    *c = (struct adapter_config){0};
    bool ok = root && read_config(name, root, c, f);
    json_free(root);
    return ok;
}

// ---- adapter_model.safetensors

// The targets are the modules of layer 0 that have an A.
static void find_targets(const struct safetensors *s, struct adapter_config *c) {
    for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
        char name[128];
        snprintf(name, sizeof name, "base_model.model.model.layers.0.%s.lora_A.weight",
                 adapter_module_name(t));
        c->target[t] = safetensors_find(s, name) != NULL;
    }
}

static bool read_tensors(const struct safetensors *s, const char *path, struct parameters p,
                         struct fail *f) {
    for (size_t i = 0; i < p.n_tensors && !f->code; i++) {
        const struct tensor *t = &p.tensors[i];
        const struct safe_tensor *from = safetensors_find(s, t->name);
        char shape[80] = "nothing";
        if (from) safetensors_shape(from, shape, sizeof shape);
        if (!from || from->rank != 2 || from->shape[0] != t->rows || from->shape[1] != t->cols)
            fail_set(f, EXIT_BADDATA,
                     "'%s' has %s as '%s', and (%zu, %zu) belongs there; is it of another base?",
                     path, shape, t->name, t->rows, t->cols);
        else if (safetensors_read(from, p.values + t->offset, f) &&
                 !tensor_file_finite(p.values + t->offset, from->count))
            fail_set(f, EXIT_BADDATA, "tensor '%s' holds a NaN or an infinity", t->name);
    }
    for (size_t i = 0; i < s->n && !f->code; i++) {
        size_t k = 0;
        while (k < p.n_tensors && strcmp(p.tensors[k].name, s->tensors[i].name)) k++;
        if (k == p.n_tensors)
            fail_set(f, EXIT_BADDATA, "'%s' has a tensor '%s', which no layer of the base takes",
                     path, s->tensors[i].name);
    }
    return !f->code;
}

static bool attach(const char *path, struct adapter_config *c, struct model_file *m,
                   struct fail *f) {
    struct safetensors s = {0};
    char why[200];
    if (!safetensors_open(&s, path, f)) return false;
    find_targets(&s, c);
    if (!adapter_attach(&m->model, c, why, sizeof why))
        fail_set(f, EXIT_BADDATA, "'%s' is no usable adapter: %s", path, why);
    else
        read_tensors(&s, path, m->model.adapter->trained, f);
    safetensors_close(&s);
    return !f->code;
}

static void add_file(struct parents *p, const char *kind, const char *path, struct fail *f) {
    struct hash128 hash;
    if (stream_hash(path, &hash, f)) parents_add(p, kind, hash);
}

bool peft_read(const char *folder, struct model_file *m, struct parents *parents, struct fail *f) {
    char *config = xasprintf("%s/adapter_config.json", folder);
    char *weights = xasprintf("%s/adapter_model.safetensors", folder);
    struct adapter_config c = {0};
    size_t n;
    char *text = slurp(config, 1 << 24, &n, f);
    if (text && peft_config(text, n, config, &c, f) && attach(weights, &c, m, f)) {
        add_file(parents, "config", config, f);
        add_file(parents, "weights", weights, f);
    }
    free(text);
    free(config);
    free(weights);
    return !f->code;
}

// ---- writing

static const char *const ours[] = {"adapter_model.safetensors", "adapter_config.json",
                                   "aligndistil.json"};
enum { OURS = sizeof ours / sizeof *ours, WEIGHTS = 0, CONFIG };

static char *in_folder(const char *folder, const char *name) {
    return xasprintf("%s/%s", folder, name);
}

static bool is_ours(const char *name) {
    return hf_listed(name, ours, OURS);
}

bool peft_current(const struct peft_export *x, bool no_clobber, struct fail *f) {
    return export_folder_current(x->folder, is_ours, x->lineage, no_clobber, f);
}

static char *config_text(const struct peft_export *x, const struct adapter_config *c) {
    struct str s = {0};
    str_puts(&s, "{\n  \"peft_type\": \"LORA\",\n  \"task_type\": \"CAUSAL_LM\",\n"
                 "  \"base_model_name_or_path\": ");
    if (x->base_name)
        jsonout_text(&s, x->base_name);
    else
        str_puts(&s, "null");
    str_printf(&s, ",\n  \"r\": %zu,\n  \"lora_alpha\": ", c->rank);
    jsonout_number(&s, c->alpha);
    str_puts(&s, ",\n  \"lora_dropout\": ");
    jsonout_number(&s, c->dropout);
    str_printf(&s,
               ",\n  \"use_rslora\": %s,\n  \"use_dora\": false,\n  \"bias\": \"none\",\n"
               "  \"fan_in_fan_out\": false,\n  \"inference_mode\": true,\n"
               "  \"init_lora_weights\": true,\n  \"modules_to_save\": null,\n"
               "  \"target_modules\": [",
               c->rank_stabilised ? "true" : "false");
    size_t n = 0;
    for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++)
        if (c->target[t])
            str_printf(&s, "%s\"%s\"", n++ ? ", " : "", strchr(adapter_module_name(t), '.') + 1);
    str_puts(&s, "]\n}\n");
    return s.text;
}

static bool write_weights(const char *folder, const struct parameters *p, struct fail *f) {
    struct safe_source *s = xcalloc(p->n_tensors, sizeof *s);
    for (size_t i = 0; i < p->n_tensors; i++) {
        const struct tensor *t = &p->tensors[i];
        s[i] = (struct safe_source){t->name, 2, {t->rows, t->cols}, p->values + t->offset};
    }
    char *path = in_folder(folder, ours[WEIGHTS]);
    safetensors_write(path, SAFE_F32, p->n_tensors, s, f);
    free(path);
    free(s);
    return !f->code;
}

bool peft_write(const struct peft_export *x, const struct model_file *m, struct fail *f) {
    const struct adapter *a = m->model.adapter;
    struct whole_folder w;
    if (!export_folder_open(&w, x->folder, is_ours, f)) return false;
    char *config = config_text(x, &a->config);
    write_weights(w.partial, &a->trained, f);
    whole_folder_text(w.partial, ours[CONFIG], config, f);
    free(config);
    return export_folder_commit(&w, x->lineage, f);
}

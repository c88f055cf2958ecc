#include "formats/models/hf_texts.h"
#include "common/text/bpe.h"
#include "common/base/jsonout.h"
#include "common/base/version.h"
#include "formats/bytes/json.h"
#include "formats/models/hf_family.h"
#include "formats/models/tokenizer_json.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// ---- config.json --------------------------------------------------------------------------------

struct writer { // members of one object
    struct str *to;
    size_t n;
};

static void key(struct writer *w, const char *name) {
    str_puts(w->to, w->n++ ? ",\n  " : "{\n  ");
    jsonout_text(w->to, name);
    str_puts(w->to, ": ");
}

static void add_number(struct writer *w, const struct json *root, const char *name, int64_t value) {
    if (json_get(root, name)) return;
    key(w, name);
    str_printf(w->to, "%lld", (long long)value);
}

static bool stops_at(const struct json *stops, int32_t id) { // a token, or several
    for (size_t i = 0; i < json_size(stops); i++)
        if (json_int(json_at(stops, i)) == id) return true;
    return json_is_integer(stops) && json_int(stops) == id;
}

// The model's own stop token comes first, as an import takes it, where the others lack it.
static void add_stops(struct writer *w, const struct json *stops, int32_t own) {
    bool list = json_type(stops) == JSON_ARRAY, one = json_is_integer(stops);
    if (own < 0 && !list && !one) return;
    key(w, "eos_token_id");
    if (own < 0 || stops_at(stops, own)) {
        json_write(w->to, stops, 0);
    } else if (!one && !json_size(stops)) {
        str_printf(w->to, "%d", (int)own);
    } else {
        str_printf(w->to, "[%d", (int)own);
        if (one) str_printf(w->to, ", %lld", (long long)json_int(stops));
        for (size_t i = 0; i < json_size(stops); i++)
            str_printf(w->to, ", %lld", (long long)json_int(json_at(stops, i)));
        str_puts(w->to, "]");
    }
}

// The class that loads the family, where the file names none.
static void add_architecture(struct writer *w, const struct json *root, bool reward) {
    const char *type = json_text(json_get(root, "model_type"), NULL);
    const struct hf_family *family = type ? hf_family_find(type) : NULL;
    if (!family || (!reward && json_get(root, "architectures"))) return;
    key(w, "architectures");
    str_printf(w->to, "[\"%sFor%s\"]", family->class_name,
               reward ? "SequenceClassification" : "CausalLM");
}

// Members that are written apart: of a reward model also what it says otherwise than the language
// model it came from.
static bool replaced(const char *name, bool reward) {
    static const char *const own[] = {"architectures", "num_labels", "id2label", "label2id",
                                      "tie_word_embeddings"};
    for (size_t i = 0; reward && i < sizeof own / sizeof *own; i++)
        if (!strcmp(name, own[i])) return true;
    return !strcmp(name, "torch_dtype") || !strcmp(name, "dtype") ||
           !strcmp(name, "bos_token_id") || !strcmp(name, "eos_token_id");
}

static void add_reward(struct writer *w) {
    key(w, "id2label");
    str_puts(w->to, "{\"0\": \"LABEL_0\"}");
    key(w, "label2id");
    str_puts(w->to, "{\"LABEL_0\": 0}");
    key(w, "tie_word_embeddings");
    str_puts(w->to, "false");
}

char *hf_config_text(const struct model_file *m, const char *type, struct fail *f) {
    if (!m->config_json) {
        fail_set(f, EXIT_BADDATA, "no config.json in the model; import it again");
        return NULL;
    }
    struct json *root = json_parse(m->config_json, strlen(m->config_json), "config.json", f);
    if (!root) return NULL;
    struct str s = {0};
    struct writer w = {.to = &s};
    bool modern = json_get(root, "dtype") != NULL;
    bool reward = m->model.config.reward_head;
    add_architecture(&w, root, reward);
    for (size_t i = 0; i < json_size(root); i++) {
        const char *name = json_key(root, i);
        if (replaced(name, reward)) continue;
        key(&w, name);
        json_write(&s, json_value(root, i), 0);
    }
    if (reward) add_reward(&w);
    key(&w, modern ? "dtype" : "torch_dtype");
    str_printf(&s, "\"%s\"", type);
    add_number(&w, root, "vocab_size", (int64_t)m->model.config.vocab);
    add_number(&w, root, "max_position_embeddings", (int64_t)m->model.config.max_positions);
    if (m->bos >= 0) add_number(&w, NULL, "bos_token_id", m->bos);
    add_stops(&w, json_get(root, "eos_token_id"), m->eos);
    str_puts(&s, "\n}\n");
    json_free(root);
    return s.text;
}

// ---- what --eos changes -------------------------------------------------------------------------

static struct json *config_of(const struct model_file *m) {
    struct fail ignored = {0};
    const char *text = m->config_json ? m->config_json : "{}";
    return json_parse(text, strlen(text), "config.json", &ignored);
}

// Whether the model stops at a token that config.json does not know as one.
static bool stops_otherwise(const struct model_file *m) {
    struct json *root = config_of(m);
    const struct json *stops = json_get(root, "eos_token_id");
    bool otherwise = m->eos >= 0 && json_type(stops) != JSON_NULL && !stops_at(stops, m->eos);
    json_free(root);
    return otherwise;
}

// All members of a file's object but one.
static struct json *copy_without(struct writer *w, const char *text, const char *file,
                                 const char *name, struct fail *f) {
    struct json *root = json_parse(text, strlen(text), file, f);
    for (size_t i = 0; i < json_size(root); i++) {
        if (!strcmp(json_key(root, i), name)) continue;
        key(w, json_key(root, i));
        json_write(w->to, json_value(root, i), 0);
    }
    return root;
}

// ---- the tokenizer's companions -----------------------------------------------------------------

static void add_token(struct writer *w, const struct tokenizer *t, const char *name, int32_t id) {
    const char *text = id >= 0 ? tokenizer_token(t, id) : NULL;
    if (!text) return;
    key(w, name);
    jsonout_text(w->to, text);
}

// A file of the tokenizer as it came, but with the token at which the model stops; NULL: none.
static char *with_eos(const struct model_file *m, const char *text, const char *file,
                      struct fail *f) {
    const char *json = m->tokenizer_json;
    if (!text || !json || !stops_otherwise(m)) return text ? xstrdup(text) : NULL;
    struct tokenizer *t = tokenizer_parse(json, strlen(json), "tokenizer.json", f);
    if (!t) return NULL;
    struct str s = {0};
    struct writer w = {.to = &s};
    json_free(copy_without(&w, text, file, "eos_token", f));
    add_token(&w, t, "eos_token", m->eos);
    str_puts(&s, "\n}\n");
    tokenizer_free(t);
    return s.text;
}

char *hf_special_tokens_text(const struct model_file *m, struct fail *f) {
    return with_eos(m, m->special_tokens_json, "special_tokens_map.json", f);
}

char *hf_tokenizer_config_text(const struct model_file *m, struct fail *f) {
    const char *text = m->tokenizer_json, *came = m->tokenizer_config_json;
    if (came) return with_eos(m, came, "tokenizer_config.json", f);
    struct tokenizer *t = text ? tokenizer_parse(text, strlen(text), "tokenizer.json", f) : NULL;
    if (!t) return NULL;
    struct str s = {0};
    struct writer w = {.to = &s};
    key(&w, "tokenizer_class");
    str_puts(&s, "\"PreTrainedTokenizerFast\"");
    add_token(&w, t, "bos_token", m->bos);
    add_token(&w, t, "eos_token", m->eos);
    key(&w, "model_max_length");
    str_printf(&s, "%zu", m->model.config.max_positions);
    key(&w, "clean_up_tokenization_spaces");
    str_puts(&s, "false\n}\n");
    tokenizer_free(t);
    return s.text;
}

char *hf_generation_config_text(const struct model_file *m, struct fail *f) {
    const char *came = m->generation_config_json;
    if (came && !stops_otherwise(m)) return xstrdup(came);
    struct str s = {0};
    struct writer w = {.to = &s};
    struct json *root =
        came ? copy_without(&w, came, "generation_config.json", "eos_token_id", f) : config_of(m);
    if (!came) {
        key(&w, "_from_model_config");
        str_puts(&s, "true");
        if (m->bos >= 0) add_number(&w, NULL, "bos_token_id", m->bos);
    }
    add_stops(&w, json_get(root, "eos_token_id"), m->eos);
    str_puts(&s, "\n}\n");
    json_free(root);
    return s.text;
}

bool hf_template_is_apart(const struct model_file *m, struct fail *f) {
    const char *text = m->tokenizer_config_json;
    if (!m->chat_template) return false;
    struct json *v = text ? json_parse(text, strlen(text), "tokenizer_config.json", f) : NULL;
    bool inside = json_type(json_get(v, "chat_template")) != JSON_NULL;
    json_free(v);
    return !inside;
}

// ---- provenance ---------------------------------------------------------------------------------

static const char mark_name[] = "aligndistil.json";

static bool unseen(const char *path, struct fail *f) {
    return fail_set(f, EXIT_FAILED, "cannot look at '%s': %s", path, strerror(errno));
}

static bool add_file(struct str *s, const char *folder, const char *name, bool first,
                     struct fail *f) {
    char *path = xasprintf("%s/%s", folder, name);
    struct stat st;
    bool seen = !stat(path, &st) || unseen(path, f);
    if (seen) str_printf(s, "%s{\"name\": \"%s\"", first ? "" : ", ", name);
    if (seen && text_ends(name, ".safetensors"))
        str_printf(s, ", \"bytes\": %lld", (long long)st.st_size);
    if (seen) str_puts(s, "}");
    free(path);
    return seen;
}

static void add_files(struct str *s, const char *folder, bool (*is_ours)(const char *name),
                      struct fail *f) {
    struct dirent **files = NULL;
    int n = scandir(folder, &files, NULL, alphasort);
    bool first = true;
    if (n < 0 && errno != ENOENT && errno != ENOTDIR) unseen(folder, f);
    for (int i = 0; i < n; i++) {
        const char *name = files[i]->d_name;
        if (!f->code && is_ours(name) && strcmp(name, mark_name) != 0)
            first = !add_file(s, folder, name, first, f) && first;
        free(files[i]);
    }
    free(files);
}

char *hf_mark(const struct lineage *l, const char *folder, bool (*is_ours)(const char *name),
              struct fail *f) {
    struct str s = {0};
    char hash[33];
    str_printf(&s, "{\n  \"created_by\": \"aligndistil %s\",\n  \"options\": %s,\n  \"parents\": [",
               ALIGNDISTIL_VERSION, l->options);
    for (size_t i = 0; i < l->parents.n; i++) {
        hash_text(l->parents.items[i].hash, hash);
        str_printf(&s, "%s{\"kind\": \"%s\", \"hash\": \"%s\"}", i ? ", " : "",
                   l->parents.items[i].kind, hash);
    }
    str_puts(&s, "],\n  \"files\": [");
    add_files(&s, folder, is_ours, f);
    str_puts(&s, "]\n}\n");
    return s.text;
}

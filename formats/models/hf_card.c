#include "formats/models/hf_card.h"
#include "common/base/version.h"
#include "formats/bytes/json.h"
#include <stdlib.h>
#include <string.h>

// "owner/name" where the configuration says that the model came from a hub, else NULL.
static const char *hub_name(const struct json *config) {
    const char *name = json_text(json_get(config, "_name_or_path"), NULL);
    const char *slash = name ? strchr(name, '/') : NULL;
    bool hub = slash && slash > name && slash[1] && !strchr(slash + 1, '/') && *name != '.' &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") ==
                   strlen(name);
    return hub ? name : NULL;
}

static void add_hashes(struct str *s, const struct artefact *from, bool models) {
    char hash[33];
    for (size_t i = 0; i < from->parents.n; i++) {
        const struct parent *p = &from->parents.items[i];
        if ((!strcmp(p->kind, "model") || !strcmp(p->kind, "adapter")) != models) continue;
        hash_text(p->hash, hash);
        str_printf(s, "%s%s `%s`", s->length ? ", " : "", p->kind, hash);
    }
}

static void add_row(struct str *s, const char *name, const char *value) {
    if (value && *value) str_printf(s, "| %s | %s |\n", name, value);
}

static void add_text(struct str *s, const char *name, const struct json *record, const char *key) {
    add_row(s, name, json_text(json_get(record, key), NULL));
}

static void add_number(struct str *s, const char *name, const struct json *record, const char *key,
                       const char *unit) {
    const struct json *v = json_get(record, key);
    if (v) str_printf(s, "| %s | %g%s |\n", name, json_number(v), unit);
}

// [from, to]
static void add_change(struct str *s, const char *name, const struct json *record,
                       const char *key) {
    const struct json *v = json_get(record, key);
    if (json_size(v) == 2)
        str_printf(s, "| %s | %.4g to %.4g |\n", name, json_number(json_at(v, 0)),
                   json_number(json_at(v, 1)));
}

static void add_training(struct str *s, const struct json *record) {
    static const struct {
        const char *key, *name;
    } changes[] = {{"loss", "loss"},
                   {"reward_margin", "reward margin"},
                   {"reward_accuracy", "reward accuracy"},
                   {"kl", "KL to p*, nats per token"},
                   {"score", "score"},
                   {"valid_loss", "validation loss"},
                   {"valid_reward_accuracy", "validation accuracy"},
                   {"valid_kl", "validation KL to p*"}};
    add_text(s, "trained by", record, "stage");
    add_text(s, "recipe", record, "recipe");
    add_text(s, "strength", record, "strength");
    add_text(s, "divergence", record, "divergence");
    add_text(s, "responses", record, "responses");
    add_text(s, "objective", record, "objective");
    add_text(s, "reverse", record, "reverse");
    add_number(s, "steps", record, "steps", "");
    add_number(s, "tokens trained on", record, "tokens", "");
    add_number(s, "learning rate", record, "lr", "");
    add_number(s, "KL to the start model", record, "kl_start", " nats per token");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        add_change(s, changes[i].name, record, changes[i].key);
}

static void add_summary(struct str *s, const struct artefact *from, const struct json *config,
                        const struct json *record) {
    struct str base = {0}, data = {0};
    const char *name = json_text(json_get(config, "_name_or_path"), NULL);
    if (name && *name) str_printf(&base, "%s", name);
    add_hashes(&base, from, true);
    add_hashes(&data, from, false);
    const struct json *rows = json_get(record, "rows");
    if (rows) str_printf(&data, "%s%.0f rows", data.length ? ", " : "", json_number(rows));
    str_puts(s, "| | |\n|---|---|\n");
    add_row(s, "base", base.text);
    add_row(s, "data", data.text);
    add_training(s, record);
    str_release(&base);
    str_release(&data);
}

static void add_options(struct str *s, const char *options, struct fail *f) {
    struct json *v = json_parse(options, strlen(options), "options", f);
    str_puts(s, "\n| option | value |\n|---|---|\n");
    for (size_t i = 0; i < json_size(v); i++) {
        str_printf(s, "| `%s` | `", json_key(v, i));
        json_write(s, json_value(v, i), 0);
        str_puts(s, "` |\n");
    }
    json_free(v);
}

char *hf_card_text(const struct model_file *m, const struct artefact *from, struct fail *f) {
    struct str s = {0};
    struct fail none = {0};
    char hash[33];
    const char *record_text = from->record ? from->record : "{}";
    const char *config_text = m->config_json ? m->config_json : "{}";
    struct json *record = json_parse(record_text, strlen(record_text), "record", f);
    struct json *config = json_parse(config_text, strlen(config_text), "config.json", &none);
    const char *hub = hub_name(config);
    hash_text(from->content, hash);
    str_puts(&s, "---\nlibrary_name: transformers\npipeline_tag: text-generation\n");
    if (hub) str_printf(&s, "base_model: %s\n", hub);
    str_puts(&s, "---\n\n");
    str_printf(&s, "# Model made by aligndistil %s\n\n", ALIGNDISTIL_VERSION);
    str_printf(&s, "%zu parameters; last stage `%s` of %s; content hash `%s`.\n\n",
               model_count(&m->model), from->stage, from->created_by, hash);
    add_summary(&s, from, config, record);
    str_puts(&s, "\nNumbers \"from to\" are means of the first and the last steps.\n");
    add_options(&s, from->options ? from->options : "{}", f);
    json_free(record);
    json_free(config);
    return s.text;
}

// Which template, and what it is given; see formats/records/chat.h.
#include "common/base/jsonout.h"
#include "common/base/path.h"
#include "common/text/template_named.h"
#include "formats/bytes/slurp.h"
#include "formats/records/chat.h"
#include "formats/records/token_source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEMPLATE_BYTES = 1 << 20 };

static void set_variable(struct chat_template *t, const char *name, struct json *value) {
    size_t i = 0;
    while (i < t->n && strcmp(t->variable[i].name, name)) i++;
    if (i == t->n) {
        grow(&t->variable, &t->capacity, t->n + 1, sizeof *t->variable);
        t->variable[t->n++] = (struct chat_variable){xstrdup(name), NULL};
    }
    json_free(t->variable[i].value);
    t->variable[i].value = value;
}

static struct json *text_json(const char *text) {
    struct fail f = {0};
    struct str s = {0};
    jsonout_text(&s, text);
    struct json *v = json_parse(s.text, s.length, "a text", &f);
    str_release(&s);
    return v;
}

static void set_token(struct chat_template *t, const char *name, const char *token) {
    if (token) set_variable(t, name, text_json(token));
}

// bos_token, eos_token ...: as tokenizer_config.json spells them, else what we know of them.
static void set_tokens(struct chat_template *t, const struct token_source *s) {
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                        "sep_token", "cls_token", "mask_token"};
    struct fail f = {0};
    struct json *config =
        s->config ? json_parse(s->config, strlen(s->config), "tokenizer_config.json", &f) : NULL;
    if (s->bos >= 0) set_token(t, "bos_token", tokenizer_token(s->tokenizer, s->bos));
    if (s->eos >= 0) set_token(t, "eos_token", tokenizer_token(s->tokenizer, s->eos));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct json *v = json_get(config, names[i]);
        const char *text = json_text(v, NULL);
        if (!text) text = json_text(json_get(v, "content"), NULL);
        bool named = i == 1 && s->eos_named; // --eos
        if (!named) set_token(t, names[i], text);
    }
    json_free(config);
}

static bool set_date(struct chat_template *t, const char *text, struct fail *f) {
    int year, month, day, end = 0;
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end);
    if (!end || text[end] || month < 1 || month > 12 || day < 1 || day > days[month - 1] ||
        year < 1)
        return fail_set(f, EXIT_USAGE, "bad date '%s' in --template-args: give date=YYYY-MM-DD",
                        text);
    t->date = (struct jinja_date){year, month, day};
    return true;
}

static bool set_argument(struct chat_template *t, const char *arg, struct fail *f) {
    const char *equal = strchr(arg, '=');
    if (!equal || equal == arg)
        return fail_set(f, EXIT_USAGE,
                        "bad --template-args '%s': give KEY=JSON, as in "
                        "enable_thinking=false",
                        arg);
    struct fail none = {0};
    char *name = xasprintf("%.*s", (int)(equal - arg), arg);
    struct json *v = json_parse(equal + 1, strlen(equal + 1), name, &none);
    bool ok = strcmp(name, "date") != 0 || set_date(t, equal + 1, f);
    if (!v) v = text_json(equal + 1);
    if (!v) ok = fail_set(f, EXIT_USAGE, "'%s' in --template-args is not UTF-8", name);
    if (v) set_variable(t, name, v);
    free(name);
    return ok;
}

const char *chat_template_label(const char *wanted) {
    bool known = !strcmp(wanted, "auto") || !strcmp(wanted, "none") || template_named(wanted);
    return known ? wanted : "file";
}

// The source, and what messages call the template.
static char *find_source(struct chat_template *t, const char *wanted, const struct token_source *s,
                         char **shown, struct fail *f) {
    const char *named = template_named(wanted);
    size_t n;
    t->label = chat_template_label(wanted);
    if (!strcmp(wanted, "auto")) {
        *shown = xstrdup("the model's chat template");
        return s->template ? xstrdup(s->template) : NULL;
    }
    *shown = xasprintf(named ? "template '%s'" : "'%s'", wanted);
    if (named) return xstrdup(named);
    if (!path_is_there(wanted, f)) {
        fail_set(f, EXIT_USAGE, "unknown template '%.60s'; give auto, none, a file, or one of %s",
                 wanted, template_names());
        return NULL;
    }
    char *text = slurp(wanted, TEMPLATE_BYTES, &n, f);
    if (text && strlen(text) != n) fail_set(f, EXIT_BADDATA, "'%s' is not a text file", wanted);
    return text;
}

bool chat_template_open(struct chat_template *t, const char *wanted, const struct token_source *s,
                        size_t n_args, const char *const *args, struct fail *f) {
    char *shown = NULL;
    *t = (struct chat_template){.label = "none", .date = JINJA_DATE};
    if (!strcmp(wanted, "none")) return true;
    t->source = find_source(t, wanted, s, &shown, f);
    if (t->source && !f->code) t->jinja = jinja_open(t->source, strlen(t->source), shown, f);
    free(shown);
    if (t->jinja) set_tokens(t, s);
    for (size_t i = 0; t->jinja && i < n_args && set_argument(t, args[i], f); i++) continue;
    if (f->code) chat_template_close(t);
    return !f->code;
}

const char *chat_template_text(const struct chat_template *t, const char *variable) {
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->variable[i].name, variable)) return json_text(t->variable[i].value, NULL);
    return NULL;
}

void chat_template_close(struct chat_template *t) {
    jinja_free(t->jinja);
    free(t->source);
    for (size_t i = 0; i < t->n; i++) {
        free(t->variable[i].name);
        json_free(t->variable[i].value);
    }
    free(t->variable);
    *t = (struct chat_template){.label = "none"};
}

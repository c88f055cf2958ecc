// Prompts of a judge: reading them and filling their places; see formats/records/benchmark.h.
#include "formats/bytes/json.h"
#include "formats/bytes/slurp.h"
#include "formats/records/benchmark.h"
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 1 << 20 };

static struct benchmark_text copy(const char *text, size_t n) {
    struct benchmark_text t = {xmalloc(n + 1), n};
    memcpy(t.text, text, n);
    t.text[n] = 0;
    return t;
}

static struct judge_prompt *add_prompt(struct judge_prompts *p, const char *name) {
    p->items = xrealloc(p->items, (p->n + 1) * sizeof *p->items);
    p->items[p->n] = (struct judge_prompt){.name = xstrdup(name ? name : "")};
    return &p->items[p->n++];
}

static void add_json(struct judge_prompts *p, const struct json *v, size_t line, struct fail *f) {
    size_t ns = 0, nt = 0;
    const struct json *template = json_get(v, "prompt_template");
    if (json_type(template) == JSON_ARRAY) template = json_at(template, 0);
    const char *system = json_text(json_get(v, "system_prompt"), &ns);
    const char *text = json_text(template, &nt);
    if (!text) {
        fail_set(
            f, EXIT_BADDATA,
            "'%s' line %zu: no text 'prompt_template'; give the benchmark's prompts of a judge",
            p->path, line);
        return;
    }
    struct judge_prompt *new = add_prompt(p, json_text(json_get(v, "name"), NULL));
    new->user = copy(text, nt);
    if (system) new->system = copy(system, ns);
}

// One object on lines of its own, or a line for each.
static void load_json(struct judge_prompts *p, const char *text, size_t n, struct fail *f) {
    struct fail lines = {0};
    struct json *one = json_parse(text, n, p->path, &lines);
    if (one) add_json(p, one, 1, f);
    json_free(one);
    for (size_t at = 0, line = 1; !one && at < n && !f->code; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end ? (size_t)(end - text) - at : n - at;
        struct json *v = length ? json_parse_at(text + at, length, p->path, line, f) : NULL;
        if (v) add_json(p, v, line, f);
        json_free(v);
        at += length + 1;
    }
}

// The text between "<|im_start|>ROLE\n" and the next "<|im_end|>", line ends around it left out.
static bool block(const char *text, const char *role, struct benchmark_text *to) {
    char *mark = xasprintf("<|im_start|>%s\n", role);
    const char *start = strstr(text, mark);
    size_t skip = strlen(mark);
    free(mark);
    if (!start) return false;
    start += skip;
    const char *end = strstr(start, "<|im_end|>");
    if (!end) return false;
    while (end > start && end[-1] == '\n') end--;
    *to = copy(start, (size_t)(end - start));
    return true;
}

bool judge_prompts_load(struct judge_prompts *p, const char *path, struct fail *f) {
    size_t n = 0;
    *p = (struct judge_prompts){.path = path};
    char *text = slurp(path, FILE_BYTES, &n, f);
    if (text && strstr(text, "<|im_start|>")) {
        struct judge_prompt *one = add_prompt(p, "");
        one->plain = true;
        block(text, "system", &one->system);
        if (!block(text, "user", &one->user))
            fail_set(f, EXIT_BADDATA, "'%s' has no <|im_start|>user block that ends; restore it",
                     path);
    } else if (text) {
        load_json(p, text, n, f);
    }
    free(text);
    if (!p->n) fail_set(f, EXIT_BADDATA, "'%s' has no prompts of a judge", path);
    if (f->code) judge_prompts_release(p);
    return !f->code;
}

const struct judge_prompt *judge_prompt(const struct judge_prompts *p, const char *name) {
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->items[i].name, name)) return &p->items[i];
    return p->n == 1 && !*p->items[0].name ? &p->items[0] : NULL;
}

void judge_prompts_release(struct judge_prompts *p) {
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].name);
        free(p->items[i].system.text);
        free(p->items[i].user.text);
    }
    free(p->items);
    *p = (struct judge_prompts){.path = p->path};
}

static const struct judge_place *place_of(const struct judge_place *places, size_t n,
                                          const char *name, size_t length) {
    for (size_t i = 0; i < n; i++)
        if (strlen(places[i].name) == length && !memcmp(places[i].name, name, length))
            return places[i].value.text ? &places[i] : NULL;
    return NULL;
}

bool judge_prompt_fill(struct str *to, const struct judge_prompt *p,
                       const struct judge_place *places, size_t n, struct fail *f) {
    for (const char *at = p->user.text, *end = at + p->user.n; at < end;) {
        bool brace = *at == '{' || *at == '}';
        bool doubled = brace && !p->plain && at + 1 < end && at[1] == *at;
        const char *close = *at == '{' ? memchr(at, '}', (size_t)(end - at)) : NULL;
        const struct judge_place *place =
            close && !doubled ? place_of(places, n, at + 1, (size_t)(close - at - 1)) : NULL;
        if (place) {
            str_add(to, place->value.text, place->value.n);
            at = close + 1;
        } else if (brace && !doubled && !p->plain) {
            return fail_set(f, EXIT_BADDATA,
                            "the judge's prompt '%s' has '%.*s', which has no value here", p->name,
                            (int)(close ? close - at + 1 : 1), at);
        } else {
            str_add(to, at, 1);
            at += 1 + doubled;
        }
    }
    return true;
}

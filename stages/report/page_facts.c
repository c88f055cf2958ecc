// Where a page's numbers come from, as the files of the run say: date, version, seeds, numbers of
// prompts and pairs.
#include "formats/bytes/json.h"
#include "stages/report/page.h"
#include "stages/shared/html.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_kind(const struct run_file *x, const char *kind) {
    return x->kind == RUN_ARTEFACT && !strcmp(x->made.kind, kind);
}

bool page_first_part(const struct run_file *x) { // or the only one
    const char *at = strstr(x->path, "-of-");
    return !at || at - x->path < 6 || !strncmp(at - 5, "00000", 5);
}

struct json *page_options(const struct run_file *x) {
    struct fail f = {0};
    return json_parse(x->made.options, strlen(x->made.options), x->path, &f); // NULL: none
}

// ---- facts
// --------------------------------------------------------------------------------------------

static void put_fact(struct page *p, const char *name, const char *value) {
    if (!value || !*value) return;
    str_puts(&p->body, "<div><dt>");
    page_escape(p, name);
    str_puts(&p->body, "</dt><dd>");
    page_escape(p, value);
    str_puts(&p->body, "</dd></div>\n");
}

// One more word of a list, unless it is there.
void page_once(struct str *list, const char *word) {
    size_t k = strlen(word);
    for (const char *at = list->text; at && *at;) {
        size_t n = strcspn(at, ",");
        if (n == k && !strncmp(at, word, n)) return;
        at += n + (at[n] ? 2 : 0); // ", "
    }
    str_printf(list, "%s%s", list->length ? ", " : "", word);
}

static void add_seed(const struct run_file *x, struct str *seeds) {
    struct json *options = page_options(x);
    const struct json *seed = json_get(options, "seed");
    char text[32];
    if (run_is_model(x) && json_is_integer(seed)) {
        snprintf(text, sizeof text, "%lld", (long long)json_int(seed));
        page_once(seeds, text);
    }
    json_free(options);
}

static void add_rows(const struct run_file *x, struct str *to) {
    char *stem = run_stem(x->path);
    str_printf(to, "%s%zu in %s", to->length ? ", " : "", x->rows, stem);
    free(stem);
}

static char *date_of(const struct page *p) { // of the newest file of the run
    time_t when = 0;
    struct tm tm;
    char text[32];
    for (size_t i = 0; i < p->run->n; i++)
        if (p->run->file[i].when > when) when = p->run->file[i].when;
    if (p->epoch >= 0) when = (time_t)p->epoch;
    if (!gmtime_r(&when, &tm) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm))
        return NULL;
    return xstrdup(text);
}

void page_facts(struct page *p, char *rest) {
    (void)rest;
    struct str versions = {0}, seeds = {0}, prompts = {0}, pairs = {0};
    for (size_t i = 0; i < p->run->n; i++) {
        const struct run_file *x = &p->run->file[i];
        if (x->kind != RUN_ARTEFACT) continue;
        page_once(&versions, x->made.created_by);
        add_seed(x, &seeds);
        if (!page_first_part(x)) continue;
        if (is_kind(x, "tokens") && x->summary && !strcmp(x->summary, "prompt") &&
            strcmp(x->made.stage, "generate"))
            add_rows(x, &prompts);
        if (is_kind(x, "pairs")) add_rows(x, &pairs);
    }
    char *date = date_of(p);
    str_puts(&p->body, "<dl class=\"facts\">\n");
    put_fact(p, "date", date);
    put_fact(p, "made by", versions.text);
    put_fact(p, "seed", seeds.text);
    put_fact(p, "prompts", prompts.text);
    put_fact(p, "pairs", pairs.text);
    str_puts(&p->body, "</dl>\n");
    free(date);
    str_release(&versions);
    str_release(&seeds);
    str_release(&prompts);
    str_release(&pairs);
}

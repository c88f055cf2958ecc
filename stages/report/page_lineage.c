// What was made from what, by which settings, and what it cost.
#include "formats/bytes/json.h"
#include "stages/report/page.h"
#include "stages/shared/html.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Settings that people look for first, in this order; all are in the details below.
static const char *const leading[] = {
    "recipe", "alpha",   "divergence", "target-kl",   "loss",      "beta",      "reverse",
    "lr",     "epochs",  "steps",      "batch-size",  "lora-rank", "responses", "error-budget",
    "bits",   "samples", "max-new",    "temperature", "seed"};

static bool says_something(const struct json *v) { // off, none and 0 are not worth a place
    size_t n;
    switch (json_type(v)) {
    case JSON_BOOL:
        return json_bool(v);
    case JSON_NUMBER:
        return json_number(v) != 0;
    case JSON_STRING:
        return json_text(v, &n) && n;
    default:
        return false;
    }
}

// Whether an option did something in this stage: some have options for what they did not do.
static bool did_something(const struct run_file *x, const char *option) {
    static const char *const of_teachers[] = {"recipe", "alpha"};
    static const char *const of_samples[] = {"samples", "max-new", "temperature"};
    bool generated = !strcmp(x->made.stage, "generate");
    size_t models = 0;
    for (size_t i = 0; i < x->made.parents.n; i++)
        models += !strcmp(x->made.parents.items[i].kind, "model") ||
                  !strcmp(x->made.parents.items[i].kind, "adapter");
    for (size_t i = 0; i < 2; i++)
        if (!strcmp(option, of_teachers[i])) return models > 1 || !generated;
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(option, of_samples[i])) return generated;
    return true;
}

static void put_settings(struct page *p, const struct run_file *x, const struct json *options) {
    bool any = false;
    for (size_t i = 0; i < sizeof leading / sizeof *leading; i++) {
        const struct json *v = json_get(options, leading[i]);
        if (!did_something(x, leading[i])) continue;
        if (!strcmp(leading[i], "epochs") && says_something(json_get(options, "steps"))) continue;
        if (!says_something(v)) continue;
        struct str text = {0};
        if (json_type(v) == JSON_STRING)
            str_puts(&text, json_text(v, NULL));
        else if (json_type(v) == JSON_NUMBER)
            json_write(&text, v, 0);
        str_puts(&p->body, any ? ", " : "");
        page_escape(p, leading[i]);
        if (text.length) str_puts(&p->body, " "), page_escape(p, text.text);
        str_release(&text);
        any = true;
    }
}

static void put_parents(struct page *p, const struct run_file *x) {
    struct str list = {0};
    for (size_t i = 0; i < x->made.parents.n; i++) {
        const struct parent *a = &x->made.parents.items[i];
        const struct run_file *from = run_by_hash(p->run, a->hash);
        char *stem = from                            ? run_stem(from->path)
                     : artefact_version(a->kind) > 0 ? xasprintf("a %s not in the run", a->kind)
                                                     : xstrdup(a->kind); // a text, by its kind
        page_once(&list, stem);
        free(stem);
    }
    page_escape(p, list.text ? list.text : "");
    str_release(&list);
}

// Seconds of the training that a log is of: its own column, or tokens over tokens per second.
static double seconds_of_log(const struct sheet *s) {
    size_t seconds = sheet_find(s, "seconds"), tokens = sheet_find(s, "tokens");
    size_t rate = sheet_find(s, "tokens_per_second");
    double sum = 0;
    if (seconds != SHEET_NONE && s->rows) return sheet_number(s, s->rows - 1, seconds);
    for (size_t i = 0; i < s->rows; i++) {
        double v = sheet_number(s, i, tokens) / sheet_number(s, i, rate);
        if (isfinite(v)) sum += v;
    }
    return sum;
}

static double seconds_of(struct page *p, const struct run_file *x) { // 0: nobody knows
    for (size_t i = 0; i < p->run->n; i++) {
        const struct run_file *log = &p->run->file[i];
        if (log->kind != RUN_LOG || run_model_of(p->run, log->path) != x) continue;
        struct sheet s = page_sheet(p, log->path);
        double seconds = seconds_of_log(&s);
        sheet_release(&s);
        return seconds;
    }
    return 0;
}

static void put_size(struct page *p, const struct run_file *x) {
    double mib = (double)x->bytes / (1 << 20);
    if (mib >= 1)
        str_printf(&p->body, "<td>%.*f MiB</td>", mib < 10 ? 1 : 0, mib);
    else
        str_printf(&p->body, "<td>%.0f KiB</td>", ceil(mib * 1024));
}

// ---- what it cost: its own training, and with all that had to be made for it

struct costs {
    double *seconds;      // (files of the run) of the trainings that logs tell of
    bool *needed, *given; // (files) what x is made from; what its start model is made from
};

static void mark(const struct run *r, const struct run_file *x, bool *seen) {
    size_t at = (size_t)(x - r->file);
    if (seen[at]) return;
    seen[at] = true;
    for (size_t i = 0; i < x->made.parents.n; i++) {
        const struct run_file *from = run_by_hash(r, x->made.parents.items[i].hash);
        if (from) mark(r, from, seen);
    }
}

static const struct run_file *start_of(const struct run *r, const struct run_file *x) {
    for (size_t i = 0; i < x->made.parents.n; i++) {
        const struct run_file *from = run_by_hash(r, x->made.parents.items[i].hash);
        if (from && run_is_model(from)) return from;
    }
    return NULL;
}

// From the model on that it started with. *cache: a teacher cache is among it, whose dump has no
// log.
static double whole_cost(const struct run *r, const struct run_file *x, struct costs *c,
                         bool *cache) {
    const struct run_file *start = start_of(r, x);
    double sum = 0;
    for (size_t i = 0; i < r->n; i++) c->needed[i] = c->given[i] = false;
    mark(r, x, c->needed);
    if (start) mark(r, start, c->given);
    *cache = false;
    for (size_t i = 0; i < r->n; i++) {
        if (!c->needed[i] || c->given[i]) continue;
        sum += c->seconds[i];
        *cache = *cache || !strcmp(r->file[i].made.kind, "teacher");
    }
    return sum;
}

static void put_seconds(struct page *p, double seconds, bool cache) {
    str_puts(&p->body, "<td>");
    if (seconds > 0) str_printf(&p->body, "%.*f", seconds < 1 ? 2 : seconds < 100 ? 1 : 0, seconds);
    str_puts(&p->body, seconds > 0 && cache ? " + dump</td>" : "</td>");
}

static void put_made(struct page *p, const struct run_file *x, struct costs *c) {
    struct json *options = page_options(x);
    str_puts(&p->body, "<tr><th scope=\"row\">");
    page_escape(p, x->path);
    str_puts(&p->body, "</th><td class=\"word\">");
    page_escape(p, x->made.stage);
    str_puts(&p->body, "</td><td class=\"wrap\">");
    put_parents(p, x);
    str_puts(&p->body, "</td><td class=\"wrap\">");
    put_settings(p, x, options);
    str_puts(&p->body, "</td><td>");
    if (x->rows) str_printf(&p->body, "%zu", x->rows);
    str_puts(&p->body, "</td>");
    put_size(p, x);
    double own = c->seconds[x - p->run->file];
    bool cache;
    double whole = whole_cost(p->run, x, c, &cache);
    put_seconds(p, own, false);
    put_seconds(p, own > 0 ? whole : 0, cache);
    str_puts(&p->body, "</tr>\n");
    json_free(options);
}

static void put_details(struct page *p, const struct run_file *const *list, size_t n) {
    str_puts(&p->body, "<details><summary>Every setting</summary>\n");
    for (size_t i = 0; i < n; i++) {
        page_element(p, "h3", list[i]->path);
        page_element(p, "pre", list[i]->made.options);
    }
    str_puts(&p->body, "</details>\n");
}

struct order { // files of the run, what they are made from first
    const struct run *run;
    const struct run_file **list;
    size_t n;
    bool *seen;
};

static void put_in_order(struct order *o, const struct run_file *x) {
    if (o->seen[x - o->run->file]) return;
    o->seen[x - o->run->file] = true;
    for (size_t i = 0; i < x->made.parents.n; i++) {
        const struct run_file *from = run_by_hash(o->run, x->made.parents.items[i].hash);
        if (from) put_in_order(o, from);
    }
    if (page_first_part(x)) o->list[o->n++] = x;
}

// The files that are named, or all, what they are made from first. free() it.
static const struct run_file **pick(struct page *p, char *rest, size_t *n) {
    const struct run_file **list = xmalloc((p->run->n + 1) * sizeof(const struct run_file *));
    bool named = rest[strspn(rest, " \t")] != '\0';
    *n = 0;
    for (char *word; *n < p->run->n && (word = page_word(&rest));) {
        const struct run_file *x = run_find(p->run, word);
        if (x && x->kind == RUN_ARTEFACT) list[(*n)++] = x; // it may not be made in every run
    }
    if (named) return list;
    struct order o = {p->run, list, 0, xcalloc(p->run->n + 1, sizeof *o.seen)};
    for (size_t i = 0; i < p->run->n; i++)
        if (p->run->file[i].kind == RUN_ARTEFACT) put_in_order(&o, &p->run->file[i]);
    free(o.seen);
    *n = o.n;
    return list;
}

static void put_head(struct page *p) {
    static const char *const words[] = {"file", "by", "from", "settings"};
    static const char *const numbers[] = {"rows", "size", "seconds", "in all"};
    str_puts(&p->body, "<div class=\"scroll\"><table>\n<thead><tr>");
    for (size_t i = 0; i < 4; i++) str_printf(&p->body, "<th class=\"word\">%s</th>", words[i]);
    for (size_t i = 0; i < 4; i++) str_printf(&p->body, "<th>%s</th>", numbers[i]);
    str_puts(&p->body, "</tr></thead>\n<tbody>\n");
}

void page_lineage(struct page *p, char *rest) {
    enum { MOST = 60 };
    const struct run *r = p->run;
    size_t n, files = r->n + 1;
    const struct run_file **list = pick(p, rest, &n);
    struct costs c = {xcalloc(files, sizeof *c.seconds), xcalloc(files, sizeof *c.needed),
                      xcalloc(files, sizeof *c.given)};
    for (size_t i = 0; i < r->n; i++)
        if (run_is_model(&r->file[i])) c.seconds[i] = seconds_of(p, &r->file[i]);
    put_head(p);
    for (size_t i = 0; i < n && i < MOST; i++) put_made(p, list[i], &c);
    str_puts(&p->body,
             "</tbody></table></div>\n<p class=\"note\">seconds: this training, by its log; in "
             "all: with the trainings of what it is made from, after the model that it started "
             "with.");
    if (n > MOST) str_printf(&p->body, " And %zu files more.", n - MOST);
    if (r->snapshots) str_printf(&p->body, " %zu snapshots are not listed.", r->snapshots);
    str_puts(&p->body, "</p>\n");
    put_details(p, list, n < MOST ? n : MOST);
    free(list);
    free(c.seconds);
    free(c.needed);
    free(c.given);
}

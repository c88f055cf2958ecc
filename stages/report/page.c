#include "stages/report/page.h"
#include "stages/report/style.h"
#include "stages/shared/html.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void page_complain(const struct page *p, const char *what) {
    die(EXIT_BADDATA, "'%s' line %zu: %s; see stages/README.md, 'A page of your own'", p->spec,
        p->line, what);
}

char *page_word(char **rest) {
    char *word = *rest + strspn(*rest, " \t");
    if (!*word) return NULL;
    bool quoted = *word == '"';
    word += quoted;
    size_t n = strcspn(word, quoted ? "\"" : " \t");
    *rest = word + n + (word[n] != '\0');
    word[n] = '\0';
    return word;
}

size_t page_count(struct page *p, char **rest) {
    char *word = page_word(rest), *end = word;
    unsigned long n = word ? strtoul(word, &end, 10) : 0;
    if (!word || *end || !n) page_complain(p, "a number is missing");
    return n;
}

void page_escape(struct page *p, const char *text) {
    html_text(&p->body, text, strlen(text));
}

void page_element(struct page *p, const char *tag, const char *text) {
    str_printf(&p->body, "<%s>", tag);
    page_escape(p, text);
    str_printf(&p->body, "</%s>\n", tag);
}

int page_colour(struct page *p, const char *name) {
    size_t i = 0;
    while (i < p->names && strcmp(p->name[i], name)) i++;
    if (i == p->names && p->names < PAGE_NAMES) p->name[p->names++] = xstrdup(name);
    return (int)(i % PLOT_COLOURS);
}

struct sheet page_sheet(struct page *p, const char *path) {
    struct sheet s;
    struct fail f = {0};
    char *full = run_path(p->run, path);
    sheet_read(&s, full, 0, &f);
    free(full);
    die_if(&f);
    return s;
}

// ---- the words
// ----------------------------------------------------------------------------------------

static void title(struct page *p, char *rest) {
    if (p->title) page_complain(p, "a second title");
    p->title = xstrdup(rest);
}

static void heading(struct page *p, char *rest) {
    str_printf(&p->body, "<h2 id=\"part-%zu\">", ++p->headings);
    page_escape(p, rest);
    str_puts(&p->body, "</h2>\n");
    str_printf(&p->contents, "<a href=\"#part-%zu\">", p->headings);
    html_text(&p->contents, rest, strlen(rest));
    str_puts(&p->contents, "</a>\n");
}

static void text(struct page *p, char *rest) {
    page_element(p, "p", rest);
}

static void note(struct page *p, char *rest) {
    str_puts(&p->body, "<p class=\"note\">");
    page_escape(p, rest);
    str_puts(&p->body, "</p>\n");
}

void page_line(struct page *p, char *line) {
    static const struct {
        const char *name;
        void (*put)(struct page *p, char *rest);
    } things[] = {{"title", title},        {"heading", heading},
                  {"text", text},          {"note", note},
                  {"facts", page_facts},   {"lineage", page_lineage},
                  {"table", page_table},   {"stack", page_stack},
                  {"figure", page_figure}, {"responses", page_responses},
                  {"heat", page_heat}};
    char *word = page_word(&line);
    p->line++;
    if (!word || *word == '#') return;
    line += strspn(line, " \t");
    if (page_panel_word(p, word, line)) return;
    page_figure_end(p);
    size_t i = 0, n = sizeof things / sizeof *things;
    while (i < n && strcmp(word, things[i].name)) i++;
    if (i == n) page_complain(p, "unknown word at its beginning");
    if (!p->title && things[i].put != title) page_complain(p, "the title must come first");
    things[i].put(p, line);
}

void page_end(struct page *p, struct str *html) {
    page_figure_end(p);
    if (!p->title) page_complain(p, "the title is missing");
    str_puts(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html_text(html, p->title, strlen(p->title));
    str_printf(html, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<h1>", plot_style(),
               page_style);
    html_text(html, p->title, strlen(p->title));
    str_puts(html, "</h1>\n");
    if (p->headings > 2) str_printf(html, "<nav>%s</nav>\n", p->contents.text);
    if (p->body.text) str_add(html, p->body.text, p->body.length);
    str_puts(html, "</body>\n</html>\n");
}

void page_release(struct page *p) {
    free(p->title);
    for (size_t i = 0; i < p->names; i++) free(p->name[i]);
    str_release(&p->body);
    str_release(&p->contents);
    str_release(&p->caption);
}

// page SPEC -o FILE.html: a self-contained HTML page of an experiment's results. SPEC is a text, a
// thing a line; paths are relative to the current folder:
//   title TEXT              once, first
//   heading TEXT            text TEXT             # a comment
//   table FILE.csv          columns as they are; X_error stands behind X as "±"
//   figure FILE.svg TEXT    the drawing with a caption; a note where the file is missing
//   responses N NAME=FILE...     the first N prompts with the responses of each file
//   heat N COLUMN FILE.csv       the first N responses, each token coloured by a number of the rows
//                                that `eval tokens --text` writes
// The page is written whole or not at all.
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "formats/bytes/slurp.h"
#include "formats/bytes/whole_file.h"
#include "pipelines/lib/html.h"
#include "pipelines/lib/rows.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 26, MOST = 64 };

struct page {
    struct str html;
    const char *spec; // its path
    size_t line;
};

static _Noreturn void complain(const struct page *p, const char *what) {
    die(EXIT_BADDATA, "'%s' line %zu: %s; see the top of pipelines/report/page.c", p->spec, p->line,
        what);
}

static char *next_word(char **rest) { // NULL: none
    char *word = *rest + strspn(*rest, " \t");
    if (!*word) return NULL;
    size_t n = strcspn(word, " \t");
    *rest = word + n + (word[n] != '\0');
    word[n] = '\0';
    return word;
}

static size_t next_count(struct page *p, char **rest) {
    char *word = next_word(rest), *end = word;
    unsigned long n = word ? strtoul(word, &end, 10) : 0;
    if (!word || *end || !n) complain(p, "a number is missing");
    return n;
}

static void element(struct page *p, const char *tag, const char *text) {
    str_printf(&p->html, "<%s>", tag);
    html_text(&p->html, text, strlen(text));
    str_printf(&p->html, "</%s>\n", tag);
}

// ---- table
// ---------------------------------------------------------------------------------------

struct columns { // of a CSV's header
    char *text;
    const char *name[MOST];
    size_t n;
};

static struct columns read_header(struct page *p, const char *path) {
    struct columns c = {0};
    struct fail f = {0};
    size_t n;
    c.text = slurp(path, LIMIT, &n, &f);
    die_if(&f);
    c.text[strcspn(c.text, "\r\n")] = '\0';
    for (char *at = c.text, *word; (word = strsep(&at, ","));) {
        if (c.n == MOST) complain(p, "too many columns");
        c.name[c.n++] = word;
    }
    return c;
}

static bool is_error_of(const char *name, const char *value) {
    size_t n = strlen(value);
    return !strncmp(name, value, n) && !strcmp(name + n, "_error");
}

static void put_cell(struct page *p, const struct rows *r, size_t field, bool has_error) {
    size_t n;
    const char *text = rows_field(r, field, &n);
    double value = rows_number(r, field);
    str_puts(&p->html, "<td>");
    if (!text || !n)
        str_puts(&p->html, "–");
    else if (isnan(value))
        html_text(&p->html, text, n);
    else
        html_number(&p->html, value, has_error ? rows_number(r, field + 1) : (double)NAN);
    str_puts(&p->html, "</td>");
}

static void table(struct page *p, char *rest) {
    char *path = next_word(&rest);
    if (!path) complain(p, "a file is missing");
    struct columns c = read_header(p, path);
    struct fail f = {0};
    struct rows *r = rows_open(path, c.n, c.name, c.n, &f);
    str_puts(&p->html, "<table><tr>");
    for (size_t i = 0; i < c.n; i++) {
        if (i && is_error_of(c.name[i], c.name[i - 1])) continue;
        str_puts(&p->html, "<th>");
        for (const char *s = c.name[i]; *s; s++) html_text(&p->html, *s == '_' ? " " : s, 1);
        str_puts(&p->html, "</th>");
    }
    str_puts(&p->html, "</tr>\n");
    while (rows_next(r)) {
        str_puts(&p->html, "<tr>");
        for (size_t i = 0; i < c.n; i++) {
            bool error = i + 1 < c.n && is_error_of(c.name[i + 1], c.name[i]);
            put_cell(p, r, i, error);
            i += error;
        }
        str_puts(&p->html, "</tr>\n");
    }
    rows_close(r);
    die_if(&f);
    str_puts(&p->html, "</table>\n");
    free(c.text);
}

// ---- figure
// --------------------------------------------------------------------------------------

// A drawing is XML, which slurp() takes for a mistake. NULL: there is none.
static char *read_svg(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t capacity = 0;
    if (!file) return NULL;
    if (getdelim(&text, &capacity, 0, file) < 0 && ferror(file))
        die(EXIT_BADDATA, "cannot read '%s': %s", path, strerror(errno));
    fclose(file);
    return text;
}

static void figure(struct page *p, char *rest) {
    char *path = next_word(&rest);
    if (!path) complain(p, "a file is missing");
    char *svg = read_svg(path);
    const char *start = svg ? strstr(svg, "<svg") : NULL;
    str_puts(&p->html, "<figure>");
    if (start)
        str_puts(&p->html, start);
    else
        str_puts(&p->html, "<p class=\"note\">No figure here: gnuplot was not found when this page "
                           "was made.</p>");
    element(p, "figcaption", rest);
    str_puts(&p->html, "</figure>\n");
    free(svg);
}

// ---- responses
// -----------------------------------------------------------------------------------

struct source { // a file of responses
    const char *name;
    struct rows *rows;
};

static size_t open_sources(struct page *p, char *rest, struct source *s, struct fail *f) {
    static const char *const names[] = {"prompt", "response"};
    size_t n = 0;
    for (char *word; (word = next_word(&rest)); n++) {
        char *equals = strchr(word, '=');
        if (!equals || n == MOST) complain(p, "responses are given as NAME=FILE");
        *equals = '\0';
        s[n] = (struct source){word, rows_open(equals + 1, 2, names, 2, f)};
    }
    if (!n) complain(p, "no file of responses is given");
    return n;
}

static void responses(struct page *p, char *rest) {
    struct fail f = {0};
    struct source source[MOST];
    size_t count = next_count(p, &rest), n = open_sources(p, rest, source, &f);
    bool more = true;
    for (size_t row = 0; row < count && more; row++) {
        for (size_t i = 0; i < n && more; i++) {
            size_t length;
            more = rows_next(source[i].rows);
            if (!more) break;
            const char *text = rows_field(source[i].rows, 0, &length);
            if (i == 0) {
                str_puts(&p->html, "<table class=\"texts\"><tr><th>prompt</th><th>");
                html_text(&p->html, text ? text : "", text ? length : 0);
                str_puts(&p->html, "</th></tr>\n");
            }
            str_puts(&p->html, "<tr><td>");
            html_text(&p->html, source[i].name, strlen(source[i].name));
            str_puts(&p->html, "</td><td>");
            text = rows_field(source[i].rows, 1, &length);
            html_text(&p->html, text ? text : "", text ? length : 0);
            str_puts(&p->html, "</td></tr>\n");
        }
        if (more) str_puts(&p->html, "</table>\n");
    }
    for (size_t i = 0; i < n; i++) rows_close(source[i].rows);
    die_if(&f);
}

// ---- heat map
// ------------------------------------------------------------------------------------

struct token {
    struct str text;
    double value, row;
};
struct tokens {
    struct token *item;
    size_t n, capacity;
    double low, high;
};

static struct tokens read_tokens(const char *path, const char *column, size_t rows) {
    const char *names[] = {"row", "text", column};
    struct fail f = {0};
    struct tokens t = {.low = INFINITY, .high = -INFINITY};
    struct rows *r = rows_open(path, 3, names, 3, &f);
    size_t seen = 0, n;
    while (rows_next(r)) {
        double row = rows_number(r, 0), value = rows_number(r, 2);
        if (!t.n || row != t.item[t.n - 1].row) seen++;
        if (seen > rows) break;
        grow(&t.item, &t.capacity, t.n + 1, sizeof *t.item);
        const char *text = rows_field(r, 1, &n);
        struct str copy = {0};
        str_add(&copy, text ? text : "", text ? n : 0);
        t.item[t.n++] = (struct token){copy, value, row};
        t.low = fmin(t.low, value);
        t.high = fmax(t.high, value);
    }
    rows_close(r);
    die_if(&f);
    return t;
}

static void put_scale(struct page *p, const struct tokens *t, const char *column) {
    enum { STEPS = 6 };
    char colour[24];
    str_puts(&p->html, "<p class=\"scale\">");
    html_text(&p->html, column, strlen(column));
    str_puts(&p->html, ": ");
    for (int i = 0; i < STEPS; i++) {
        double value = t->low + (t->high - t->low) * i / (STEPS - 1);
        html_colour(colour, value, t->low, t->high);
        str_printf(&p->html, "<span style=\"background:%s\">%.2f</span>", colour, value);
    }
    str_puts(&p->html, "</p>\n");
}

static void heat(struct page *p, char *rest) {
    size_t rows = next_count(p, &rest);
    char *column = next_word(&rest), *path = next_word(&rest), colour[24];
    if (!path) complain(p, "a column or a file is missing");
    struct tokens t = read_tokens(path, column, rows);
    put_scale(p, &t, column);
    for (size_t i = 0; i < t.n; i++) {
        const struct token *x = &t.item[i];
        bool first = i == 0 || x->row != x[-1].row, last = i + 1 == t.n || x->row != x[1].row;
        html_colour(colour, x->value, t.low, t.high);
        if (first) str_puts(&p->html, "<div class=\"heat\">");
        str_printf(&p->html, "<span style=\"background:%s\" title=\"%.3f\">", colour, x->value);
        html_text(&p->html, x->text.text, x->text.length);
        str_puts(&p->html, last ? "</span></div>\n" : "</span>");
        str_release(&t.item[i].text);
    }
    free(t.item);
}

// ---- the page
// ------------------------------------------------------------------------------------

static void title(struct page *p, char *rest) {
    html_head(&p->html, rest);
}
static void heading(struct page *p, char *rest) {
    element(p, "h2", rest);
}
static void text(struct page *p, char *rest) {
    element(p, "p", rest);
}

static void put_line(struct page *p, char *line) {
    static const struct {
        const char *name;
        void (*put)(struct page *p, char *rest);
    } things[] = {{"title", title},   {"heading", heading},     {"text", text}, {"table", table},
                  {"figure", figure}, {"responses", responses}, {"heat", heat}};
    char *word = next_word(&line);
    if (!word || *word == '#') return;
    size_t i = 0, n = sizeof things / sizeof *things;
    while (i < n && strcmp(word, things[i].name)) i++;
    if (i == n) complain(p, "unknown word at its beginning");
    if (!p->html.length && things[i].put != title) complain(p, "the title must come first");
    things[i].put(p, line);
}

int main(int argc, char **argv) {
    const char *output;
    struct opt_row rows[] = {{"output", OPT_TEXT, OPT_OUTPUT, &output, .letter = 'o',
                              .metavar = "FILE.html", .required = true, .help = "the page"}};
    struct options options = {.program = "page",
                              .usage = "SPEC -o FILE.html",
                              .summary = "A page of an experiment's results, in one file."};
    struct opt_list words = {0};
    struct page page = {0};
    struct fail f = {0};
    options_add(&options, rows, 1);
    options_parse(&options, argc, argv, &words);
    if (words.n != 1)
        die(EXIT_USAGE, "%zu texts given; give the one that says what to show", words.n);
    size_t n;
    page.spec = words.items[0];
    char *spec = slurp(page.spec, LIMIT, &n, &f), *at = spec;
    die_if(&f);
    for (char *line; (line = strsep(&at, "\n"));) {
        page.line++;
        put_line(&page, line);
    }
    if (!page.html.length) complain(&page, "the title is missing");
    html_foot(&page.html);
    whole_file_write(output, page.html.text, page.html.length, &f);
    die_if(&f);
    print_result("%s", output);
    finish_stdout();
    str_release(&page.html);
    free(spec);
    free(words.items);
    options_release(&options);
    return EXIT_DONE;
}

// Responses side by side, and their tokens coloured by a number.
#include "stages/report/page.h"
#include "stages/shared/html.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 16 };

// ---- responses to the same prompts
// -------------------------------------------------------------------

struct answers { // of one model
    char *name;
    struct sheet s;
    size_t prompt, response, tokens;
};

static void open_answers(struct page *p, const char *name, const char *file, struct answers *a) {
    a->name = xstrdup(name);
    a->s = page_sheet(p, file);
    a->prompt = sheet_find(&a->s, "prompt");
    a->response = sheet_find(&a->s, "response");
    a->tokens = sheet_find(&a->s, "tokens");
    if (a->prompt == SHEET_NONE || a->response == SHEET_NONE)
        die(EXIT_BADDATA, "'%s' has no %s; give what `generate --text` wrote", a->s.path,
            a->prompt == SHEET_NONE ? "prompt" : "response");
}

// The first answer to a prompt; SHEET_NONE: none. Files mostly go through the same prompts in the
// same order: row `near` first.
static size_t find_prompt(const struct answers *a, const char *prompt, size_t near) {
    if (near < a->s.rows && !strcmp(sheet_text(&a->s, near, a->prompt), prompt)) {
        while (near > 0 && !strcmp(sheet_text(&a->s, near - 1, a->prompt), prompt)) near--;
        return near;
    }
    for (size_t i = 0; i < a->s.rows; i++)
        if (!strcmp(sheet_text(&a->s, i, a->prompt), prompt)) return i;
    return SHEET_NONE;
}

static void put_answer(struct page *p, const struct answers *a, size_t row) {
    double tokens = sheet_number(&a->s, row, a->tokens);
    const char *text = sheet_text(&a->s, row, a->response);
    str_printf(&p->body, "<div class=\"answer c%d\"><b>", page_colour(p, a->name));
    page_escape(p, a->name);
    str_puts(&p->body, "</b>");
    if (isfinite(tokens)) str_printf(&p->body, "<small>%.0f tokens</small>", tokens);
    str_puts(&p->body, "<p>");
    page_escape(p, *text ? text : "(nothing)");
    str_puts(&p->body, "</p></div>\n");
}

static bool put_prompt(struct page *p, const struct answers *a, size_t n, size_t row) {
    size_t at[SOURCES];
    const char *prompt = sheet_text(&a[0].s, row, a[0].prompt);
    for (size_t i = 0; i < n; i++)
        if ((at[i] = find_prompt(&a[i], prompt, row)) == SHEET_NONE) return false;
    if (at[0] != row) return false; // it was shown
    str_puts(&p->body, "<h3 class=\"ask\">");
    page_escape(p, prompt);
    str_puts(&p->body, "</h3>\n<div class=\"answers\">\n");
    for (size_t i = 0; i < n; i++) put_answer(p, &a[i], at[i]);
    str_puts(&p->body, "</div>\n");
    return true;
}

void page_responses(struct page *p, char *rest) {
    struct answers a[SOURCES] = {0};
    size_t wanted = page_count(p, &rest), n = 0, shown = 0;
    for (char *word; (word = page_word(&rest)); n++) {
        char *equals = strchr(word, '=');
        if (!equals || n == SOURCES)
            page_complain(p, "responses are given as NAME=FILE, 16 at most");
        *equals = '\0';
        open_answers(p, word, equals + 1, &a[n]);
    }
    if (!n) page_complain(p, "no file of responses is given");
    for (size_t row = 0; row < a[0].s.rows && shown < wanted; row++)
        shown += put_prompt(p, a, n, row);
    if (!shown)
        die(EXIT_BADDATA, "'%s' and '%s' share no prompt; give responses to the same ones",
            a[0].s.path, a[n - 1].s.path);
    for (size_t i = 0; i < n; i++) {
        sheet_release(&a[i].s);
        free(a[i].name);
    }
}

// ---- heat map
// ---------------------------------------------------------------------------------------

static void put_scale(struct page *p, const char *column, double low, double high) {
    enum { STEPS = 6 };
    char colour[32];
    str_puts(&p->body, "<p class=\"scale\">");
    page_escape(p, column);
    str_puts(&p->body, ": ");
    for (int i = 0; i < STEPS; i++) {
        double value = low + (high - low) * i / (STEPS - 1);
        html_colour(colour, value, low, high);
        str_printf(&p->body, "<span style=\"background:%s\">%.2f</span>", colour, value);
    }
    str_puts(&p->body, "</p>\n");
}

void page_heat(struct page *p, char *rest) {
    size_t rows = page_count(p, &rest), end = 0, seen = 0;
    char *column = page_word(&rest), *path = page_word(&rest), colour[32];
    if (!path) page_complain(p, "a column or a file is missing");
    struct sheet s = page_sheet(p, path);
    size_t row = sheet_find(&s, "row"), text = sheet_find(&s, "text"),
           value = sheet_find(&s, column);
    if (row == SHEET_NONE || text == SHEET_NONE || value == SHEET_NONE)
        die(EXIT_BADDATA, "'%s' has no column '%s'; give what `eval tokens --text` wrote", s.path,
            row == SHEET_NONE    ? "row"
            : text == SHEET_NONE ? "text"
                                 : column);
    double low = INFINITY, high = -INFINITY;
    for (; end < s.rows; end++) {
        seen += !end || strcmp(sheet_text(&s, end, row), sheet_text(&s, end - 1, row));
        if (seen > rows) break;
        low = fmin(low, sheet_number(&s, end, value));
        high = fmax(high, sheet_number(&s, end, value));
    }
    put_scale(p, column, low, high);
    for (size_t i = 0; i < end; i++) {
        bool first = !i || strcmp(sheet_text(&s, i, row), sheet_text(&s, i - 1, row));
        bool last = i + 1 == end || strcmp(sheet_text(&s, i, row), sheet_text(&s, i + 1, row));
        html_colour(colour, sheet_number(&s, i, value), low, high);
        if (first) str_puts(&p->body, "<div class=\"heat\">");
        str_printf(&p->body, "<span style=\"background:%s\" title=\"%.3f\">", colour,
                   sheet_number(&s, i, value));
        page_escape(p, sheet_text(&s, i, text));
        str_puts(&p->body, last ? "</span></div>\n" : "</span>");
    }
    sheet_release(&s);
}

// A page: one HTML file that stands alone, from a text of one thing a line. Words that hold blanks
// are written in "quotes"; TEXT goes to the end of the line; paths are relative to the run's
// folder; # begins a comment.
//
//   title TEXT                         once, first
//   heading TEXT    text TEXT         note TEXT: in small print
//   facts                              date, version, seeds, numbers of prompts: from the files
//   lineage [FILE...]                  what was made from what, by which settings; none: all
//   table FILE [COLUMN...]             results; X_error stands behind X as "±"; none: all columns
//   stack FILE...                      tables of the same columns, one below the other
//   responses N NAME=FILE...           the first N prompts that all of the files have
//   heat N COLUMN FILE                 the first N responses, each token coloured by a number
//   figure CAPTION                     the panels that follow, side by side
//   panel lines|points|bars ID TITLE
//     x COLUMN LABEL                   bars: the column of their names
//     y COLUMN LABEL                   COLUMN*100: per cent; COLUMN/first: over the first row's
//     series NAME FILE [COLUMN START]  rows whose COLUMN begins with START, or all
//     only NAME...                     bars: these rows alone
//     log x|y      zoom                see common plots: stages/shared/plot.h
//     joined   dashed   optional       the series that follow; optional: their files may be missing
//     base NUMBER                      where bars begin; none: dots
#pragma once
#include "common/base/mem.h"
#include "stages/report/run.h"
#include "stages/shared/plot.h"
#include <stdint.h>

enum { PAGE_SERIES = 64, PAGE_NAMES = 256 };

struct page_series {
    char *name, *file, *column, *start; // column NULL: all rows
    char *x, *y;
    bool joined, dashed, optional;
    size_t line;
};
struct page_panel { // one that is still being described
    bool open, log_x, log_y, zoom, joined, dashed, optional;
    enum plot_kind kind;
    char *id, *title, *x, *x_label, *y, *y_label, *only;
    double base;
    size_t n;
    struct page_series series[PAGE_SERIES];
};
struct page {
    const struct run *run;
    const char *spec;    // its name, for messages
    const char *figures; // a folder that gets every panel as a file; NULL: none
    int64_t epoch;       // SOURCE_DATE_EPOCH, -1: not set
    size_t line;
    char *title;
    struct str body, contents;
    size_t headings, names, panels;
    char *name[PAGE_NAMES]; // what has a colour, in order of appearance
    bool figure_open;
    struct str caption;
    size_t averaged; // most steps behind a point of the figure's lines
    struct page_panel panel;
};
void page_line(struct page *p, char *line); // one thing; dies where it is wrong
void page_end(struct page *p, struct str *html);
void page_release(struct page *p);

// ---- for page*.c

_Noreturn void page_complain(const struct page *p, const char *what);
char *page_word(char **rest); // the next; NULL: none
size_t page_count(struct page *p, char **rest);
void page_element(struct page *p, const char *tag, const char *text);
void page_escape(struct page *p, const char *text);
int page_colour(struct page *p, const char *name);
struct sheet page_sheet(struct page *p,
                        const char *path); // of the run; dies where it cannot be read
// A word about a panel: true where it was one.
bool page_panel_word(struct page *p, const char *word, char *rest);
void page_panel_end(struct page *p);
void page_figure(struct page *p, char *rest);
void page_figure_end(struct page *p);
void page_table(struct page *p, char *rest);
void page_stack(struct page *p, char *rest);
void page_facts(struct page *p, char *rest);
void page_lineage(struct page *p, char *rest);
bool page_first_part(const struct run_file *x);      // of a set, or the only one
struct json *page_options(const struct run_file *x); // as recorded; NULL: none
void page_once(struct str *list, const char *word);  // one more word of "a, b", unless it is there
void page_responses(struct page *p, char *rest);
void page_heat(struct page *p, char *rest);
// The text of a page for any run: what is there, told by content. compare (n): names or files whose
// responses stand side by side; none: those of the run that share prompts.
char *page_automatic(const struct run *r, size_t prompts, size_t n, const char *const *compare,
                     struct fail *f);
void page_curves(const struct run *r, struct str *to, struct fail *f); // the part of the logs
// What people call a file of the run: its stem, or where several of the kind have it the path.
char *page_name(const struct run *r, const struct run_file *x); // free() it

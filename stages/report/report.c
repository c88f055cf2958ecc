// report: a run's folder as one page for people: what was made from what, curves of the logs,
// tables, responses of models side by side.
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/path.h"
#include "common/base/value.h"
#include "formats/bytes/slurp.h"
#include "formats/bytes/whole_file.h"
#include "stages/report/page.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct report {
    const char *output, *page, *figures;
    struct opt_list compare;
    int64_t prompts;
    bool print_page;
    struct common_options common;
};

static void declare(struct options *o, struct report *r) {
    const struct opt_row rows[] = {
        {"compare", OPT_LIST, OPT_INPUT, &r->compare, .metavar = "NAME...",
         .help = "responses to show side by side, on the prompts that all have: names of files in "
                 "the run (as aligned of aligned.jsonl), paths, or NAME=FILE; without it those of "
                 "the run that share prompts"},
        {"page", OPT_TEXT, OPT_INPUT, &r->page, .metavar = "FILE",
         .help = "a page of your own: what stands on it, a thing a line (see stages/README.md)"},
        {"output", OPT_TEXT, OPT_OUTPUT, &r->output, .letter = 'o', .metavar = "FILE.html",
         .help = "the page; without it RUN_DIR/report.html"},
        {"figures", OPT_TEXT, OPT_OUTPUT, &r->figures, .metavar = "DIR",
         .help = "also write every figure as an SVG file into DIR, which is made if needed"},
        {"prompts", OPT_INT, OPT_RESULT, &r->prompts, .value = "8", .low = 1, .high = 10000,
         .metavar = "N", .help = "prompts to show responses to"},
        {"print-page", OPT_FLAG, OPT_EXEC, &r->print_page,
         .help = "print the page as text for --page, to change it, and write nothing"},
        {"quiet", OPT_FLAG, OPT_EXEC, &r->common.quiet, .letter = 'q',
         .help = "print only warnings and errors"},
        {"no-clobber", OPT_FLAG, OPT_EXEC, &r->common.no_clobber,
         .help = "refuse to replace an existing page"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static void check_output(const struct report *r, const char *output) {
    struct fail f = {0};
    struct stat st;
    if (!text_ends(output, ".html"))
        die(EXIT_USAGE, "output '%s' does not end in .html; name it so", output);
    if (r->common.no_clobber && path_is_there(output, &f))
        die(EXIT_FAILED, "'%s' exists; leave --no-clobber out to replace it", output);
    whole_file_prepare(output, &f);
    die_if(&f);
    if (!r->figures || mkdir(r->figures, 0777) == 0) return;
    if (errno != EEXIST)
        die(EXIT_FAILED, "cannot make the folder '%s': %s", r->figures, strerror(errno));
    if (stat(r->figures, &st) == 0 && !S_ISDIR(st.st_mode))
        die(EXIT_FAILED, "'%s' is no folder; give another name for --figures", r->figures);
}

static int64_t source_date(void) {
    const char *word = getenv("SOURCE_DATE_EPOCH");
    int64_t v = -1;
    if (word && (!value_int(word, &v) || v < 0))
        die(EXIT_USAGE, "SOURCE_DATE_EPOCH is '%s', no number of seconds; unset it", word);
    return v;
}

static void write_page(const struct report *r, const struct run *run, char *text,
                       const char *output) {
    struct page page = {.run = run,
                        .spec = r->page ? r->page : "the page of the run",
                        .figures = r->figures,
                        .epoch = source_date()};
    struct str html = {0};
    struct fail f = {0};
    char *at = text;
    for (char *line; (line = strsep(&at, "\n"));) {
        size_t n = strlen(line);
        if (n && line[n - 1] == '\r') line[n - 1] = '\0';
        page_line(&page, line);
    }
    page_end(&page, &html);
    whole_file_write(output, html.text, html.length, &f);
    die_if(&f);
    print_result("%s", output);
    str_release(&html);
    page_release(&page);
}

static void report(const struct report *r, const char *folder) {
    struct fail f = {0};
    struct run run;
    size_t n;
    char *output = r->output ? xstrdup(r->output) : xasprintf("%s/report.html", folder), *text;
    run_open(&run, folder, &f);
    die_if(&f);
    if (r->page)
        text = slurp(r->page, 1 << 24, &n, &f);
    else if (!run.n)
        die(EXIT_BADDATA,
            "'%s' holds no log, table, responses or file of ours; give the folder of a run",
            folder);
    else
        text = page_automatic(&run, (size_t)r->prompts, r->compare.n, r->compare.items, &f);
    die_if(&f);
    if (r->print_page) {
        print_result("%.*s", (int)strlen(text) - 1, text);
    } else {
        check_output(r, output);
        write_page(r, &run, text, output);
    }
    free(text);
    free(output);
    run_release(&run);
}

int main(int argc, char **argv) {
    struct report r = {0};
    struct opt_list words = {0};
    struct options o = {.program = "report",
                        .usage = "RUN_DIR [options]",
                        .summary =
                            "A run's folder as one HTML page: what was made from what, curves "
                            "of the logs, tables, responses side by side. It loads nothing."};
    declare(&o, &r);
    options_parse(&o, argc, argv, &words);
    if (words.n != 1)
        die(EXIT_USAGE, "%zu folders given; give the one of a run, before --compare", words.n);
    if (r.page && r.compare.n)
        die(EXIT_USAGE, "--compare does nothing with --page; give the page a line 'responses'");
    report(&r, words.items[0]);
    finish_stdout();
    free(words.items);
    options_release(&o);
    return EXIT_DONE;
}

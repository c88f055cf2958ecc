// beginnings FILE: prompts made from sampled stories: the first --words words of each, as CSV.
// Every different beginning is written once; --skip and --rows cut them into splits that share
// none.
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "pipelines/lib/rows.h"
#include "pipelines/lib/table.h"
#include <stdlib.h>
#include <string.h>

struct job {
    int64_t words, skip, rows;
    const char *output;
    struct options options; // they own the texts
    struct opt_list files;
};

static void parse(struct job *j, int argc, char **argv) {
    struct opt_row rows[] = {
        {"words", OPT_INT, OPT_RESULT, &j->words, .value = "12", .low = 1, .high = 10000,
         .metavar = "N", .help = "words of a beginning; shorter stories are left out"},
        {"skip", OPT_INT, OPT_RESULT, &j->skip, .value = "0", .high = 1e9, .metavar = "N",
         .help = "leave out the first N beginnings: they belong to another split"},
        {"rows", OPT_INT, OPT_RESULT, &j->rows, .value = "1000", .low = 1, .high = 1e9,
         .metavar = "N", .help = "beginnings to write"},
        {"output", OPT_TEXT, OPT_OUTPUT, &j->output, .letter = 'o', .value = "-",
         .metavar = "FILE.csv", .help = "where to; - is stdout"},
    };
    j->options = (struct options){.program = "beginnings",
                                  .usage = "FILE|- [options]",
                                  .summary = "Prompts from the first words of sampled stories."};
    options_add(&j->options, rows, sizeof rows / sizeof *rows);
    options_parse(&j->options, argc, argv, &j->files);
    if (j->files.n != 1) die(EXIT_USAGE, "%zu files given; give one of stories", j->files.n);
}

// Replaces *to by the first words, one blank between; false: the story has fewer.
static bool cut(struct str *to, const char *text, int64_t words) {
    static const char blanks[] = " \t\r\n";
    to->length = 0;
    for (int64_t i = 0; i < words; i++) {
        text += strspn(text, blanks);
        size_t n = strcspn(text, blanks);
        if (!n) return false;
        if (i) str_puts(to, " ");
        str_add(to, text, n);
        text += n;
    }
    return true;
}

struct beginning {
    char *text;
    size_t at;
    bool again; // an earlier one has the same text
};

static int by_text(const void *a, const void *b) {
    const struct beginning *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int by_place(const void *a, const void *b) {
    const struct beginning *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

struct beginnings {
    struct beginning *item;
    size_t n, capacity;
};

static struct beginnings read_stories(const struct job *j) {
    static const char *const names[] = {"response"};
    struct beginnings b = {0};
    struct fail f = {0};
    struct str text = {0};
    struct rows *r = rows_open(j->files.items[0], 1, names, 1, &f);
    size_t n;
    while (rows_next(r)) {
        const char *story = rows_field(r, 0, &n);
        if (!story || !cut(&text, story, j->words)) continue;
        grow(&b.item, &b.capacity, b.n + 1, sizeof *b.item);
        b.item[b.n] = (struct beginning){.text = xstrdup(text.text), .at = b.n};
        b.n++;
    }
    rows_close(r);
    die_if(&f);
    str_release(&text);
    return b;
}

static void mark_repeats(struct beginnings *b) {
    if (!b->n) return;
    qsort(b->item, b->n, sizeof *b->item, by_text);
    for (size_t i = 1; i < b->n; i++)
        b->item[i].again = !strcmp(b->item[i].text, b->item[i - 1].text);
    qsort(b->item, b->n, sizeof *b->item, by_place);
}

static void write_rows(const struct job *j, const struct beginnings *b) {
    static const char *const names[] = {"prompt"};
    struct table *t = table_create(j->output, 1, names);
    int64_t different = 0, written = 0;
    for (size_t i = 0; i < b->n && written < j->rows; i++) {
        if (b->item[i].again || different++ < j->skip) continue;
        table_put(t, b->item[i].text, strlen(b->item[i].text));
        written++;
    }
    if (written < j->rows) {
        table_abandon(t);
        die(EXIT_BADDATA,
            "'%s' has only %lld different beginnings after the first %lld; sample more stories",
            j->files.items[0], (long long)written, (long long)j->skip);
    }
    table_commit(t);
}

int main(int argc, char **argv) {
    struct job j = {0};
    parse(&j, argc, argv);
    struct beginnings b = read_stories(&j);
    mark_repeats(&b);
    write_rows(&j, &b);
    if (strcmp(j.output, "-")) print_result("%s", j.output);
    finish_stdout();
    for (size_t i = 0; i < b.n; i++) free(b.item[i].text);
    free(b.item);
    free(j.files.items);
    options_release(&j.options);
    return EXIT_DONE;
}

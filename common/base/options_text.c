// What a table of options says about itself: --help, the JSON of its results, the common rows.
#include "common/base/options.h"
#include "common/base/jsonout.h"
#include "common/base/value.h"
#include <math.h>
#include <string.h>

enum { HELP_COLUMN = 26, HELP_WIDTH = 96 };

// A text whose lines all begin at column `left`, where the first one already is.
static void add_wrapped(struct str *s, size_t left, const char *text) {
    size_t column = left;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column + 1 + n > HELP_WIDTH) {
            str_printf(s, "\n%*s", (int)left, "");
            column = left;
        } else if (column > left) {
            str_puts(s, " ");
            column++;
        }
        str_add(s, text, n);
        column += n;
        text += n + (text[n] == ' ');
    }
    str_puts(s, "\n");
}

void opt_choices(const struct opt_row *row, struct str *s) {
    for (const char *c = row->choices; *c; c++) {
        str_add(s, c, 1);
        if (*c == ':') str_puts(s, "N");
    }
}

static void add_fact(struct str *facts, const char *text) {
    if (facts->length && *text) str_puts(facts, "; ");
    str_puts(facts, text);
}

static void add_default(struct str *facts, const struct opt_row *row) {
    if (row->required) add_fact(facts, "required");
    if (!row->value) return; // a flag is off, other options are not given
    add_fact(facts, "default ");
    str_puts(facts, *row->value ? row->value : "''");
}

void opt_right(const struct opt_row *row, struct str *s) {
    struct str facts = {0}, text = {0};
    if (row->type == OPT_CHOICE) {
        str_puts(&text, "one of ");
        opt_choices(row, &text);
        add_fact(&facts, text.text);
    }
    text.length = 0;
    str_puts(&text, "");
    struct opt_row open = *row; // a limit that nobody meets is left out
    if (open.high >= 1e6 && open.low < open.high) open.high = (double)INFINITY;
    if (!row->shared) opt_range(&open, &text);
    add_fact(&facts, text.text);
    if (row->paths) add_fact(&facts, "- reads paths from stdin");
    add_default(&facts, row);
    str_puts(s, row->help ? row->help : "");
    if (facts.length) str_printf(s, " (%s)", facts.text);
    str_release(&facts);
    str_release(&text);
}

void opt_left(const struct opt_row *row, struct str *s) {
    if (row->letter) str_printf(s, "-%c, ", row->letter);
    str_printf(s, "--%s", row->name);
    const char *metavar = row->metavar ? row->metavar : row->type == OPT_CHOICE ? "NAME" : "X";
    if (row->type != OPT_FLAG) str_printf(s, " %s", metavar);
    if (row->type == OPT_LIST && !strstr(metavar, "...")) str_puts(s, "...");
}

static void help_row(struct str *s, const struct opt_row *row) {
    struct str left = {0}, right = {0};
    str_puts(&left, "  ");
    opt_left(row, &left);
    opt_right(row, &right);
    str_puts(s, left.text);
    if (left.length + 2 > HELP_COLUMN)
        str_printf(s, "\n%*s", HELP_COLUMN, "");
    else
        str_printf(s, "%*s", (int)(HELP_COLUMN - left.length), "");
    add_wrapped(s, HELP_COLUMN, right.text);
    str_release(&left);
    str_release(&right);
}

// ---- blocks: the shared options, which a reader knows from the first stage, stand last ----------

static const struct {
    enum opt_class class;
    bool shared;
    const char *title;
} blocks[OPT_BLOCKS] = {{OPT_INPUT, false, "Input"},
                        {OPT_OUTPUT, false, "Output"},
                        {OPT_RESULT, false, "What decides the result (recorded in our files)"},
                        {OPT_EXEC, false, "How it runs (never changes the result)"},
                        {OPT_EXEC, true, "In every stage"}};

const char *opt_block_title(int block) {
    return blocks[block].title;
}

bool opt_in_block(const struct opt_row *row, int block) {
    if (row->hidden || row->shared != blocks[block].shared) return false;
    return row->shared || row->class == blocks[block].class;
}

char *options_help(const struct options *o) {
    struct str s = {0};
    str_printf(&s, "usage: %s %s\n", o->program, o->usage ? o->usage : "[options]");
    if (o->summary) add_wrapped(&s, 0, o->summary);
    for (int block = 0; block < OPT_BLOCKS; block++) {
        bool any = false;
        for (size_t i = 0; i < o->n; i++) {
            if (!opt_in_block(&o->rows[i], block)) continue;
            if (!any) str_printf(&s, "\n%s:\n", opt_block_title(block));
            any = true;
            help_row(&s, &o->rows[i]);
        }
    }
    return s.text;
}

static void json_list(struct str *s, const struct opt_list *list) {
    str_puts(s, "[");
    for (size_t i = 0; i < list->n; i++) {
        if (i) str_puts(s, ",");
        jsonout_text(s, list->items[i]);
    }
    str_puts(s, "]");
}

static void json_real(struct str *s, double v) { // JSON knows no infinity: a string then
    if (isinf(v))
        str_puts(s, v > 0 ? "\"inf\"" : "\"-inf\"");
    else
        jsonout_number(s, v);
}

static void json_value(struct str *s, const struct opt_row *row) {
    const struct opt_every *every = row->to;
    switch (row->type) {
    case OPT_FLAG:
        str_puts(s, *(bool *)row->to ? "true" : "false");
        break;
    case OPT_INT:
        str_printf(s, "%lld", (long long)*(int64_t *)row->to);
        break;
    case OPT_REAL:
    case OPT_TIME:
        json_real(s, *(double *)row->to);
        break;
    case OPT_TEXT:
    case OPT_CHOICE:
        jsonout_text(s, *(const char **)row->to);
        break;
    case OPT_LIST:
        json_list(s, row->to);
        break;
    case OPT_EVERY:
        str_printf(s, "{\"steps\":%lld,\"seconds\":", (long long)every->steps);
        json_real(s, every->seconds);
        str_puts(s, "}");
        break;
    }
}

static bool is_late_default(const struct opt_row *row) {
    struct str s = {0};
    if (!row->late) return false;
    json_value(&s, row);
    bool same = !strcmp(s.text, row->value);
    str_release(&s);
    return same;
}

char *options_json(const struct options *o) {
    struct str s = {0};
    str_puts(&s, "{");
    for (size_t i = 0; i < o->n; i++) {
        if (o->rows[i].class != OPT_RESULT || is_late_default(&o->rows[i])) continue;
        if (s.length > 1) str_puts(&s, ",");
        jsonout_text(&s, o->rows[i].name);
        str_puts(&s, ":");
        json_value(&s, &o->rows[i]);
    }
    str_puts(&s, "}");
    return s.text;
}

void common_options_rows(struct options *o, struct common_options *c) {
    struct opt_row rows[] = {
        {"seed", OPT_INT, OPT_RESULT, &c->seed, .value = "0", .low = 0, .high = 9.3e18,
         .metavar = "N", .help = "random seed, recorded in the output"},
        {"threads", OPT_INT, OPT_EXEC, &c->threads, .value = "0", .low = 0, .high = 4096,
         .metavar = "N",
         .help = "threads; 0: as many CPUs as the process may use, at most "
                 "OMP_NUM_THREADS"},
        {"progress", OPT_CHOICE, OPT_EXEC, &c->progress, .value = "auto",
         .choices = "auto|always|never", .metavar = "WHEN",
         .help = "progress on stderr; auto redraws a line on a terminal"},
        {"dry-run", OPT_FLAG, OPT_EXEC, &c->dry_run,
         .help = "check every input, print what would run and its cost, write nothing"},
        {"force", OPT_FLAG, OPT_EXEC, &c->force,
         .help = "compute again even if the output is up to date"},
        {"no-clobber", OPT_FLAG, OPT_EXEC, &c->no_clobber,
         .help = "refuse to replace an existing output"},
        {"quiet", OPT_FLAG, OPT_EXEC, &c->quiet, .letter = 'q',
         .help = "print only warnings and errors"},
        {"verbose", OPT_FLAG, OPT_EXEC, &c->verbose, .letter = 'v', .help = "print more on stderr"},
    };
    enum { N = sizeof rows / sizeof *rows };
    for (size_t i = 0; i < N; i++) rows[i].shared = true;
    options_add(o, rows, N);
}

void common_log_row(struct options *o, struct common_options *c) {
    const struct opt_row row = {"log",
                                OPT_TEXT,
                                OPT_OUTPUT,
                                &c->log,
                                .metavar = "FILE",
                                .help = "write a row of numbers for each step to FILE, which ends "
                                        "in .csv or .jsonl"};
    options_add(o, &row, 1);
}

void common_kernels_row(struct options *o, struct common_options *c) {
    const struct opt_row row = {
        "kernels",
        OPT_TEXT,
        OPT_EXEC,
        &c->kernels,
        .metavar = "LEVEL",
        .help = "how matrices are multiplied, in place of the CPU's best: portable, avx2, avx512, "
                "avx512bf16, amx, or blas, the library that is linked; also ALIGNDISTIL_KERNELS"};
    options_add(o, &row, 1);
}

double choice_number(const char *choice) {
    const char *colon = choice ? strchr(choice, ':') : NULL;
    double v;
    return colon && value_real(colon + 1, &v) ? v : (double)NAN;
}

bool choice_is(const char *choice, const char *name) {
    size_t n = strcspn(name, ":");
    return choice && !strncmp(choice, name, n) && (!choice[n] || choice[n] == ':');
}

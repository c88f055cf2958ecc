// What a table of options says about itself: --help, the JSON of its results, the common rows.
#include "common/base/options.h"
#include "common/base/jsonout.h"
#include "common/base/value.h"
#include <math.h>
#include <string.h>

enum { HELP_COLUMN = 26, HELP_WIDTH = 96 };

static void add_wrapped(struct str *s, size_t column, const char *text) {
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column + 1 + n > HELP_WIDTH) {
            str_printf(s, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
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

// "what it does (one of a|b; from 1 to 8; default 3)"
static void describe(struct str *s, const struct opt_row *row) {
    struct str facts = {0};
    if (row->type == OPT_CHOICE) {
        str_puts(&facts, "one of ");
        opt_choices(row, &facts);
        str_puts(&facts, "; ");
    }
    size_t before = facts.length;
    opt_range(row, &facts);
    if (facts.length > before) str_puts(&facts, "; ");
    if (row->value)
        str_printf(&facts, "default %s", *row->value ? row->value : "''");
    else if (row->required)
        str_puts(&facts, "required");
    else if (row->type == OPT_FLAG)
        str_puts(&facts, "default off");
    else
        str_puts(&facts, "default none");
    str_printf(s, "%s (%s)", row->help ? row->help : "", facts.text);
    str_release(&facts);
}

static void help_row(struct str *s, const struct opt_row *row) {
    struct str left = {0}, right = {0};
    str_puts(&left, "  ");
    if (row->letter) str_printf(&left, "-%c, ", row->letter);
    str_printf(&left, "--%s", row->name);
    const char *metavar = row->metavar ? row->metavar : row->type == OPT_CHOICE ? "NAME" : "X";
    if (row->type != OPT_FLAG) str_printf(&left, " %s", metavar);
    if (row->type == OPT_LIST && !strstr(metavar, "...")) str_puts(&left, "...");
    describe(&right, row);
    str_puts(s, left.text);
    if (left.length + 2 > HELP_COLUMN)
        str_printf(s, "\n%*s", HELP_COLUMN, "");
    else
        str_printf(s, "%*s", (int)(HELP_COLUMN - left.length), "");
    add_wrapped(s, HELP_COLUMN, right.text);
    str_release(&left);
    str_release(&right);
}

char *options_help(const struct options *o) {
    static const struct {
        enum opt_class class;
        const char *title;
    } parts[] = {{OPT_INPUT, "Input:"},
                 {OPT_OUTPUT, "Output:"},
                 {OPT_RESULT, "What decides the result (recorded in the output):"},
                 {OPT_EXEC, "How it runs (never changes the result):"}};
    struct str s = {0};
    str_printf(&s, "usage: %s %s\n", o->program, o->usage ? o->usage : "[options]");
    if (o->summary) str_printf(&s, "%s\n", o->summary);
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        bool any = false;
        for (size_t i = 0; i < o->n; i++) {
            if (o->rows[i].class != parts[p].class) continue;
            if (!any) str_printf(&s, "\n%s\n", parts[p].title);
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

char *options_json(const struct options *o) {
    struct str s = {0};
    str_puts(&s, "{");
    for (size_t i = 0; i < o->n; i++) {
        if (o->rows[i].class != OPT_RESULT) continue;
        if (s.length > 1) str_puts(&s, ",");
        jsonout_text(&s, o->rows[i].name);
        str_puts(&s, ":");
        json_value(&s, &o->rows[i]);
    }
    str_puts(&s, "}");
    return s.text;
}

void common_options_rows(struct options *o, struct common_options *c) {
    const struct opt_row rows[] = {
        {"seed", OPT_INT, OPT_RESULT, &c->seed, .value = "0", .low = 0, .high = 9.3e18,
         .metavar = "N", .help = "seed of all that is random"},
        {"threads", OPT_INT, OPT_EXEC, &c->threads, .value = "0", .low = 0, .high = 4096,
         .metavar = "N",
         .help = "threads; 0 takes the CPUs this process may use, capped by OMP_NUM_THREADS"},
        {"progress", OPT_CHOICE, OPT_EXEC, &c->progress, .value = "auto",
         .choices = "auto|always|never", .metavar = "WHEN",
         .help = "progress on stderr; auto redraws a line on a terminal"},
        {"log", OPT_TEXT, OPT_OUTPUT, &c->log, .metavar = "FILE",
         .help = "training: write one row of numbers a step to FILE, which ends in .csv or .jsonl"},
        {"dry-run", OPT_FLAG, OPT_EXEC, &c->dry_run,
         .help = "check every input, print what would run and its cost, write nothing"},
        {"force", OPT_FLAG, OPT_EXEC, &c->force,
         .help = "compute again even if the output is there and current"},
        {"no-clobber", OPT_FLAG, OPT_EXEC, &c->no_clobber,
         .help = "refuse to replace an existing output"},
        {"quiet", OPT_FLAG, OPT_EXEC, &c->quiet, .letter = 'q',
         .help = "say nothing but warnings and errors"},
        {"verbose", OPT_FLAG, OPT_EXEC, &c->verbose, .letter = 'v', .help = "say more on stderr"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

void common_no_log(const struct options *o, const struct common_options *c) {
    if (c->log) die(EXIT_USAGE, "%s has no steps to log; leave --log out", o->program);
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

// One option table for all programs. A stage fills a struct of its own, and each row of a table
// says where a value goes. Modules bring their rows (common, training, teacher options); a stage
// joins them. Classes: RESULT options change the numbers and are recorded in the output as JSON in
// table order; EXEC options never enter a file; INPUT options name files (their hashes are recorded
// as parents instead), OUTPUT options those that are written: one that is also read, or written
// twice, is refused before anything is lost.
//
// Types and the C object `to` points to:
//   OPT_FLAG bool | OPT_INT int64_t (range [low, high]) | OPT_REAL double (range; finite unless the
//   range is infinite) | OPT_TEXT const char * | OPT_CHOICE const char * (one of `choices`, split
//   at
//   '|'; a choice that ends in ':' takes a number after it, as in "fixed:|damped:|tvd:"; the number
//   is kept in its shortest form) |
//   OPT_LIST struct opt_list (all words up to the next option; repeated options append; where the
//   row has `paths`, "-" stands for the lines of stdin) | OPT_TIME double seconds ("90", "10m",
//   "3h50m") | OPT_EVERY struct opt_every ("500" steps, or a time).
//
// On the command line: --name value, --name=value, -o value; a flag may say --name=false. Names are
// never abbreviated; the last of a repeated option counts. --help, --version and --config FILE are
// in every table, and a hidden one, --describe man|words: the manual page, or a line for each
// option
// (`--NAME flag|list|value [CHOICES]`) as the shell's completion reads it. A config file holds
// `name = value` lines, # comments, and "quoted" values; the command line wins over it, for lists
// too.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_type { OPT_FLAG, OPT_INT, OPT_REAL, OPT_TEXT, OPT_CHOICE, OPT_LIST, OPT_TIME, OPT_EVERY };
enum opt_class { OPT_RESULT, OPT_EXEC, OPT_INPUT, OPT_OUTPUT };

struct opt_list {
    size_t n;
    const char **items;
};
struct opt_every {
    int64_t steps;  // 0: not by steps
    double seconds; // 0: not by time
};

struct opt_row {
    const char *name; // without the dashes
    enum opt_type type;
    enum opt_class class;
    void *to;
    char letter;         // 0, or o q v h ...
    const char *value;   // default, in the command line's own form; NULL: none (flag: off)
    double low, high;    // OPT_INT, OPT_REAL; both the same: any finite number
    const char *choices; // OPT_CHOICE
    const char *metavar; // FILE, N, X ... in --help
    const char *help;
    bool required;
    bool paths;  // OPT_LIST of files: "-" is replaced by the lines of stdin
    bool shared; // by all stages: in the last block of the help
    bool hidden; // from the help
    bool late;   // OPT_RESULT that came when there were outputs without it: recorded unless default
};

struct options {
    const char *program, *summary; // for --help
    const char *usage;             // the line after "usage: program "
    struct opt_row *rows;
    size_t n, capacity;
    unsigned char *from; // one per row: 0 default, 1 config file, 2 command line
    bool help, version;  // asked for
    const char *config, *describe;
    size_t n_words, word_capacity; // the values' text, kept until options_release
    char **words;
};

void options_add(struct options *o, const struct opt_row *rows, size_t n);
// Sets defaults, reads --config, parses argv strictly. --help and --version print to stdout and
// exit 0; any error is one line and exit 2. Words that are no option go to *rest if it is given
// (free rest->items), else they are an error. Also does guard_streams(), so call it first in main.
void options_parse(struct options *o, int argc, char **argv, struct opt_list *rest);
// The same without printing or exiting; with o->help or o->version it stops early and returns true.
bool options_try(struct options *o, int argc, char **argv, struct opt_list *rest, struct fail *f);
// Whether no file that is written is also read (`rest` are files too, or NULL) or written twice.
// What is read, and --no-clobber, hold for all that the run writes (common/base/outputs.h).
bool options_check_files(const struct options *o, const struct opt_list *rest, struct fail *f);
// The --help text, the manual page, the completion's lines; free() them.
char *options_help(const struct options *o);
char *options_man(const struct options *o);
char *options_completion(const struct options *o);
bool options_given(const struct options *o, const char *name);
// Dies, exit 2, if an option of these names, "ref" or "ref|base|alpha", was given: "--NAME " and
// `why`. For options that would do nothing here.
void options_refuse(const struct options *o, const char *names, const char *why);
// The RESULT rows as one JSON object in table order, numbers in shortest round-trip form.
char *options_json(const struct options *o); // free() it
void options_release(struct options *o);     // values of text and lists are gone after this
// "from 1 to 8", "at least 0", "" where any number goes; for help and messages.
void opt_range(const struct opt_row *row, struct str *s);
void opt_choices(const struct opt_row *row, struct str *s); // "fixed:N|tvd:N|none"
// "--lr X", "-o, --output FILE", with no value for a flag; and "what it does (facts)", where the
// facts of an option that all stages share are its default alone.
void opt_left(const struct opt_row *row, struct str *s);
void opt_right(const struct opt_row *row, struct str *s);
// The blocks of the help: titles, and which rows stand in each.
enum { OPT_BLOCKS = 5 };
const char *opt_block_title(int block);
bool opt_in_block(const struct opt_row *row, int block);

// --seed --threads --progress --dry-run --force --no-clobber -q -v, the same in all stages
struct common_options {
    int64_t seed, threads;
    const char *progress, *log, *kernels;
    bool dry_run, force, no_clobber, quiet, verbose;
};
void common_options_rows(struct options *o, struct common_options *c);
void common_log_row(struct options *o, struct common_options *c); // --log, where there are steps
void common_kernels_row(struct options *o, struct common_options *c); // --kernels, for models' runs

// "fixed:0.5" -> 0.5; NaN where the choice has no number.
double choice_number(const char *choice);
bool choice_is(const char *choice, const char *name); // name without or with its ':'

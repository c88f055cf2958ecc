// What became of the rows of a data set: how many came in, what was wrong with which (three
// examples of each problem), how many tokens they made. Plain memory, so that it travels with a
// checkpoint.
#pragma once
#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/records/example.h"
#include "formats/records/records.h"
#include <stdint.h>

enum { LEDGER_PROBLEMS = 24, LEDGER_EXAMPLES = 3, LEDGER_COLUMNS = 24, LEDGER_PARTS = 2 };

struct ledger_problem {
    char text[120]; // "skipped: empty prompt"
    uint64_t n;
    char example[LEDGER_EXAMPLES][160]; // "'file' line 7: ..."
};

struct ledger {
    uint64_t rows_in, rows_used; // rows_used: something came of them
    uint64_t bad, too_long;      // rows that fail the run unless they may be left out
    char first_bad[400], first_long[200];
    uint64_t rows_out[LEDGER_PARTS]; // train, valid; a row in pieces counts as many
    uint64_t tokens[LEDGER_PARTS], trained[LEDGER_PARTS];
    uint64_t truncated, split;
    uint64_t longest; // tokens of the longest row kept, before it was cut
    uint64_t with_bos, with_eos;
    uint64_t bos_added;      // of with_bos: a template writes none
    uint64_t unknown, bytes; // tokens that stand for what the vocabulary does not have
    struct ledger_problem problems[LEDGER_PROBLEMS];
    struct ledger_column { // of rows that were used
        char name[48];
        uint64_t n;
    } unused[LEDGER_COLUMNS];
    uint64_t other_unused; // those that the list has no room for
};

// Whether all its texts end, as those of a file that was believed may not.
bool ledger_is_sound(const struct ledger *l);
// Counts a row under "outcome: reason"; example: what names it.
void ledger_count(struct ledger *l, const char *outcome, const char *reason, const char *example);
// A row that cannot be used, by its message "'file' line 7: reason"; skip: it is left out.
void ledger_bad(struct ledger *l, bool skip, const char *message);
// A row over `most` tokens by the name of it ("'file' line 7"): fails the run, or drop. limit: what
// sets that number, as "the --max-length of 6".
void ledger_long(struct ledger *l, bool drop, const char *row, uint64_t tokens, uint64_t most,
                 const char *limit);
void ledger_unused(struct ledger *l, const char *name, size_t n); // n bytes of a column's name
// All columns and fields of a row that nothing used.
void ledger_unused_fields(struct ledger *l, const struct record *row, const struct example *x);
// Whether all rows could be used as asked; else f says how many could not, the first of them and
// what to do.
bool ledger_check(const struct ledger *l, bool skip_bad, bool take_long, struct fail *f);
// What was wrong, and the columns that nothing used, on stderr.
void ledger_print_problems(const struct ledger *l, struct log *log);
// The summary for people, on stderr. split: there is a second part.
void ledger_print(const struct ledger *l, struct log *log, bool split);
void ledger_warn_lost(const struct ledger *l); // where it is more than a tenth of the rows

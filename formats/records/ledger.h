// What became of the rows of a data set: how many came in, were dropped or cut and why, how many
// tokens they made. Plain memory, so that it travels with a checkpoint.
#pragma once
#include "common/base/log.h"
#include <stdint.h>

enum { LEDGER_REASONS = 12, LEDGER_PARTS = 2 };

struct ledger {
    uint64_t rows_in, bad, long_dropped, no_room, truncated, split, same;
    uint64_t rows_out[LEDGER_PARTS], tokens[LEDGER_PARTS], trained[LEDGER_PARTS]; // train, valid
    uint64_t longest; // tokens of a row before it was cut
    uint64_t with_bos, with_eos;
    struct ledger_reason {
        char text[80];
        uint64_t n;
    } reasons[LEDGER_REASONS]; // of bad rows
};

// Counts a bad row by its message "'file' line 7: reason".
void ledger_bad(struct ledger *l, const char *message);
// The summary for people, on stderr. split: there is a second part. max_length 0: none.
void ledger_print(const struct ledger *l, struct log *log, bool split, uint64_t max_length);

// CSV by libcsv, the only door to it, as RFC 4180 defines it: quotes doubled inside quotes, line
// breaks inside quotes, CR, LF or CRLF between rows, blanks kept. A quote in an unquoted field and
// an unclosed quote are errors; rows of blanks lines are skipped.
#pragma once
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>

struct csv_row { // fields end to end; field i is text[end[i-1]] .. text[end[i]-1]
    struct str text;
    size_t n, capacity, *end;
};
const char *csv_field(const struct csv_row *r, size_t i, size_t *n);
void csv_row_release(struct csv_row *r);

struct csv;
struct csv *csv_new(char delimiter);
// Feeds bytes that hold at most one line end, the last byte; *done: a row was completed, in `row`
// (which keeps its buffers and must be the same until then). False: an error, see csv_message.
bool csv_feed(struct csv *c, const char *bytes, size_t n, struct csv_row *row, bool *done);
bool csv_end(struct csv *c, struct csv_row *row, bool *done); // the last row may lack its line end
const char *csv_message(const struct csv *c);
void csv_release(struct csv *c);

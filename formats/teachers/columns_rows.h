// A file with rows in memory, column by column, and where each row's elements lie in each column
// (FORMATS.md says how many a row has). Rows are copied as they are stored, so that split, filter
// and merge keep every number.
#pragma once
#include "formats/store/columns.h"

struct columns_rows;
// NULL: f says why; EXIT_BADDATA where columns contradict each other.
struct columns_rows *columns_rows_load(struct columns_reader *r, struct fail *f);
void columns_rows_free(struct columns_rows *c);
size_t columns_rows_count(const struct columns_rows *c);
// Appends row `row` to a writer of the same columns and ends it there.
bool columns_rows_copy(const struct columns_rows *c, size_t row, struct columns_writer *w);
// Tokens of a row (tokens, teacher; else 0), and targets of a loss among them.
size_t columns_rows_tokens(const struct columns_rows *c, size_t row);
size_t columns_rows_positions(const struct columns_rows *c, size_t row);

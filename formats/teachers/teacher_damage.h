// Which rows of a teacher shard are lost where chunks cannot be read. With a chunk of a column are
// lost all rows that have elements in it. With a chunk of length, mask or entries, which say where
// the elements of later rows begin, all rows from there to the end of the shard are lost.
#pragma once
#include "formats/store/columns.h"

enum damage_unit {
    DAMAGE_ROWS,
    DAMAGE_TOKENS,
    DAMAGE_POSITIONS,
    DAMAGE_TAILS, // `each` a position
    DAMAGE_SUPPORT,
    DAMAGE_LEVELS // `each` an entry
};

// Marks in lost (rows) what the holes in columns of `unit` cost. Row r has the elements
// each * first[r] .. each * first[r+1] - 1 of them; with first NULL, element r.
void damage_mark(const struct columns_holes *h, enum damage_unit unit, size_t rows,
                 const size_t *first, size_t each, bool *lost);
// How many elements of the column lie before its first hole, n at most. A name that ends in '*'
// stands for all columns whose names begin so.
size_t damage_before(const struct columns_holes *h, const char *column, size_t n);
// "column 'level_low', elements 0 to 65535 (rows 3 to 17)": the first hole and the rows lost.
void damage_text(const struct columns_holes *h, size_t rows, const bool *lost, size_t first_row,
                 struct str *to);

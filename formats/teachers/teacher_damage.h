// Which rows of a teacher shard are lost with chunks that cannot be read. A chunk of what belongs
// to rows, tokens, positions or entries takes the rows with it that have a part of theirs in it; a
// chunk from which the places of all that follows are known (length, mask, entries) takes the rest
// of the shard.
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

// Marks lost (rows) for the holes in columns of `unit`, row r having the elements each * first[r]
// .. each * first[r+1] - 1 of them (NULL: element r).
void damage_mark(const struct columns_holes *h, enum damage_unit unit, size_t rows,
                 const size_t *first, size_t each, bool *lost);
// Elements of the column (all columns, where it ends in '*', whose names so begin) before the first
// hole, at most n.
size_t damage_before(const struct columns_holes *h, const char *column, size_t n);
// "column 'level_low', elements 0 to 65535 (rows 3 to 17)": the first hole and the rows lost.
void damage_text(const struct columns_holes *h, size_t rows, const bool *lost, size_t first_row,
                 struct str *to);

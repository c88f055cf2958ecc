// A table of text cells in memory, from CSV, TSV, JSONL or a JSON array of objects: logs, results,
// responses. Small files; what is larger than SHEET_CELLS is refused.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>

enum { SHEET_CELLS = 1 << 25 };
#define SHEET_NONE ((size_t)-1) // no such column

struct sheet {
    char *path;
    size_t columns, rows;
    char **name; // (columns)
    // ---- inside
    size_t name_capacity, cell_capacity, stride;
    size_t *cell; // (rows, stride) offsets in `text`, 0: empty
    struct str text;
};
// At most `most` rows (0: all). A row that cannot be read is a failure that names its line, except
// a last one that is still being written. f may be set before: then nothing happens.
bool sheet_read(struct sheet *s, const char *path, size_t most, struct fail *f);
void sheet_release(struct sheet *s);
// Adds the rows of `from`, behind a first column `file` that holds `name`; `to` begins as {0}.
// False: its columns are others than those of what was added before.
bool sheet_append(struct sheet *to, const struct sheet *from, const char *name);
size_t sheet_find(const struct sheet *s, const char *column);
const char *sheet_text(const struct sheet *s, size_t row, size_t column); // "" where it is empty
double sheet_number(const struct sheet *s, size_t row, size_t column); // NaN where it is no number
// The column with the standard error of this one: NAME_error, SHEET_NONE: none.
size_t sheet_error(const struct sheet *s, size_t column);
bool sheet_is_error(const struct sheet *s, size_t column); // of another column

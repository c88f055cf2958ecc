// Rows of a stream of JSON objects (one per line) or of CSV with a header, taken up as they come: a
// row is handed out before the next line is read, so that a program can answer line by line. Which
// of the two it is follows from the first byte that is not blank.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

struct rows;
// path "-": stdin. names (n): the fields wanted; the first `needed` of them must be in every row.
// Errors stick to f: EXIT_FAILED (cannot read), EXIT_BADDATA (with the line).
struct rows *rows_open(const char *path, size_t n, const char *const *names, size_t needed,
                       struct fail *f);
bool rows_next(struct rows *r); // false: the end, or a failure
// Field i of the row: text as it is, other JSON values as JSON. NULL: not there, or null. Holds
// until the next rows_next.
const char *rows_field(const struct rows *r, size_t i, size_t *n);
// Field i as a number; NaN: not there, or no number.
double rows_number(const struct rows *r, size_t i);
void rows_close(struct rows *r);

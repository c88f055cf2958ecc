// Long results, a row per token, response or pair: CSV or JSON (by the name's ending) in a file
// that is written whole or not at all, or CSV on stdout. Cells are added from left to right.
// Numbers have every digit; nan and infinities are null in JSON.
#pragma once
#include "common/base/fail.h"
#include <stddef.h>

struct rows;
// output NULL: stdout. names outlive the rows.
struct rows *rows_new(size_t columns, const char *const *names, const char *output);
void rows_number(struct rows *r, double value);
void rows_text(struct rows *r, const char *text, size_t n);
// Writes or prints, and frees; with f set already it only frees. NULL: nothing to do. False: f is
// set.
bool rows_finish(struct rows *r, struct fail *f);

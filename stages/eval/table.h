// A result table: texts and numbers in named columns, aligned on stdout for people, and with -o as
// CSV or JSON (by the name's ending) with every digit. Cells are added from left to right; a row is
// complete when each column has its cell.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

struct table;
struct table *table_new(size_t columns, const char *const *names); // names outlive the table
void table_text(struct table *t, const char *text);
void table_number(struct table *t, double value, int decimals); // NaN: empty
// Prints, writes `output` unless NULL, frees. False with f set: the file could not be written.
bool table_finish(struct table *t, const char *output, struct fail *f);
bool table_output_ok(const char *output); // NULL, or it ends in .csv or .json

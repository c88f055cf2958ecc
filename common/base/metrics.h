// The numbers of a run in a file (--log): one row per step, .csv (columns fixed at the first
// row: give all of them in it) or .jsonl by the name's ending. Numbers in their shortest round-trip
// form. A row is written when it ends; a value a row lacks is empty (CSV) or absent (JSON), nan is
// "nan" or null. On resume the file is cut back to the rows with step <= resume_step, and an
// incomplete last line is dropped. What cannot be opened or written, or exists and is no log, ends
// the program, exit 1; another ending, exit 2.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct metrics;
// What can be said of a path at once: its ending, and that it is not there or a log. NULL is fine.
void metrics_check(const char *path);
// NULL path: keeps the values of the current row in memory and writes nothing. resume_step 0: a new
// file.
struct metrics *metrics_open(const char *path, uint64_t resume_step);
double metrics_get(const struct metrics *m, const char *name); // of the current row; nan: none
void metrics_value(struct metrics *m, const char *name, double value); // for the current row
// The same, left out where the columns are fixed without it: for what only some runs have.
void metrics_extra(struct metrics *m, const char *name, double value);
// A value that this row may lack, as long as its column is there.
void metrics_column(struct metrics *m, const char *name);
// What the file's last row says that resuming has kept; 0: no such row or number.
double metrics_resumed(const struct metrics *m, const char *name);
void metrics_row(struct metrics *m, uint64_t step); // ends the row
void metrics_sync(struct metrics *m);               // at a checkpoint
void metrics_close(struct metrics *m);

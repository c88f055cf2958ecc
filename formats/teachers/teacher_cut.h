// Cuts stored supports further, without the teachers: the mass of removed entries goes to the tail.
// In the components layout an entry stays if it would stay at some alpha of the grid.
#pragma once
#include "formats/teachers/teacher_file.h"

struct teacher_cutter; // room for one row
struct teacher_cutter *teacher_cutter_new(const struct teacher_grid *grid);
void teacher_cutter_free(struct teacher_cutter *c);
// *out: the row after the cut (its `must` is not used). Valid until the next call, and while `row`
// is.
void teacher_cutter_row(struct teacher_cutter *c, const struct teacher_cut *cut,
                        const struct teacher_row *row, struct teacher_row *out);

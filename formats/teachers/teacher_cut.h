// Fewer entries for what is stored, without the teachers: what the cut leaves out goes to the tail.
// Under the components layout an entry stays that would stay at some alpha of the grid.
#pragma once
#include "formats/teachers/teacher_file.h"

struct teacher_cutter; // room for one row
struct teacher_cutter *teacher_cutter_new(const struct teacher_grid *grid);
void teacher_cutter_free(struct teacher_cutter *c);
// *out: the row, cut (no `must`). Lives until the next call, and as long as `row`.
void teacher_cutter_row(struct teacher_cutter *c, const struct teacher_cut *cut,
                        const struct teacher_row *row, struct teacher_row *out);

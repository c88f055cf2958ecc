// What a teacher shard states against what its rows hold: those who read it take their room from
// `max_length` and `vocab`, and compute with the numbers as they are.
#pragma once
#include "formats/teachers/teacher_file.h"

// False: f names the first row that is wrong of the file in r. `plain`: the numbers were stored as
// they are (bits 32) rather than as codes, which cannot be wrong so. Rows that are lost are passed
// over.
bool teacher_check(const struct teacher_shard *t, const struct teacher_info *i, bool plain,
                   struct columns_reader *r, struct fail *f);

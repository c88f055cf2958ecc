// Checks a decoded shard's rows against its attributes and its numbers for sense, since readers
// allocate by `max_length` and `vocab` and compute with the numbers unchecked.
#pragma once
#include "formats/teachers/teacher_file.h"

// False: f names the file of r and its first wrong row. `plain`: numbers are stored as they are
// (bits 32); codes cannot stand for senseless numbers. Lost rows are skipped.
bool teacher_check(const struct teacher_shard *t, const struct teacher_info *i, bool plain,
                   struct columns_reader *r, struct fail *f);

// What commands do alike that look at a teacher cache beside the models it was dumped from: those
// models, and some of its rows as tokens to run them on. All die where something does not fit.
#pragma once
#include "formats/teachers/teacher_file.h"
#include "stages/shared/teachers.h"

// Loads what the file's rule takes; nothing where the teachers are there, from an earlier file.
void cache_models_load(struct teachers *t, const struct teacher_rule *rule, const char *path,
                       struct parents *parents);
// Whether the file's vocabulary, rule and lineage are those of the models (of the last it warns).
void cache_models_check(const struct teachers *t, const struct teacher_rule *rule,
                        const struct teacher_info *i, const struct columns_reader *r);
// row (n) = n random rows of the shard at most, ascending, free() it; t: their tokens.
size_t cache_rows_choose(const struct teacher_shard *s, size_t n, int64_t seed,
                         const struct teachers *models, const char *path, struct tokens *t,
                         size_t **row);

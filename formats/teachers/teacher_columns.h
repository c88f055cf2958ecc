// The columns of a teacher shard of bits 32, for what reads and writes shards; FORMATS.md says what
// each holds. Columns before ENTRIES are of every shard; a coded one has its fields' in place of
// the others.
#pragma once
#include "formats/store/columns.h"

enum {
    IDS,
    MASK,
    LENGTH,
    PROMPT,
    ENTRIES,
    SUPPORT,
    LOGP,
    TAIL,
    ALPHA,
    TVD,
    REALISED,
    ENTROPY,
    MOST, // from version 5 on, not of components
    TEACHER_COLUMNS,
    ROW_COLUMNS = ENTRIES
};
extern const struct column teacher_columns[TEACHER_COLUMNS];

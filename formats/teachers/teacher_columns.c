#include "formats/teachers/teacher_columns.h"

const struct column teacher_columns[TEACHER_COLUMNS] = {
    [IDS] = {"ids", COLUMN_I32},           [MASK] = {"mask", COLUMN_U8},
    [LENGTH] = {"length", COLUMN_I32},     [PROMPT] = {"prompt_length", COLUMN_I32},
    [ENTRIES] = {"entries", COLUMN_U16},   [SUPPORT] = {"support", COLUMN_I32},
    [LOGP] = {"logp", COLUMN_F32},         [TAIL] = {"log_tail", COLUMN_F32},
    [ALPHA] = {"alpha", COLUMN_F32},       [TVD] = {"tvd", COLUMN_F32},
    [REALISED] = {"realised", COLUMN_F32}, [ENTROPY] = {"entropy", COLUMN_F32},
    [MOST] = {"log_most", COLUMN_F32},
};

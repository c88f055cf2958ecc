#include "stages/shared/data_check.h"
#include "common/base/log.h"

void data_check(const struct model_file *m, struct hash128 tokenizer, size_t top, size_t longest,
                size_t rows, const char *what) {
    struct hash128 none = {0};
    if (!rows) die(EXIT_BADDATA, "no rows in '%s'; nothing to do", what);
    if (!hash_equal(m->tokenizer, none) && !hash_equal(tokenizer, none) &&
        !hash_equal(m->tokenizer, tokenizer))
        die(EXIT_BADDATA,
            "'%s' was tokenised by another tokenizer than the model's; run tokenize "
            "--model with this model",
            what);
    if (top > m->model.config.vocab_used)
        die(EXIT_BADDATA, "'%s' has token ids up to %zu, the model's vocabulary has %zu entries",
            what, top - 1, m->model.config.vocab_used);
    if (longest > m->model.config.max_positions)
        die(EXIT_BADDATA,
            "'%s' has a row of %zu tokens, the model takes %zu; tokenize with "
            "--max-length %zu --on-long truncate (or drop)",
            what, longest, m->model.config.max_positions, m->model.config.max_positions);
}

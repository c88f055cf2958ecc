#include "stages/shared/best_of.h"
#include <stdlib.h>

static struct reward_text text_of(const struct tokens *t, size_t row) {
    size_t np = (size_t)t->prompt_length[row];
    const int32_t *ids = t->ids + t->first[row];
    return (struct reward_text){.prompt = ids,
                                .response = ids + np,
                                .prompt_tokens = np,
                                .response_tokens = t->first[row + 1] - t->first[row] - np};
}

static bool write_best(const struct tokens *t, size_t n, const double *score,
                       struct columns_writer *w) {
    bool good = true;
    for (size_t row = 0; good && row + n <= t->rows; row += n) {
        size_t best = row;
        for (size_t i = row; i < row + n; i++)
            if (score[i] > score[best]) best = i;
        good = tokens_write(w, t->ids + t->first[best], t->mask + t->first[best],
                            t->first[best + 1] - t->first[best], (size_t)t->prompt_length[best]);
    }
    return good;
}

bool best_of_choose(const char *candidates, size_t n, struct scorer *s, size_t tokens,
                    struct columns_writer *w, struct log *log, struct fail *f) {
    struct tokens t;
    if (!tokens_load(&t, 1, &candidates, f)) return false;
    struct reward_text *text = xmalloc(t.rows * sizeof *text);
    double *score = xmalloc(t.rows * sizeof *score);
    for (size_t i = 0; i < t.rows; i++) text[i] = text_of(&t, i);
    bool good = scorer_run(s, text, t.rows, tokens, log, score, f) && write_best(&t, n, score, w);
    free(text);
    free(score);
    tokens_release(&t);
    return good;
}

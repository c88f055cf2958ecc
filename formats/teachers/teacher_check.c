#include "formats/teachers/teacher_check.h"
#include <math.h>
#include <stdlib.h>

// A logarithm of a probability; what is rounded may come out a little above 0.
static bool is_log(float x) {
    return isfinite(x) && x <= 1e-3f;
}

// seen (vocab): the last position, counted from 1, whose support held the token.
static const char *wrong_support(const struct teacher_position *p, size_t vocab, size_t number,
                                 size_t *seen) {
    if (!p->n) return "it has no entries";
    for (uint32_t k = 0; k < p->n; k++) {
        if (p->ids[k] < 0 || (size_t)p->ids[k] >= vocab) return "an id leaves the vocabulary";
        if (seen[p->ids[k]] == number) return "a token is twice in its support";
        if (!is_log(p->logp[k])) return "a log p* is none";
        seen[p->ids[k]] = number;
    }
    return NULL;
}

static const char *wrong_number(const struct teacher_position *p, float entropy, bool composed) {
    if (!is_log(p->log_tail) || p->log_tail > 0) return "its log Q is none";
    if (!isfinite(p->alpha)) return "its alpha is not finite";
    if (!(p->tvd >= -1e-3f && p->tvd <= 1.001f)) return "its TVD is none";
    if (composed && !is_log(p->realised)) return "the log p* of its token is none";
    return isfinite(entropy) ? NULL : "its entropy is not finite";
}

bool teacher_check(const struct teacher_shard *t, const struct teacher_info *i, bool plain,
                   struct columns_reader *r, struct fail *f) {
    size_t *seen = plain ? xcalloc(i->vocab, sizeof *seen) : NULL;
    const char *wrong = NULL;
    for (size_t row = 0; !wrong && row < t->rows; row++) {
        size_t n = t->first[row + 1] - t->first[row], number = columns_part(r).first_row + row;
        if (t->lost[row]) continue;
        if (n > i->max_length)
            fail_set(f, EXIT_BADDATA,
                     "'%s' is damaged: row %zu has %zu tokens, its longest is said to have %zu",
                     columns_path(r), number, n, i->max_length);
        if (f->code) break;
        size_t first = t->position_first[row], end = t->position_first[row + 1];
        for (size_t k = first; plain && !wrong && k < end; k++) {
            wrong = wrong_support(&t->position[k], i->vocab, k + 1, seen);
            if (!wrong) wrong = wrong_number(&t->position[k], t->entropy[k], !t->grid.n);
            if (wrong)
                fail_set(f, EXIT_BADDATA, "'%s' is damaged: row %zu, position %zu: %s",
                         columns_path(r), number, k - first, wrong);
        }
    }
    free(seen);
    return !f->code;
}

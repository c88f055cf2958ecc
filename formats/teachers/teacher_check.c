#include "formats/teachers/teacher_check.h"
#include "common/engine/rowmath.h"
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

// The support and all else make 1, but for rounding.
static bool sums(const float *logp, size_t n, float log_tail) {
    return fabs(row_sum_exp(logp, n, 0) + exp((double)log_tail) - 1) <= 1e-3;
}

static const char *wrong_sum(const struct teacher_shard *t, size_t k) {
    const struct teacher_position *p = &t->position[k];
    const struct teacher_components *c = t->components ? &t->components[k] : NULL;
    bool fine = c ? sums(c->low, p->n, c->tail[0]) && sums(c->high, p->n, c->tail[t->grid.n - 1])
                  : sums(p->logp, p->n, p->log_tail);
    return fine ? NULL : "its p* and Q do not sum to 1";
}

static const char *wrong_number(const struct teacher_position *p, float entropy, bool composed) {
    if (!is_log(p->log_tail) || p->log_tail > 0) return "its log Q is none";
    if (!is_log(p->log_most) || p->log_most > 0) return "its largest log p* outside is none";
    if (!isfinite(p->alpha)) return "its alpha is not finite";
    if (!(p->tvd >= -1e-3f && p->tvd <= 1.001f)) return "its TVD is none";
    if (composed && !is_log(p->realised)) return "the log p* of its token is none";
    return isfinite(entropy) ? NULL : "its entropy is not finite";
}

static const char *wrong_position(const struct teacher_shard *t, size_t vocab, size_t k,
                                  size_t *seen) {
    const char *wrong = wrong_support(&t->position[k], vocab, k + 1, seen);
    if (!wrong) wrong = wrong_number(&t->position[k], t->entropy[k], !t->grid.n);
    return wrong ? wrong : wrong_sum(t, k);
}

bool teacher_check(const struct teacher_shard *t, const struct teacher_info *i, bool plain,
                   struct columns_reader *r, struct fail *f) {
    size_t *seen = plain ? xcalloc(i->vocab, sizeof *seen) : NULL;
    for (size_t row = 0; !f->code && row < t->rows; row++) {
        size_t n = t->first[row + 1] - t->first[row], number = columns_part(r).first_row + row;
        if (t->lost[row]) continue;
        if (n > i->max_length)
            fail_set(f, EXIT_BADDATA,
                     "'%s' is damaged: row %zu has %zu tokens, its longest is said to have %zu",
                     columns_path(r), number, n, i->max_length);
        size_t first = t->position_first[row], end = t->position_first[row + 1];
        for (size_t k = first; plain && !f->code && k < end; k++) {
            const char *wrong = wrong_position(t, i->vocab, k, seen);
            if (wrong)
                fail_set(f, EXIT_BADDATA, "'%s' is damaged: row %zu, position %zu: %s",
                         columns_path(r), number, k - first, wrong);
        }
    }
    free(seen);
    return !f->code;
}

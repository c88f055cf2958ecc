#include "formats/teachers/sources.h"

// ---- tokens ----

static size_t tokens_part(void *self, size_t part) {
    return ((struct tokens *)self)->part_rows[part];
}

static size_t count_targets(const uint8_t *mask, size_t n) {
    size_t targets = 0;
    for (size_t i = 1; i < n; i++) targets += mask[i] != 0;
    return targets;
}

static size_t tokens_measure(void *self, size_t row, struct step_totals *totals) {
    const struct tokens *t = self;
    size_t n = t->first[row + 1] - t->first[row];
    totals->tokens += count_targets(t->mask + t->first[row], n);
    totals->responses++;
    return n;
}

static bool tokens_add(void *self, struct batch *b, size_t row, struct fail *f) {
    const struct tokens *t = self;
    (void)f;
    batch_sequence(b, t->ids + t->first[row], t->mask + t->first[row],
                   t->first[row + 1] - t->first[row], row, RESPONSE_ONLY);
    return true;
}

void source_tokens(struct source *s, struct tokens *t) {
    *s = (struct source){.self = t,
                         .rows = t->rows,
                         .parts = t->parts,
                         .longest = t->longest,
                         .span = t->longest,
                         .part_rows = tokens_part,
                         .measure = tokens_measure,
                         .add = tokens_add};
}

// ---- pairs ----

static size_t pairs_part(void *self, size_t part) {
    return ((struct pair_source *)self)->pairs->part_rows[part];
}

static size_t pairs_measure(void *self, size_t row, struct step_totals *totals) {
    const struct pair_source *s = self;
    const struct pairs *p = s->pairs;
    size_t np = p->prompt_first[row + 1] - p->prompt_first[row];
    size_t nc = p->chosen_first[row + 1] - p->chosen_first[row];
    size_t nr = p->rejected_first[row + 1] - p->rejected_first[row];
    totals->tokens += nc + nr;
    totals->responses += 2;
    return np + nc + nr - (s->scored ? 0 : 2); // a response's last token predicts nothing
}

static bool pairs_add(void *self, struct batch *b, size_t row, struct fail *f) {
    const struct pair_source *s = self;
    const struct pairs *p = s->pairs;
    (void)f;
    size_t n[2] = {p->chosen_first[row + 1] - p->chosen_first[row],
                   p->rejected_first[row + 1] - p->rejected_first[row]};
    (s->scored ? batch_scored : batch_shared)(
        b, p->prompt + p->prompt_first[row], p->prompt_first[row + 1] - p->prompt_first[row], 2,
        (const int32_t *const[]){p->chosen + p->chosen_first[row],
                                 p->rejected + p->rejected_first[row]},
        n, (enum response_role[]){RESPONSE_CHOSEN, RESPONSE_REJECTED}, row);
    if (!s->chosen) return true;
    struct response *r = &b->response[b->responses - 2];
    r[0].ref_logp = s->chosen[row];
    r[1].ref_logp = s->rejected[row];
    return true;
}

void source_pairs(struct source *s, struct pair_source *p) {
    *s = (struct source){.self = p,
                         .rows = p->pairs->rows,
                         .parts = p->pairs->parts,
                         .longest = p->pairs->longest_shared + (p->scored ? 2 : 0),
                         .span = p->pairs->longest,
                         .part_rows = pairs_part,
                         .measure = pairs_measure,
                         .add = pairs_add};
}

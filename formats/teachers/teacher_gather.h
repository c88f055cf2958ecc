// One position of the components layout, from the models' full-vocabulary logits: the union of the
// supports of p* over the grid, log p* at its ends, the tail masses, TVD and entropy. Holds room
// for every thread; positions may be gathered in parallel.
#pragma once
#include "common/method/support.h"
#include "formats/teachers/teacher_components.h"

struct teacher_gather;
struct teacher_gather *teacher_gather_new(const struct teacher_rule *rule,
                                          const struct teacher_grid *grid, size_t V, int threads);
size_t teacher_gather_bytes(const struct teacher_grid *grid, size_t V, bool budget); // of a thread
void teacher_gather_free(struct teacher_gather *g);
// Entries that a position may have under `cut`.
size_t teacher_gather_room(const struct teacher_grid *grid, const struct teacher_cut *cut,
                           size_t V);

struct teacher_logits { // (V) each, at one position
    const float *base, *dpo, *negative;
};
struct teacher_gathered {
    uint32_t n;
    int32_t *ids;               // (room) ascending
    float *low, *high;          // (room)
    float *tail;                // (grid)
    double tvd, alpha, entropy; // alpha and entropy by the rule
};
// self: parallel_self(). False: the logits are not finite.
bool teacher_gather(struct teacher_gather *g, int self, const struct teacher_logits *z,
                    const struct teacher_cut *cut, int32_t realised, struct teacher_gathered *to);
// The same with a support that keeps the student's gradient, own (V) its log p, within the budget
// at every alpha of the grid, typical (grid). *within: whether it could.
bool teacher_gather_within(struct teacher_gather *g, int self, const struct teacher_logits *z,
                           const struct support_budget *b, const struct support_sizes *typical,
                           const float *own, const int32_t also[2], struct teacher_gathered *to,
                           bool *within);
// sizes (grid): of the student's gradients at every alpha of the grid.
void teacher_gather_sizes(struct teacher_gather *g, int self, const struct teacher_logits *z,
                          const float *own, struct support_sizes *sizes);
// log p* (V) by the rule itself, of the position that this thread gathered last.
const float *teacher_gather_star(const struct teacher_gather *g, int self);
// The same numbers on the support `to->ids` (to->n, ascending) as it is.
bool teacher_gather_given(struct teacher_gather *g, int self, const struct teacher_logits *z,
                          struct teacher_gathered *to);

// Inference over many rows: micro-batches in which every data row is a unit of its own, so that a
// row's numbers do not depend on its neighbours, and the log-probabilities of the targets.
#pragma once
#include "common/engine/net.h"
#include "common/training/train.h"

// logp (positions): log p(target) of each position of b. Runs the forward pass.
void score_positions(struct net *net, const struct batch *b, double *logp);
// The same from given logits: logits (count,V) of positions first .. first+count-1.
void score_chunk(const struct batch *b, struct chunk c, const float *logits, size_t V,
                 double *logp);

// Fills b with rows first .. of the source, each a unit of its own, until `tokens` are in it (one
// row at least). Returns the next row; `first` again: a failure is in f.
size_t score_fill(struct batch *b, struct source *s, size_t first, size_t end, size_t tokens,
                  struct fail *f);
// The mean loss of all rows of the source, as one step of the objective; its other numbers go to m.
// Several ranks run it together, each on a share of the rows.
// False with f set where a row cannot be read. Weights are not touched.
bool score_objective(struct objective *o, struct net *net, struct source *s, size_t tokens,
                     struct metrics *m, double *loss, struct fail *f);
// Limits of an inference net for such batches: `tokens`, or all that the source has (rows, if
// known, times longest), whichever is less, and one row at least.
struct net_limits score_limits(const struct source *s, size_t tokens);

// Which tokens of p* a cache must keep, so that a student that trains from it has the gradient of
// the dense teacher within a budget. Decided at each position from log-probabilities that are there
// when p* is composed: a position at which student and teacher agree, or are sure, needs few
// tokens, another one hundreds.
//
// With g the dense gradient of the student's logits and h the cache's (METHOD.md sections 3 and 4),
//   |g - h| <= error max(|g|, typical)
// is held for both divergences at two students: the one that is given, where training starts, and
// the one half-way from it to p*, p^(1/2) p*^(1/2) normalised, which stands for those that training
// passes through; there `middle` is allowed. `typical` is the root of the mean square of |g| over
// positions: where teacher and student are sure alike, a gradient is so small that its error does
// not matter beside the others'. g - h follows from sums over the tokens left out, so one pass over
// the vocabulary decides:
//   fkl  g - h = p Q/P - p* off the support, 0 on it
//   rkl  g - h = p (a - A - d) off, -p d on it;  a = log p - log p*, A = log P - log Q,
//        d = sum of p a over what is left out, less P A
// Tokens are ranked by the larger of p* and p first. What that leaves out gives A and d, and with
// these each token's own part of the error is known: tokens are ranked by it again, the fewest that
// keep the budget are taken, and the most likely one of p*. What training does to a position where
// both are sure cannot be foreseen: `least` keeps those that it may turn to, and the cache holds
// the largest p* of the others. Where p* is sure few tokens are likely at all, and more of them
// cost little: with fewer than ten effective tokens (e to its entropy) `least` is less in
// proportion.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUPPORT_STUDENTS = 2, SUPPORT_KINDS = 2 }; // start, half-way; fkl, rkl
struct support_sizes {
    double g[SUPPORT_STUDENTS][SUPPORT_KINDS]; // |g|
};
// Of a position: star, own (V): log p*, log p of the student; padding is -INFINITY.
struct support_sizes support_gradients(const float *star, const float *own, size_t V);

// The number of this choice, recorded with what it has chosen: raise it with any change that keeps
// other tokens for the same budget, so that no cache of the former one passes for one of this.
enum { SUPPORT_RULE = 3 };

struct support_budget {
    double error, middle; // 0 < both
    double least;         // tokens at least this likely, in p* or to the student, are kept anyway,
                          // and less likely ones where p* is sure
    size_t most;          // tokens, whatever the error is then
};
// Both for a position that weighs 1 / alpha in the loss, where the root mean square of weights is
// `typical`: its error counts as much more, and `least`, for what is not foreseen there, is lower
// where it weighs most (METHOD.md section 4).
struct support_budget support_budget_of(const struct support_budget *b, double alpha,
                                        double typical);
struct support_sizes support_sizes_of(const struct support_sizes *s, double alpha);
// What teacher-dump keeps with --error-budget ERROR alone.
struct support_budget support_budget_default(double error);
struct support_token {
    int32_t id;
    float rank, star, own;                              // what it is ranked by; log p*; log p
    float q, p[SUPPORT_STUDENTS], pa[SUPPORT_STUDENTS]; // p*; p and p a of the students
};
// ids (most) = the tokens to keep, 1 at least, and their number; false: even `most` of them are not
// within the budget. scratch: (V).
bool support_within(const struct support_budget *b, const struct support_sizes *typical,
                    const float *star, const float *own, size_t V, struct support_token *scratch,
                    int32_t *ids, size_t *n);

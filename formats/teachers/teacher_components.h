// The components layout of a teacher cache: p* of every strength from one dump. log p* of a token
// is, but for the normaliser, linear in alpha. So a position keeps log p* at the two ends of a grid
// of alphas, on the union of the supports over the grid, and log Q, the exact mass outside, at
// every alpha of the grid. Between grid points, with w = (alpha - first) / (last - first):
//
//   u(v) = (1 - w) log p*_first(v) + w log p*_last(v)       exact, up to a constant of alpha
//   t    = log of the sum of exp u over the tokens outside  convex in alpha, known at the grid
//   Q    = e^t / (e^t + sum over S of e^u),   log p*(v) = u(v) - log(e^t + sum over S of e^u)
//
// t is interpolated by the cubic through the four nearest grid points, within the bracket that its
// convexity gives: below the chord of its two neighbours, above the chords beside it prolonged.
#pragma once
#include "common/method/teacher.h"

enum { GRID_MOST = 16 };
struct teacher_grid { // ascending; n 0: not of this layout
    size_t n;
    double alpha[GRID_MOST];
};
// "0,0.5,2": 3 to GRID_MOST numbers from 0, ascending. False: it is no such list.
bool teacher_grid_parse(const char *text, struct teacher_grid *g);
char *teacher_grid_text(const struct teacher_grid *g);    // its inverse; free() it
struct teacher_grid teacher_grid_around(double strength); // 0 S/8 S/4 S/2 S 1.5S 2S; 0: of 1
// Whether every alpha of the rule lies in the grid, whose end counts 0.001 further, as `damped` and
// `tvd` add that much. *low, *high: the rule's alphas at TVD 0 and 1, in order.
bool teacher_grid_covers(const struct teacher_grid *g, const struct teacher_rule *rule, double *low,
                         double *high);

struct teacher_components {  // one position
    const float *low, *high; // (n) log p* at the grid's first and last alpha
    const float *tail;       // (grid) log Q
};
// logp (n) = log p* at alpha, *log_tail = log Q. bracket: NULL, or the least and the most that log
// Q can be.
void teacher_components_compose(const struct teacher_grid *g, const struct teacher_components *p,
                                size_t n, double alpha, float *logp, float *log_tail,
                                double bracket[2]);

// The levels of teacher_codec.h for this layout: they reach to log p = -2000, since what is
// unlikely at one end of the grid may be likely between, in steps of min(d exp(c x), (1 + x)/k).
// (*n); free() it. NULL: not for these bits.
float *teacher_components_levels(int bits, size_t *n);
// The most by which a level may be off in log p.
double teacher_components_error(int bits, double logp);

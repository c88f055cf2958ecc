// Arena-Hard's arithmetic: how often a model is preferred to a baseline, from a judge's verdicts on
// pairs of answers, with intervals by the bootstrap and, where asked for, at equal style. The two
// published versions differ; both are here:
//
// v0.1: Bradley-Terry ratings by logistic regression, the score is the rate at which the rating
//       predicts a win over the baseline; intervals from quantiles 0.025 and 0.975.
//       Style: (a - b) / (a + b + 1) of tokens, headers, list items and bold texts, standardised
//       (n), a ridge of 1 on all coefficients with every battle counted twice.
// v2:   the mean outcome; intervals from quantiles 0.05 and 0.95. Style: (a - b) / (a + b) of
//       tokens, (a - b) / (a + b + 1) of the other counts a token, standardised (n - 1), no ridge.
//
// A strong verdict (A>>B) is as many battles as its weight says: three rows, by both versions.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_STYLES = 4 }; // tokens, headers, list items, bold texts
enum arena_version { ARENA_V01, ARENA_V2 };

struct arena_battle {
    size_t model;
    double outcome;                                    // 1: the model's win, 0.5: a tie, 0: a loss
    double ours[ARENA_STYLES], baseline[ARENA_STYLES]; // counts; read where a style is controlled
};
struct arena_rules {
    enum arena_version version;
    bool length, markdown; // controlled: tokens; headers, list items and bold texts
    size_t rounds;         // of the bootstrap
    uint64_t seed;
};
struct arena_score { // shares of 1
    double score, lower, upper;
};
// b (n); score (models); style (ARENA_STYLES): coefficients of what is controlled, else NaN. A
// model without battles gets NaN. models + 1 + ARENA_STYLES <= WINRATE_FEATURES.
void arena_scores(const struct arena_battle *b, size_t n, size_t models,
                  const struct arena_rules *rules, struct arena_score *score,
                  double style[ARENA_STYLES]);

// What a verdict means for the model that was shown as assistant B: "A>>B", "A>B", "A=B", "B>A",
// "B>>A", or the same turned round ("A<<B"). False: no such label. *strong: it counts more often.
bool arena_label(const char *label, double *outcome, bool *strong);

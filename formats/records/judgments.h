// A judge's verdicts in the benchmarks' own files: MT-Bench's ratings of turns, Arena-Hard's pairs
// of games. Whole files in memory; EXIT_BADDATA names file and line.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>
#include <stddef.h>

struct judgment {
    char *id, *model, *category; // category "": not said
    int turn;                    // MT-Bench: 1 or 2; 0: games
    double score;                // MT-Bench: -1 where the judge gave none
    char game[2][8];             // Arena-Hard: labels, "" where the judge gave none
};
struct judgments {
    size_t n;
    struct judgment *items; // in the order of the files
    size_t models;
    char **model;   // (models) their names, in order of appearance
    bool games, v2; // Arena-Hard; of its second version (uid)
};
bool judgments_load(struct judgments *j, size_t n, const char *const *paths, struct fail *f);
size_t judgments_model(const struct judgments *j, const char *name); // its index; models: none
void judgments_release(struct judgments *j);

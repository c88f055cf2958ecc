// "Did you mean ...?": the candidate nearest to a mistyped word.
#pragma once
#include <stddef.h>

struct nearest {
    const char *word;
    size_t length;
    size_t least;     // distance that a candidate has to stay under
    const char *best; // NULL: nothing is near
};
struct nearest nearest_to(const char *word, size_t length);
void nearest_try(struct nearest *n, const char *candidate);

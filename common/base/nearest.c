#include "common/base/nearest.h"
#include <stdbool.h>
#include <string.h>

enum { MOST = 48 }; // letters; longer words are near to nothing

static size_t edits(const char *a, size_t na, const char *b, size_t nb) { // Levenshtein's distance
    size_t row[MOST + 1];
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t least = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < least) least = row[j] + 1;
            if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
            row[j] = least;
        }
    }
    return row[nb];
}

struct nearest nearest_to(const char *word, size_t length) {
    return (struct nearest){word, length, length / 3 + 2, NULL};
}

void nearest_try(struct nearest *n, const char *candidate) {
    size_t length = strlen(candidate);
    if (n->length > MOST || length > MOST) return;
    bool begins = n->length >= 3 && !strncmp(candidate, n->word, n->length);
    size_t d = begins ? 1 : edits(n->word, n->length, candidate, length);
    if (d >= n->least) return;
    n->least = d;
    n->best = candidate;
}

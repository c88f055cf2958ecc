// Best-of-n: of each prompt's n sampled responses the one that a scorer puts first (the earliest of
// equals).
#pragma once
#include "formats/tokens/tokens.h"
#include "stages/shared/scorer.h"

// candidates: a file of kind tokens, n rows for each prompt; the chosen rows go to w, one for each
// prompt. tokens: of a micro-batch of the reward model. False with f set.
bool best_of_choose(const char *candidates, size_t n, struct scorer *s, size_t tokens,
                    struct columns_writer *w, struct log *log, struct fail *f);

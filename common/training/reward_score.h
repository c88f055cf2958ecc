// A reward model over texts: one number for each prompt with its response, read at the last token.
// Every text is a unit of its own, so that its number does not depend on its neighbours.
#pragma once
#include "common/engine/model.h"

struct reward_text {
    const int32_t *prompt, *response;
    size_t prompt_tokens, response_tokens; // together at least 2
};
// score (n). tokens: of a micro-batch; one text may have more.
void reward_score(const struct model *m, const struct reward_text *text, size_t n, size_t tokens,
                  double *score);
size_t reward_score_plan(const struct model *m, size_t longest, size_t tokens); // arena bytes

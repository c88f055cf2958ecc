// Numbers for responses, by a command (one line of JSON {"prompt", "response"} in, one number a
// line out) or by a reward model. Dies on bad input, like stages/shared/training.h.
#pragma once
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/text/bpe.h"
#include "common/training/reward_score.h"
#include "formats/models/model_file.h"

struct scorer {
    const char *command, *reward_path; // --scorer, --reward-model: one of them, or neither
    double timeout;
    // internal
    struct model_file model;
    struct tokenizer *tokenizer; // of the models that answer
};
void scorer_rows(struct options *o, struct scorer *s);
bool scorer_is_set(const struct scorer *s); // dies where both are given
// After the parse: loads what scores and checks that it suits the models that answer; its hash
// becomes a parent.
void scorer_load(struct scorer *s, const struct model_file *answers, struct parents *parents);
// score (n) of texts whose prompt and response stand one behind the other (as rows of tokens do).
// tokens: of a micro-batch. False with f set: the command failed.
bool scorer_run(struct scorer *s, const struct reward_text *text, size_t n, size_t tokens,
                struct log *log, double *score, struct fail *f);
size_t scorer_plan(const struct scorer *s, size_t longest, size_t tokens); // bytes
void scorer_release(struct scorer *s);

// The strength S of a teacher from a budget: the S at which p* is K nats per response from the
// reference, E_{y ~ p*} sum_t KL(p*(.|s_t) || p_ref(.|s_t)), on a sample of prompts. Every trial
// samples its own responses, all with the same random numbers, so that the curve is smooth in S;
// the sum takes the exact KL at every prefix. Bracketed by doubling and halving from the S that is
// given, then halved in log S.
#pragma once
#include "common/training/online_teachers.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "formats/tokens/tokens.h"

struct target_kl_options {
    double kl; // K; 0: no search
    int64_t rows, max_new;
};
void target_kl_rows(struct options *o, struct target_kl_options *t);

struct target_kl {
    struct teacher_models models; // the reference always; the others as the rule wants them
    struct teacher_rule rule;     // its strength is where the search begins
    const struct tokens *prompts; // rows with prompts: kind prompt or sft
    const struct target_kl_options *options;
    size_t micro_tokens;
    int32_t eos; // -1: none
    uint64_t seed;
    struct log *log; // the curve, a line for every trial
};
struct target_kl_trial {
    double strength, kl;  // nats per response
    double error;         // standard error of kl over the responses
    double alpha, length; // mean alpha of the positions, mean tokens of the responses
};
// Bytes of the search in addition to the models. f: EXIT_BADDATA, as of the search.
size_t target_kl_plan(const struct target_kl *t, struct fail *f);
// One trial at a strength. False: asked to stop.
bool target_kl_try(struct target_kl *t, double strength, struct target_kl_trial *out);
// The strength, of at most 6 digits. False: a failure in f, EXIT_FAILED where no S gives that KL,
// or only the base without any teacher does (K at most that of strength 0), EXIT_BADDATA for
// prompts that are empty or too long, or EXIT_STOPPED.
bool target_kl_search(struct target_kl *t, struct target_kl_trial *best, struct fail *f);
// The strength of the option `alpha` that the teacher shard `path` states; 0: none, or, with f set,
// the machine cannot read it.
double target_kl_recorded(const char *path, struct fail *f);

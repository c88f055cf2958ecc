// The preference losses (METHOD.md section 2): one table says of each its name, the function of the
// contrast h, what it needs of the reference, and which options are its own.
#pragma once
#include "common/base/fail.h"
#include "common/engine/batch.h"
#include <stdbool.h>
#include <stddef.h>

enum preference_loss {
    PREFERENCE_DPO,
    PREFERENCE_CDPO,
    PREFERENCE_ROBUST,
    PREFERENCE_IPO,
    PREFERENCE_HINGE,
    PREFERENCE_SIMPO,
    PREFERENCE_TDPO1,
    PREFERENCE_TDPO2,
    PREFERENCE_REWARD
};
enum { PREFERENCE_LOSSES = PREFERENCE_REWARD + 1 };
struct preference_options {
    enum preference_loss loss;
    bool reverse; // swap the roles here; the batch keeps those of the data
    bool ipo_sum; // ipo on summed instead of mean log-probabilities
    double beta, smoothing, simpo_gamma, tdpo_alpha;
    // tdpo: fills ref_logp (count,V), the reference's log-probabilities of positions first ..;
    // asked twice for each chunk. Others: unused.
    void (*reference)(void *ctx, const struct batch *b, size_t first, size_t count,
                      float *ref_logp);
    void *reference_ctx;
};

enum { PREFERENCE_OWN = 2 }; // most options that a loss has for itself
struct preference_kind {
    const char *name;
    // loss of h = log p/p_ref of the preferred response - that of the other; *d its derivative
    double (*loss)(const struct preference_options *o, double h, double *d);
    bool no_reference; // h is of log p alone
    bool scored;       // h is of the numbers that a reward model gives (batch_scored), not of log p
    bool distribution; // needs the reference's whole distribution at each position
    bool mean;         // log-probabilities are means over the response (ipo: but for ipo_sum)
    bool known_start;  // at h = 0 the loss is the same whatever the lengths
    const char *own[PREFERENCE_OWN]; // options
};
const struct preference_kind *preference_kind(enum preference_loss loss);
void preference_names(char *names, size_t size); // "dpo|cdpo|...", in `size` bytes
bool preference_parse(const char *name, enum preference_loss *loss); // "dpo" ... "reward"
bool preference_needs_reference(enum preference_loss loss);          // ref_logp or the callback
bool preference_is_scored(enum preference_loss loss);                // trains a reward model
bool preference_needs_distribution(enum preference_loss loss);       // tdpo: the callback
// Whether the option is some loss's own and not this one's; *whose then says "cdpo and robust" in
// `size` bytes.
bool preference_idle(enum preference_loss loss, const char *option, char *whose, size_t size);
// Where the reference is the start model, the first step's loss must be that of h = 0 within 1e-5:
// false, with the reason in f, if it is not. Losses without a known start pass.
bool preference_check_start(const struct preference_options *o, double loss, struct fail *f);

struct preference_terms {   // of one pair; [0] the preferred response, [1] the other
    double logp[2], ref[2]; // log p(y|x), or the reward model's number
    double kl[2];           // tdpo: D, sum over positions of KL(p_ref || p)
    size_t length[2];
};
struct preference_result {
    double loss, reward[2];
    double d_logp[2], d_kl[2]; // derivatives of the loss
};
struct preference_result preference_pair(const struct preference_options *o,
                                         const struct preference_terms *t);

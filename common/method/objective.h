// Every objective is logits -> (loss, dlogits) over a chunk of positions, in place. SFT, preference
// losses and distillation share one model, one backward, one training loop through this interface.
//
// A step: begin_step (totals of the whole step, for normalisation); for each micro-batch: begin,
// then, where a loss needs whole responses first, first_pass over all chunks and between_passes;
// then backward over all chunks, logits to dlogits. end_step returns the step's mean loss and names
// its other numbers. Chunks may come in any order; rows of a chunk are worked on in parallel, and
// every sum is taken afterwards in double in position (or response) order, so that the bits depend
// neither on threads nor on micro-batches.
#pragma once
#include "common/engine/batch.h"
#include "common/method/divergence.h"
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/method/policy.h"
#include "common/method/preference_loss.h"
#include <stdbool.h>
#include <stddef.h>

struct step_totals { // over the whole optimiser step, all micro-batches
    size_t rows;     // data rows (sequences or pairs)
    size_t tokens;   // loss tokens (positions)
    size_t responses;
    uint64_t step; // counted from 0
};

struct objective {
    void *self;
    size_t vocab; // V, of logits rows
    size_t bytes; // that it takes for a chunk of logits; the rest is small
    void (*begin_step)(void *self, const struct step_totals *t);
    void (*begin)(void *self, const struct batch *b);
    void (*first_pass)(void *self, const struct batch *b, size_t first, size_t count,
                       const float *logits); // may be NULL
    void (*between_passes)(void *self, const struct batch *b);
    void (*backward)(void *self, const struct batch *b, size_t first, size_t count, float *logits);
    // mean loss of the step; writes its other numbers to m
    double (*end_step)(void *self, struct metrics *m);
    void (*release)(void *self);
};
void objective_free(struct objective *o);

// Cross-entropy, normalised by the step's loss tokens (METHOD.md section 1).
struct objective objective_sft_new(size_t vocab);

// The losses of preference_loss.h over pairs: two consecutive responses of one data row,
// one chosen and one rejected, both in the same micro-batch, with ref_logp set (not for simpo).
struct objective objective_preference_new(const struct preference_options *o, size_t vocab);

// Distillation from p* (METHOD.md sections 3 and 4), from a cache (batch.teacher: support and tail)
// or from online teachers (the callback: full log p*).
enum distill_weight { DISTILL_UNIFORM, DISTILL_INVERSE_ALPHA }; // 1, b0 / alpha_t (alpha_t > 0)
enum distill_normalise { DISTILL_SEQUENCE, DISTILL_TOKEN, DISTILL_SUM };
// Factor of position `at` in the step's loss, for a token weight of 1.
double distill_share(enum distill_normalise n, const struct step_totals *t, const struct batch *b,
                     size_t at);
struct distill_options {
    struct divergence divergence;
    enum distill_weight weight;
    enum distill_normalise normalise;
    double reward_beta; // b0
    // online teachers: fills logp (count,V) = log p* of positions first .., and alpha, tvd of info
    // (count). NULL: from the cache.
    void (*teacher)(void *ctx, const struct batch *b, size_t first, size_t count, float *logp,
                    struct teacher_position *info);
    void *teacher_ctx;
    // On the student's own samples: token and response take the score-function term in place of the
    // divergence, `exact` adds it; its weights are the batch's.
    enum reward_level level;
    bool exact;
    // May be NULL: fills out (count) for the metrics; logits (count,V) are the student's, logp and
    // info what `teacher` gave (NULL where the level takes no divergence, or the cache is
    // replayed).
    void (*watch)(void *ctx, const struct batch *b, size_t first, size_t count, const float *logits,
                  const float *logp, const struct teacher_position *info,
                  struct policy_position *out);
    uint64_t watch_every;            // steps, from the first one on; 0: every step
    struct distill_numbers *numbers; // may be NULL: of the step that ended
};
struct distill_numbers {
    double tail;            // the student's mass outside the cache's support, per position
    double length;          // tokens per response
    double kl_base, kl_ref; // KL(student || .), nats per response; 0 where not watched
    double outside;         // mean mass that p* has moved out of the base's 64 most likely tokens
};
struct objective objective_distill_new(const struct distill_options *o, size_t vocab);

// For objectives: one number for each position (or pair) of the micro-batch in progress, added in
// order to the step's sum: over all rows of the step, whatever their ranks (common/base/ranks.h).
struct tally {
    double *value;            // of the micro-batch
    size_t n, capacity, held; // held: of the step's micro-batches before, on one of several ranks
    double *all, sum;
};
void tally_begin(struct tally *t, size_t n); // what is held is added, or kept; then n zeros
// The sums (n) of n tallies, on all ranks, which start again.
void tallies_end(struct tally *t, size_t n, double *sum);
void tally_release(struct tally *t);

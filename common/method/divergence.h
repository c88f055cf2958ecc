// Divergences between the teacher p* and the student softmax(logits) at one position (METHOD.md
// sections 3 and 4): value, and dlogits in place of the logits.
//
// fkl KL(p* || p), rkl KL(p || p*), jsd LAMBDA KL(p* || m) + (1-LAMBDA) KL(p || m) with
// m = LAMBDA p* + (1-LAMBDA) p. Sparse: p* on a support, everything else one bucket of masses
// Q (teacher) and P (student), summed over the complement; without a complement that term is 0.
// Where it is known that no token outside has more than `log_most` of p*, the bucket is the least
// divergence of all tails that fit: tokens of which the bucket's shape would make more are buckets
// of their own, with that much.
// Q and P alone are floored, at 1e-30; log p* of a token never is. What has no mass (e^-87 of it in
// float) adds nothing, so neither do padding columns (-INFINITY).
#pragma once
#include "common/engine/batch.h"
#include <stddef.h>

enum divergence_kind { DIVERGENCE_FKL, DIVERGENCE_RKL, DIVERGENCE_JSD };

struct divergence {
    enum divergence_kind kind;
    double lambda; // jsd only, 0 < lambda < 1
};

// logits (V) -> weight d(divergence)/d(logits), in place. Returns the divergence in nats,
// unweighted; *tail: the student's mass P outside the support. Ids of the support are distinct.
// scratch: (2, t->n).
double divergence_sparse(const struct divergence *d, float *logits, size_t V,
                         const struct teacher_position *t, double weight, float *scratch,
                         double *tail);
// The same against the full log p* (V).
double divergence_dense(const struct divergence *d, float *logits, size_t V, const float *logp,
                        double weight);
// KL(p_ref || softmax(logits)) in nats; logp_ref (V), lse of the logits.
double divergence_kl(const float *logp_ref, const float *logits, size_t V, double lse);

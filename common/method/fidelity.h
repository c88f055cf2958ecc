// How faithful a truncated and coded teacher is, by what matters: the gradient of the student's
// logits (METHOD.md sections 3 and 4). Per position the dense gradient g is known on some tokens U,
// and by sums over all others; a cache keeps S, a part of U, with its own log p* and tail mass. Its
// gradient h is a number of its own on S, and a multiple of the student's p elsewhere, so
//   g.h = sum_S g h + c sum_rest g p,    |h|^2 = sum_S h^2 + c^2 sum_rest p^2
// need no second look at the vocabulary: one pass of the models serves any number of caches.
// Positions are pooled: the gradient of all positions is one long vector.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum fidelity_kind { FIDELITY_FKL, FIDELITY_RKL, FIDELITY_KINDS };

struct fidelity_rest { // sums over the tokens outside a set: student's p, dense gradients g
    double p, pp, gp[FIDELITY_KINDS], gg[FIDELITY_KINDS];
};
struct fidelity_student {      // one student at one position
    float *logp;               // (n) log p_theta of the tokens of U
    float *g[FIDELITY_KINDS];  // (n) d KL / d logits there, dense
    struct fidelity_rest rest; // outside U
};
// From the student's and the teacher's full log-probabilities (V); ids (n): U, in any order. Fills
// the arrays of s. scratch: (3V).
void fidelity_dense(const float *logp, const float *star, size_t V, const int32_t *ids, size_t n,
                    float *scratch, struct fidelity_student *s);

struct fidelity_sum { // over positions
    double gg, hh, gh;
};
double fidelity_cosine(const struct fidelity_sum *s); // g.h / (|g| |h|)
double fidelity_error(const struct fidelity_sum *s);  // |g - h| / |g|
// Adds a position to both divergences' sums. given (n): log p* as the cache gives it for U's
// tokens, NAN: not in S; log_tail: log Q and log_most: the largest log p* outside S as the cache
// gives them (0: not known), of which tokens outside U are not thought to be near.
void fidelity_add(struct fidelity_sum sum[FIDELITY_KINDS], const struct fidelity_student *s,
                  size_t n, const float *given, double log_tail, double log_most);
// KL(p* || p~) in nats, p~ = S as kept and Q spread evenly over the V - |S| others. star (n): exact
// log p* of U; q, qlogq: sums of p* and p* log p* outside U.
double fidelity_kl(size_t n, const float *star, const float *kept, double log_tail, double q,
                   double qlogq, size_t V);

// The alpha of the rule `kl:K` (METHOD.md section 3): KL(p*_alpha || base) = K at one position,
// where p*_alpha(v) is in proportion to p_base(v) exp(alpha d(v)).
#pragma once
#include <stddef.h>

// Where no alpha up to here gives K, this one is taken: d says too little, or p* is on its largest
// d already. It is the largest that the published recipe comes to (tvd:30).
enum { TEACHER_ALPHA_MOST = 30 };

struct tilt { // what alpha moves
    size_t n;
    const float *logp, *d; // (n) tokens: log p_base, finite d
    double rest;           // p_base of all tokens with d = 0 that are not among them
};
// KL(p*_alpha || base) in nats; *variance of d under p*_alpha. d KL / d alpha = alpha variance.
double tilt_kl(const struct tilt *t, double alpha, double *variance);
// The alpha in (0, TEACHER_ALPHA_MOST] whose KL is within 1e-4 K + 1e-6 of K, or the bound; NAN
// where logits are not numbers.
double tilt_alpha(const struct tilt *t, double K);

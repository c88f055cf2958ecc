// Gradients against central differences of a loss in double, at a few places of every tensor.
// Include after cmocka.h.
#pragma once
#include "common/base/rng.h"
#include "common/engine/model.h"
#include <math.h>

struct differences {
    const char *name; // of the case, for the message
    const struct tensor *tensors;
    size_t n_tensors, probes; // probes per tensor
    const float *grads;       // as the network gives them
    double *P;                // the parameters; as they were afterwards
    double (*loss)(const void *self, const double *P);
    const void *self;
    double h;
    double relative, scale, absolute; // allowed: relative (scale + |slope|) + absolute
};

static inline double differences_scale(const float *grads, size_t n, size_t count) {
    double sum = 0; // root mean square of the gradient: n places, count numbers
    for (size_t i = 0; i < n; i++) sum += (double)grads[i] * (double)grads[i];
    return sqrt(sum / (double)count);
}

static inline void differences_check(const struct differences *d) {
    for (size_t t = 0; t < d->n_tensors; t++)
        for (size_t k = 0; k < d->probes; k++) {
            const struct tensor *s = &d->tensors[t];
            size_t at = s->offset + rng_bits(3, RNG_TEST, t, k) % (s->rows * s->cols);
            double keep = d->P[at];
            d->P[at] = keep + d->h;
            double up = d->loss(d->self, d->P);
            d->P[at] = keep - d->h;
            double slope = (up - d->loss(d->self, d->P)) / (2 * d->h), g = (double)d->grads[at];
            d->P[at] = keep;
            if (!(fabs(g - slope) <= d->relative * (d->scale + fabs(slope)) + d->absolute))
                fail_msg("%s, %s [%zu]: %.9g, by differences %.9g", d->name, s->name,
                         at - s->offset, g, slope);
        }
}

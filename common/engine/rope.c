#include "common/engine/rope.h"
#include <math.h>

static const double pi = 3.14159265358979323846;

// Llama 3.1's rule: long wavelengths are stretched by the factor, short ones kept, a ramp between.
static double scaled(const struct model_config *c, double frequency) {
    if (c->rope_factor == 1) return frequency;
    if (!(c->rope_original > 0)) return frequency / c->rope_factor; // linear
    double wavelength = 2 * pi / frequency;
    double low = c->rope_original / c->rope_low, high = c->rope_original / c->rope_high;
    if (wavelength < high) return frequency;
    if (wavelength > low) return frequency / c->rope_factor;
    double smooth = (c->rope_original / wavelength - c->rope_low) / (c->rope_high - c->rope_low);
    return (1 - smooth) * frequency / c->rope_factor + smooth * frequency;
}

void rope_table(const struct model_config *c, size_t positions, float *cosine, float *sine) {
    size_t half = c->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        double f = scaled(c, pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim));
        for (size_t p = 0; p < positions; p++) {
            cosine[p * half + i] = (float)cos((double)p * f);
            sine[p * half + i] = (float)sin((double)p * f);
        }
    }
}

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

void rope_lay_out(struct arena *a, const struct model_config *c, size_t positions,
                  struct rope table[2]) {
    size_t bytes = positions * (model_rope_width(c) / 2) * sizeof(float);
    for (int i = 0; i < 2; i++) {
        table[i] = table[0];
        if (i && !(c->rope_local > 0)) return;
        table[i].cosine = arena_take(a, bytes);
        table[i].sine = arena_take(a, bytes);
    }
}

// Radians a position that pair i turns by, in layers that see all or (local) in those with a
// window.
static double frequency_of(const struct model_config *c, size_t i, bool local) {
    double power = -2.0 * (double)i / (double)model_rope_width(c);
    if (local) return pow(c->rope_local, power);
    double f = pow(c->rope_theta, power);
    return c->rope_divisor[i] > 0 ? f / c->rope_divisor[i] : scaled(c, f);
}

void rope_fill(const struct model_config *c, size_t positions, struct rope table[2]) {
    size_t half = model_rope_width(c) / 2;
    for (int local = 0; local < (c->rope_local > 0 ? 2 : 1); local++) {
        double gain = !local && c->rope_gain > 0 ? c->rope_gain : 1;
        for (size_t i = 0; i < half; i++) {
            double f = frequency_of(c, i, local);
            for (size_t p = 0; p < positions; p++) {
                table[local].cosine[p * half + i] = (float)(gain * cos((double)p * f));
                table[local].sine[p * half + i] = (float)(gain * sin((double)p * f));
            }
        }
    }
}

const struct rope *rope_of_layer(const struct model_config *c, const struct rope table[2],
                                 size_t layer) {
    return &table[model_window(c, layer) != 0];
}

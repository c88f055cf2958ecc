// Which kernel level to use of those that a CPU says it has. No level is trusted before it has
// multiplied a small matrix as the portable level does: float32 up to rounding, bf16 to the last
// bit, with tiles (AMX) to the last bit of the order in which those add. That takes about a
// millisecond.
#pragma once
#include "common/engine/kernels.h"

// The products of `k` are those of `oracle`.
bool level_proves(const struct kernels *k, const struct kernels *oracle);
// The best of n levels, the best last, of which the first is trusted: the others are used only if
// they prove themselves, and one that does not is left out with a warning. A level that multiplies
// in pairs must also be faster at that than the one below it, whose bits it has (tiles have their
// own): on some CPUs the instruction is a slow one.
const struct kernels *levels_best(const struct kernels *const level[], int n);

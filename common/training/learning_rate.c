#include "common/training/learning_rate.h"
#include "common/base/mem.h"
#include <stdio.h>

enum { SIZES = 4 };
static const struct {
    double below; // parameters; 0: no limit
    const char *name;
} size_class[SIZES] = {{1e8, "100M"}, {1e9, "1B"}, {4e9, "4B"}, {0, ""}};

// Of full training, by kind and size; no row rises.
static const double table[][SIZES] = {
    [RATE_SFT] = {1e-3, 1e-4, 5e-5, 2e-5},
    [RATE_DPO] = {1e-4, 5e-6, 1e-6, 5e-7},
    [RATE_REWARD] = {1e-4, 2e-5, 1e-5, 1e-5},
    [RATE_DISTILL] = {1e-3, 2e-5, 5e-6, 2e-6},
};

double learning_rate_default(enum rate_kind kind, size_t parameters, bool adapter) {
    int i = 0;
    while (size_class[i].below > 0 && (double)parameters >= size_class[i].below) i++;
    double most = table[kind][0], rate = table[kind][i] * (adapter ? 10 : 1);
    return rate < most ? rate : most;
}

void learning_rate_words(enum rate_kind kind, char text[RATE_HELP]) {
    struct str s = {0};
    for (int i = 0; i < SIZES; i++)
        str_printf(&s, i < SIZES - 1 ? "%g below %s, " : "%g from there%s", table[kind][i],
                   size_class[i].name);
    snprintf(text, RATE_HELP, "%s", s.text);
    str_release(&s);
}

void learning_rate_count(size_t parameters, char text[16]) {
    double n = (double)parameters;
    const char *unit = n >= 1e9 ? "B" : n >= 1e6 ? "M" : n >= 1e3 ? "k" : "";
    snprintf(text, 16, "%.3g%s", n / (n >= 1e9 ? 1e9 : n >= 1e6 ? 1e6 : n >= 1e3 ? 1e3 : 1), unit);
}

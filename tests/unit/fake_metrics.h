// Stands in for common/base/metrics.c, so that a test sees what an objective reports. For tests
// that have included cmocka.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct metrics {
    size_t n;
    const char *name[32];
    double value[32];
};

void metrics_value(struct metrics *m, const char *name, double value);
void metrics_value(struct metrics *m, const char *name, double value) {
    m->name[m->n] = name;
    m->value[m->n++] = value;
}

static double metric(const struct metrics *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->name[i], name)) return m->value[i];
    fail_msg("no metric '%s'", name);
    return NAN;
}

static bool near(double a, double b, double tolerance) {
    if (fabs(a - b) <= tolerance) return true;
    print_message("%.12g is not %.12g (+- %g)\n", a, b, tolerance);
    return false;
}

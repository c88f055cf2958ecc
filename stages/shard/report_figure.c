#include "stages/shard/report.h"
#include "stages/shared/plot.h"
#include <stdlib.h>

// Two plots, fkl and rkl: what is missing of the gradient's cosine over bytes per position, both by
// powers of ten, a mark for each setting, with a line through the lengths of others' codings.
static const char *const coding[REPORT_CODINGS] = {"this cache", "fixed k, float16",
                                                   "curve, 1 exact", "curve, 16 exact"};

static char *setting_text(const struct report_setting *s) {
    if (s->coding != REPORT_CACHE) return xasprintf("k %zu", s->top_k);
    return xasprintf("k %zu, mass %g, least %g, %d bits, student's k %zu", s->top_k, s->mass,
                     s->least, s->bits, s->student_k);
}

struct points { // of one coding, in one plot
    size_t n;
    double *bytes, *missing;
    char **setting;
};

static struct points points_of(const struct report_trial *t, size_t n, size_t student, int kind,
                               int c) {
    struct points p = {0, xmalloc((n + 1) * sizeof(double)), xmalloc((n + 1) * sizeof(double)),
                       xmalloc((n + 1) * sizeof(char *))};
    for (size_t i = 0; i < n; i++) {
        if ((int)t[i].setting.coding != c) continue;
        p.bytes[p.n] = t[i].bytes;
        p.missing[p.n] = 1 - fidelity_cosine(&t[i].sum[student][kind]);
        p.setting[p.n++] = setting_text(&t[i].setting);
    }
    return p;
}

void report_figure(const struct report_trial *t, size_t n, size_t student, struct str *s) {
    static const char *const kinds[FIDELITY_KINDS] = {
        [FIDELITY_FKL] = "fkl", [FIDELITY_RKL] = "rkl"};
    struct plot plot[FIDELITY_KINDS];
    struct plot_series series[FIDELITY_KINDS][REPORT_CODINGS];
    struct points points[FIDELITY_KINDS][REPORT_CODINGS];
    char *title[FIDELITY_KINDS];
    for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
        title[kind] = xasprintf("Gradient of %s, student %zu", kinds[kind], student + 1);
        for (int c = 0; c < REPORT_CODINGS; c++) {
            struct points p = points[kind][c] = points_of(t, n, student, kind, c);
            series[kind][c] = (struct plot_series){.name = p.n ? coding[c] : NULL,
                                                   .n = p.n,
                                                   .x = p.bytes,
                                                   .y = p.missing,
                                                   .category = (const char *const *)p.setting,
                                                   .colour = c,
                                                   .joined = c != REPORT_CACHE};
        }
        plot[kind] = (struct plot){.kind = PLOT_POINTS,
                                   .title = title[kind],
                                   .x_label = "bytes per position",
                                   .y_label = "1 - cosine",
                                   .log_x = true,
                                   .log_y = true,
                                   .n = REPORT_CODINGS,
                                   .series = series[kind]};
    }
    plot_file(plot, FIDELITY_KINDS, s);
    for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
        for (int c = 0; c < REPORT_CODINGS; c++) {
            struct points *p = &points[kind][c];
            for (size_t i = 0; i < p->n; i++) free(p->setting[i]);
            free(p->setting);
            free(p->bytes);
            free(p->missing);
        }
        free(title[kind]);
    }
}

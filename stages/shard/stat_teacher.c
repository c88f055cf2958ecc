// What a teacher cache holds: quantiles, bytes by part, histograms.
#include "common/base/log.h"
#include "formats/teachers/teacher_file.h"
#include "stages/shard/shard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum number { ENTRIES, TAIL, ALPHA, TVD, REALISED, ENTROPY, NUMBERS };

static double number_of(const struct teacher_shard *t, enum number k, size_t i) {
    const struct teacher_position *p = &t->position[i];
    const double all[] = {(double)p->n,   exp((double)p->log_tail), (double)p->alpha,
                          (double)p->tvd, (double)p->realised,      (double)t->entropy[i]};
    return all[k];
}

// ---- bytes

static const char *part_of(const char *column) {
    static const struct {
        const char *begin, *part;
    } table[] = {{"support", "token ids of supports"},
                 {"entries", "sizes of supports"},
                 {"logp", "log-probabilities"},
                 {"level", "log-probabilities"},
                 {"log_tail", "tails"},
                 {"tail", "tails"},
                 {"log_most", "tails"},
                 {"most", "tails"},
                 {"tvd", "TVD"},
                 {"alpha", "alpha"},
                 {"entropy", "entropy"},
                 {"realised", "realised"},
                 {"end", "end of sequence"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strncmp(column, table[i].begin, strlen(table[i].begin))) return table[i].part;
    return "rows of tokens";
}

static void print_parts(struct columns_reader *r, size_t positions) {
    size_t n, all = 0;
    const struct column *c = columns_list(r, &n);
    for (size_t i = 0; i < n; i++) all += columns_stored(r, c[i].name);
    print_result("part\tbytes\ta position\tshare");
    for (size_t i = 0; i < n; i++) {
        const char *part = part_of(c[i].name);
        size_t bytes = 0, first = i;
        for (size_t k = 0; k < n; k++) {
            if (strcmp(part_of(c[k].name), part) != 0) continue;
            bytes += columns_stored(r, c[k].name);
            if (k < first) first = k;
        }
        if (first == i)
            print_result("%s\t%zu\t%.2f\t%.1f%%", part, bytes, (double)bytes / (double)positions,
                         100 * (double)bytes / (double)all);
    }
    print_result("bytes per position\t%.2f", (double)all / (double)positions);
}

// ---- histograms

static void print_bar(double from, double to, size_t count, size_t most, size_t n) {
    enum { WIDTH = 40 };
    char bar[WIDTH + 1];
    size_t length = (count * WIDTH + most - 1) / most;
    memset(bar, '#', length);
    bar[length] = 0;
    print_result("%.4g\t%.4g\t%zu\t%.1f%%\t%s", from, to, count, 100 * (double)count / (double)n,
                 bar);
}

// x (n) is sorted: from its least to its most, in equal steps; whole numbers in whole steps.
static void print_histogram(const char *name, const double *x, size_t n, bool whole) {
    enum { BINS = 12 };
    size_t count[BINS] = {0}, most = 0, bins = BINS;
    double low = x[0], step = (x[n - 1] - x[0]) / BINS;
    if (whole) {
        step = ceil((x[n - 1] - x[0] + 1) / BINS);
        bins = (size_t)((x[n - 1] - x[0]) / step) + 1;
    }
    if (!(step > 0)) bins = 1;
    for (size_t i = 0; i < n; i++) {
        size_t bin = step > 0 ? (size_t)((x[i] - low) / step) : 0;
        if (bin >= bins) bin = bins - 1;
        if (++count[bin] > most) most = count[bin];
    }
    print_result("histogram\t%s", name);
    for (size_t b = 0; b < bins; b++)
        print_bar(low + (double)b * step,
                  whole ? low + (double)(b + 1) * step - 1 : low + (double)(b + 1) * step, count[b],
                  most, n);
}

// ---- all of it

// Of components: how much of p* is outside at every alpha of the grid.
static void print_tails(const struct teacher_shard *t, double *x, size_t n) {
    for (size_t g = 0; g < t->grid.n; g++) {
        char *name = xasprintf("tail at alpha %g", t->grid.alpha[g]);
        for (size_t i = 0; i < n; i++) x[i] = exp((double)t->components[i].tail[g]);
        shard_print_numbers(name, x, n);
        free(name);
    }
}

void shard_stat_teacher(struct columns_reader *r, struct fail *f) {
    static const char *const names[] = {"entries", "tail", "alpha", "tvd", "realised", "entropy"};
    static const char *const titles[] = {
        "entries per position", "log10 of the tail mass Q", "alpha", "TVD", NULL, "entropy"};
    struct teacher_shard t;
    if (!teacher_shard_load(&t, r, f)) return;
    size_t n = t.position_first[t.rows];
    double *x = xmalloc((n + 1) * sizeof *x);
    for (int k = 0; k < NUMBERS; k++) {
        for (size_t i = 0; i < n; i++) x[i] = number_of(&t, k, i);
        shard_print_numbers(names[k], x, n);
    }
    print_tails(&t, x, n);
    if (n) print_parts(r, n);
    for (int k = 0; n && k < NUMBERS; k++) {
        if (!titles[k]) continue;
        for (size_t i = 0; i < n; i++) {
            x[i] = number_of(&t, k, i);
            if (k == TAIL) x[i] = log10(fmax(x[i], 1e-30));
        }
        shard_sort(x, n);
        print_histogram(titles[k], x, n, k == ENTRIES);
    }
    free(x);
    teacher_shard_release(&t);
}

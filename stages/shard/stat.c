#include "common/base/fail.h"
#include "common/base/log.h"
#include "formats/store/columns.h"
#include "formats/models/model_file.h"
#include "stages/shard/shard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_columns(struct columns_reader *r) {
    size_t n;
    const struct column *columns = columns_list(r, &n);
    print_result("column\telements\tbytes\tstored\tratio");
    for (size_t i = 0; i < n; i++) {
        size_t count = columns_count(r, columns[i].name);
        size_t bytes = count * column_size(columns[i].type);
        size_t stored = columns_stored(r, columns[i].name);
        print_result("%s\t%zu\t%zu\t%zu\t%.2f", columns[i].name, count, bytes, stored,
                     stored ? (double)bytes / (double)stored : 0);
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void shard_sort(double *x, size_t n) {
    qsort(x, n, sizeof *x, ascending);
}

void shard_print_numbers(const char *name, double *x, size_t n) {
    double sum = 0;
    if (!n) return;
    for (size_t i = 0; i < n; i++) sum += x[i];
    shard_sort(x, n);
    print_result("%s\t%zu\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g", name, n, sum / (double)n, x[0],
                 x[n / 10], x[n / 2], x[n - 1 - n / 10], x[n - 1]);
}

static void print_header(void) {
    print_result("number\tcount\tmean\tleast\t10%%\tmedian\t90%%\tmost");
}

// Columns of one number per row.
static void print_lengths(struct columns_reader *r) {
    size_t n;
    const struct column *columns = columns_list(r, &n);
    print_header();
    for (size_t c = 0; c < n; c++) {
        const char *name = columns[c].name;
        bool length = strstr(name, "length") != NULL, real = columns[c].type == COLUMN_F64;
        size_t count;
        void *values = length || real ? columns_read_all(r, name, &count) : NULL;
        if (!values) continue;
        double *x = xmalloc(count * sizeof *x);
        for (size_t i = 0; i < count; i++)
            x[i] = real ? ((double *)values)[i] : ((int32_t *)values)[i];
        shard_print_numbers(name, x, count);
        free(x);
        free(values);
    }
}

static void print_table(const char *path, struct fail *f) {
    struct columns_reader *r = columns_open(path, NULL, f);
    if (!r) return;
    struct part p = columns_part(r);
    bool teacher = !strcmp(columns_artefact(r)->kind, "teacher"); // verified as it is loaded
    if (!teacher && !columns_verify(r)) {
        columns_close(r);
        return;
    }
    print_result("rows\t%zu\tof\t%zu\tpart\t%zu\tof\t%zu", p.rows, p.rows_total, p.part, p.parts);
    print_columns(r);
    print_lengths(r);
    if (teacher) shard_stat_teacher(r, f);
    columns_close(r);
}

static void print_model(const char *path, struct fail *f) {
    struct model_file m;
    if (!model_file_load_as(path, MODEL_ANY, false, &m, f)) return;
    const struct model_config *c = &m.model.config;
    print_result("parameters\t%zu", model_count(&m.model));
    print_result("layers\t%zu\nwidth\t%zu\nheads\t%zu\nkv_heads\t%zu\nhidden\t%zu\nvocab\t%zu"
                 "\nvocab_used\t%zu",
                 c->layers, c->width, c->heads, c->kv_heads, c->hidden, c->vocab, c->vocab_used);
    for (size_t i = 0; i < m.model.n_tensors; i++) {
        const struct tensor *t = &m.model.tensors[i];
        double sum = 0;
        for (size_t k = 0; k < t->rows * t->cols; k++)
            sum += (double)m.model.params[t->offset + k] * m.model.params[t->offset + k];
        print_result("%s\t%zux%zu\trms\t%.6g", t->name, t->rows, t->cols,
                     sqrt(sum / (double)(t->rows * t->cols)));
    }
    model_file_release(&m);
}

static void print_file(const char *path, struct fail *f) {
    struct artefact a;
    if (!artefact_read(path, NULL, &a, f)) return;
    print_result("file\t%s\nkind\t%s\nstage\t%s\noptions\t%s", path, a.kind, a.stage, a.options);
    if (a.record) print_result("record\t%s", a.record);
    for (size_t i = 0; i < a.parents.n; i++) {
        char hash[33];
        hash_text(a.parents.items[i].hash, hash);
        print_result("input %zu\t%s\t%s", i + 1, a.parents.items[i].kind, hash);
    }
    if (!strcmp(a.kind, "model"))
        print_model(path, f);
    else if (!strcmp(a.kind, "checkpoint") || !strcmp(a.kind, "adapter"))
        shard_check_file(path, f);
    else
        print_table(path, f);
    artefact_release(&a);
}

int shard_stat(int argc, char **argv) {
    struct options o = {.program = "shard stat",
                        .usage = "FILE...",
                        .summary = "How a file came to be, bytes by column, quantiles of lengths "
                                   "and, with bytes by part and histograms, of what teacher shards "
                                   "hold; a model's tensors."};
    struct opt_list files;
    struct fail f = {0};
    shard_options(&o, argc, argv, &files, 1);
    for (size_t i = 0; i < files.n && !f.code; i++) print_file(files.items[i], &f);
    die_if(&f);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}

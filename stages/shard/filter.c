#include "common/base/fail.h"
#include "common/base/value.h"
#include "formats/teachers/columns_rows.h"
#include "formats/teachers/teacher_file.h"
#include "stages/shard/shard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct filter {
    const char *output, *rows;
    int64_t max_positions;
    double min_entropy, max_entropy;
    size_t from, to; // rows of the set
    struct columns_reader **set;
    size_t parts;
    bool **keep; // (parts) (rows)
    size_t kept, longest;
};

static void declare(struct options *o, struct filter *s) {
    const struct opt_row rows[] = {
        shard_output_row(&s->output, "the rows that are kept, as one file"),
        {"rows", OPT_TEXT, OPT_RESULT, &s->rows, .value = ":", .metavar = "A:B",
         .help = "rows from A up to, but without, B; either may be left out"},
        {"max-positions", OPT_INT, OPT_RESULT, &s->max_positions, .value = "0", .low = 0,
         .high = 1e9, .metavar = "N",
         .help = "tokens, teacher: rows of at most N targets, 0 = all"},
        {"min-entropy", OPT_REAL, OPT_RESULT, &s->min_entropy, .value = "0", .low = 0, .high = 1e3,
         .metavar = "X", .help = "teacher: rows whose mean entropy of p* is at least X nats"},
        {"max-entropy", OPT_REAL, OPT_RESULT, &s->max_entropy, .value = "1000", .low = 0,
         .high = 1e3, .metavar = "X", .help = "teacher: and at most X nats"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static void parse_rows(struct filter *s) {
    size_t total = columns_part(s->set[0]).rows_total;
    if (!strchr(s->rows, ':') || !value_range(s->rows, total, &s->from, &s->to))
        die(EXIT_USAGE, "--rows '%s' is not A:B, two row numbers", s->rows);
    if (s->from >= s->to) die(EXIT_USAGE, "--rows '%s' has no rows", s->rows);
    if (s->from >= total)
        die(EXIT_USAGE, "--rows '%s' begins after the set's %zu rows", s->rows, total);
}

static void check_kind(const struct filter *s, const struct options *o) {
    const char *kind = columns_artefact(s->set[0])->kind;
    bool teacher = !strcmp(kind, "teacher");
    if ((options_given(o, "min-entropy") || options_given(o, "max-entropy")) && !teacher)
        die(EXIT_BADDATA, "'%s' is of kind %s; --min-entropy and --max-entropy take teacher files",
            columns_path(s->set[0]), kind);
    if (s->max_positions && !teacher && strcmp(kind, "tokens") != 0)
        die(EXIT_BADDATA, "'%s' is of kind %s; --max-positions takes tokens and teacher files",
            columns_path(s->set[0]), kind);
}

static bool entropy_fits(const struct filter *s, const struct teacher_row *row) {
    double sum = 0;
    for (size_t i = 0; i < row->positions; i++) sum += (double)row->entropy[i];
    double mean = row->positions ? sum / (double)row->positions : 0;
    return mean >= s->min_entropy && mean <= s->max_entropy;
}

// Which rows of a part stay.
static void choose(struct filter *s, size_t part, bool entropy, struct fail *f) {
    struct columns_reader *r = s->set[part];
    size_t before = columns_part(r).first_row;
    struct columns_rows *rows = columns_rows_load(r, f);
    struct teacher_shard t = {0};
    if (rows && entropy) teacher_shard_load(&t, r, f);
    columns_rest(r);
    s->keep[part] = xcalloc(columns_part(r).rows + 1, 1);
    for (size_t i = 0; !f->code && i < columns_rows_count(rows); i++) {
        size_t tokens = columns_rows_tokens(rows, i);
        if (before + i < s->from || before + i >= s->to) continue;
        if (s->max_positions && columns_rows_positions(rows, i) > (size_t)s->max_positions)
            continue;
        if (entropy) {
            struct teacher_row row = teacher_shard_row(&t, i);
            if (!entropy_fits(s, &row)) continue;
        }
        s->keep[part][i] = true;
        s->kept++;
        if (tokens > s->longest) s->longest = tokens;
    }
    if (entropy) teacher_shard_release(&t);
    columns_rows_free(rows);
}

static bool copy(struct filter *s, struct columns_writer *w, struct fail *f) {
    bool ok = w != NULL;
    for (size_t part = 0; ok && part < s->parts; part++) {
        struct columns_rows *rows = columns_rows_load(s->set[part], f);
        columns_rest(s->set[part]);
        ok = rows != NULL;
        for (size_t i = 0; ok && i < columns_rows_count(rows); i++)
            if (s->keep[part][i]) ok = columns_rows_copy(rows, i, w);
        columns_rows_free(rows);
    }
    return ok;
}

// f: that of the set, so that what a reader says comes first.
static void filter(struct filter *s, const struct lineage *l, bool entropy, struct fail *f) {
    s->keep = xcalloc(s->parts, sizeof *s->keep);
    for (size_t part = 0; part < s->parts && !f->code; part++) choose(s, part, entropy, f);
    die_if(f);
    if (!s->kept) die(EXIT_BADDATA, "no row is left of '%s'", columns_path(s->set[0]));
    struct columns_plan plan = {.rows_total = s->kept,
                                .zstd_level = columns_level(s->set[0]),
                                .finished = shard_print_path};
    struct columns_writer *w = shard_writer(s->output, s->set[0], l, &plan, s->longest, f);
    if (copy(s, w, f))
        columns_commit(w, NULL);
    else
        columns_abandon(w, false);
    die_if(f);
    for (size_t part = 0; part < s->parts; part++) free(s->keep[part]);
    free(s->keep);
}

int shard_filter(int argc, char **argv) {
    struct filter s = {0};
    struct options o = {.program = "shard filter",
                        .usage = "[--rows A:B] [--max-positions N] [--min-entropy X] "
                                 "[--max-entropy X] -o FILE SHARD...",
                        .summary = "The rows of a set that pass all conditions, as one file; every "
                                   "number as it is stored."};
    struct opt_list files;
    struct fail f = {0};
    declare(&o, &s);
    shard_options(&o, argc, argv, &files, 1);
    s.set = shard_set_open(&files, &f);
    s.parts = files.n;
    parse_rows(&s);
    check_kind(&s, &o);
    char *json = shard_options_json(&o, s.set[0]);
    struct lineage l = shard_new_lineage(s.set, s.parts, "shard filter", json);
    bool entropy = options_given(&o, "min-entropy") || options_given(&o, "max-entropy");
    if (artefact_is_current(s.output, &l, false, &f))
        shard_print_path(NULL, s.output);
    else
        filter(&s, &l, entropy, &f);
    die_if(&f);
    parents_release(&l.parents);
    free(json);
    shard_set_close(s.set, s.parts);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}

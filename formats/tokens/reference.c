#include "formats/tokens/reference.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct column table[] = {{"chosen", COLUMN_F64}, {"rejected", COLUMN_F64}};

struct columns_writer *reference_writer_open(const char *path, const struct lineage *l,
                                             const struct columns_plan *plan, struct fail *f) {
    struct lineage own = *l;
    own.kind = "reference";
    own.version = artefact_version(own.kind);
    return columns_create(path, &own, 2, table, 0, NULL, 0, NULL, plan, f);
}

bool reference_write(struct columns_writer *w, double chosen, double rejected) {
    return columns_append(w, 0, &chosen, 1) && columns_append(w, 1, &rejected, 1) &&
           columns_end_row(w);
}

static bool fits(struct columns_reader *r, const struct parents *expect, size_t rows,
                 struct fail *f) {
    const struct artefact *a = columns_artefact(r);
    if (!parents_equal(&a->parents, expect))
        return fail_set(f, EXIT_BADDATA,
                        "'%s' was made from another model or other pairs; remove it to have it "
                        "made again",
                        columns_path(r));
    if (columns_part(r).parts != 1 || columns_count(r, "chosen") != rows ||
        columns_count(r, "rejected") != rows)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is not one file of %zu rows; remove it to have it "
                        "made again",
                        columns_path(r), rows);
    return !f->code;
}

// Finite, and above 0 by the rounding of many terms at most.
static bool are_log(struct columns_reader *r, const double *x, size_t n, struct fail *f) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || x[i] > 0.01)
            return fail_set(f, EXIT_BADDATA, "'%s' is damaged: row %zu has no log-probability: %g",
                            columns_path(r), columns_part(r).first_row + i, x[i]);
    return true;
}

bool reference_check(const char *path, struct fail *f) {
    struct columns_reader *r = columns_open(path, "reference", f);
    size_t n;
    double *chosen = r && columns_expect(r, 2, table) ? columns_read_all(r, "chosen", &n) : NULL;
    double *rejected = chosen ? columns_read_all(r, "rejected", &n) : NULL;
    if (rejected && are_log(r, chosen, n, f) && are_log(r, rejected, n, f)) columns_verify(r);
    free(chosen);
    free(rejected);
    columns_close(r);
    return !f->code;
}

bool reference_load(const char *path, const struct parents *expect, size_t rows, double *chosen,
                    double *rejected, struct hash128 *content, struct fail *f) {
    struct columns_reader *r = columns_open(path, "reference", f);
    bool ok = r && columns_expect(r, 2, table) && fits(r, expect, rows, f) &&
              columns_read(r, "chosen", 0, rows, chosen) &&
              columns_read(r, "rejected", 0, rows, rejected) && are_log(r, chosen, rows, f) &&
              are_log(r, rejected, rows, f) && columns_verify(r);
    if (ok && content) *content = columns_artefact(r)->content;
    columns_close(r);
    return ok;
}

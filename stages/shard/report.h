// shard report's two halves: what a cache of some setting costs and how faithful it is, for our own
// files and for two ways that others store teachers. All work on one sample of positions.
#pragma once
#include "common/base/mem.h"
#include "formats/teachers/fidelity_sample.h"
#include "stages/shared/teachers.h"

enum report_coding {
    REPORT_CACHE, // our own file, written and read back
    REPORT_FIXED, // k ids as int32 and log-probabilities as float16, shuffled, zstd
    REPORT_FIT,   // k ids in packed bits, a bfloat16, and a curve a + b r + c sqrt(r) over the rank
    REPORT_FIT16, // the same with 16 bfloat16 and a curve of degree 4
    REPORT_CODINGS
};
struct report_setting {
    enum report_coding coding;
    size_t top_k, student_k;
    double mass, least, error_budget; // error_budget 0: cut by the others
    size_t budget;                    // which of the sample's
    int bits;
};
struct report_trial {
    struct report_setting setting;
    double entries, bytes, kl; // means a position; kl in nats
    double alike;              // bytes without the tail, TVD and entropy, which others do not keep
    struct fidelity_sum (*sum)[FIDELITY_KINDS]; // (students); free() it
};
struct report_job {
    const struct fidelity_sample *sample;
    const struct teacher_info *info;
    int zstd_level;
    const char *scratch; // path of a file that may be written and removed
    int32_t *where;      // (V) all -1
};
bool report_try(const struct report_job *j, const struct report_setting *s, struct report_trial *t,
                struct fail *f);
// Adds a position as a cache gives it: kept (n) in nats, NAN: not kept.
void report_add(struct report_trial *t, const struct report_job *j, const struct sample_position *p,
                const float *kept, double log_tail, double log_most);
// REPORT_FIXED and beyond. They get the exact tail mass for nothing, and are scaled to it.
void report_peer(const struct report_job *j, struct report_trial *t);
// The trials (n) as an SVG for one student.
void report_figure(const struct report_trial *t, size_t n, size_t student, struct str *s);
// bytes of `size`-byte elements as the columns of our files are stored
size_t report_stored(const void *bytes, size_t n, size_t size, int level);
// Adds the bytes of all columns but those of the tokens themselves; alike: and of what others lack.
void report_count_stored(struct columns_reader *r, double *bytes, double *alike);

// --cache: files that are there, in the place of settings.
struct report_caches {
    const struct teachers *teachers; // loaded by report_cache_models
    size_t students;
    const struct model *const *student; // (students)
    size_t rows, micro_tokens;          // rows of each file at most
    int64_t seed;
    struct str *csv;
};
void report_cache_begin(struct str *csv); // the table's head
// Loads the teachers that the file's rule takes.
void report_cache_models(struct teachers *t, const char *path, struct parents *parents);
// --dry-run: prints the rows that would be looked at; dies on a file that is not of the teachers.
int report_cache_plan(const struct report_caches *c, const struct opt_list *files);
// Composes p* again at random rows, and adds a line for each student: cosine and error of the
// gradient of the students' logits from the file against the full teacher's, positions weighed as
// the recipe of the file does. Dies on a bad file.
void report_cache(const struct report_caches *c, const char *path);

// shard report's two halves: what a cache of some setting costs and how faithful it is, for our own
// files and for two ways that others store teachers. All work on one sample of positions.
#pragma once
#include "common/base/mem.h"
#include "formats/teachers/fidelity_sample.h"

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
    double mass, least;
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
                const float *kept, double log_tail);
// REPORT_FIXED and beyond. They get the exact tail mass for nothing, and are scaled to it.
void report_peer(const struct report_job *j, struct report_trial *t);
// The trials (n) as an SVG for one student.
void report_figure(const struct report_trial *t, size_t n, size_t student, struct str *s);
// bytes of `size`-byte elements as the columns of our files are stored
size_t report_stored(const void *bytes, size_t n, size_t size, int level);

// --keep-samples FILE: what the student sampled while it was trained, as tokens of kind sft with
// the step of each row, whole or not at all. A spool grows with the steps; since samples are a
// function of seed, step and student, a run that is resumed draws those that the spool has again,
// and the file has the bytes of an undisturbed run.
#pragma once
#include "common/engine/sample.h"
#include "stages/shared/training.h"

struct kept_samples {
    const char *path; // --keep-samples; NULL: not asked for
    // internal
    struct training *training;
    const struct model_file *student;
    struct sample_job *const *jobs; // of a step
    const size_t *n;
    const bool *fresh; // whether they are new in this step; NULL: they always are
    struct columns_writer *writer;
    struct fail fail;
    uint64_t rows; // so far
    size_t id_capacity, mask_capacity;
    int32_t *ids;
    uint8_t *mask;
};
void kept_samples_row(struct options *o, struct kept_samples *k);
// Whether the file is there and of this very run, or none is asked for.
bool kept_samples_current(const struct kept_samples *k, const struct training *t);
// Adds the hook. jobs, n, fresh: see above.
void kept_samples_start(struct kept_samples *k, struct training *t,
                        const struct model_file *student, struct sample_job *const *jobs,
                        const size_t *n, const bool *fresh);
void kept_samples_close(struct kept_samples *k);

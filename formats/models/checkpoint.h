// Kind `checkpoint`: OUT.ckpt of a training run at a step boundary, whole or not at all; refused
// when the result options or parents differ. The stage removes it when the run is done.
#pragma once
#include "formats/store/artefact.h"

struct checkpoint {
    uint64_t step;
    size_t n_params;
    float *params, *m, *v; // (n_params), the caller's buffers
    // Where nobody holds whole moments: `whole` (n_params) has room for one of them at a time.
    // collect fills it with m (0) or v (1): for saving, which asks for m, v, m, v; keep takes what
    // is wanted of it, for loading.
    float *whole;
    void (*collect)(void *self, int moment, float *whole);
    void (*keep)(void *self, int moment, const float *whole);
    void *self;
    char kernels[64]; // vector level it was made with
    struct str extra; // the stage's own state (best validation loss ...)
};
bool checkpoint_save(const char *path, const struct lineage *l, const struct checkpoint *c,
                     struct fail *f);
// *found false: there is none. Other options or parents: failure (EXIT_FAILED) that names the
// difference. c->n_params and the buffers are given by the caller; after a failure they hold
// anything. c->extra is replaced.
bool checkpoint_load(const char *path, const struct lineage *l, struct checkpoint *c, bool *found,
                     struct fail *f);
bool checkpoint_step(const char *path, uint64_t *step, struct fail *f); // what it says
// Reads everything of any run's checkpoint and compares content_hash.
bool checkpoint_verify(const char *path, struct fail *f);
// Removes a checkpoint of this very run, left by a kill between the output's rename and its
// removal.
void checkpoint_sweep(const char *path, const struct lineage *l);
// The same for any run: a checkpoint of the run that has made `output` goes, another one stays.
void checkpoint_sweep_finished(const char *path, const char *output);

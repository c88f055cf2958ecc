// One pass of a reference model over preference pairs, kept in a file of kind `reference`:
// resumable, and shared by every run with the same model and pairs (forward and reverse alike).
#pragma once
#include "common/base/log.h"
#include "formats/models/model_file.h"
#include "formats/tokens/tokens.h"

// chosen, rejected (rows): log p_ref of the responses, in the data's order. Reads `path` if it
// belongs to this model and these pairs, makes it otherwise. EXIT_DONE, EXIT_STOPPED (spool kept)
// or the code in f. Several ranks make it together.
int reference_pass(const char *path, const struct model_file *ref, struct pairs *p, size_t tokens,
                   struct log *log, double *chosen, double *rejected, struct fail *f);
// Removes what a pass for this model and these pairs left beside `path` when it was killed; for a
// run that needs no pass.
void reference_sweep(const char *path, const struct model_file *ref, const struct pairs *p);

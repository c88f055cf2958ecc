// Kind `reference`: log-probabilities that a model gives to the responses of a data set, one number
// for chosen and one for rejected a row (columns chosen, rejected: float64), so that a preference
// run needs no reference network in memory and several runs share one pass.
#pragma once
#include "formats/store/columns.h"

struct columns_writer *reference_writer_open(const char *path, const struct lineage *l,
                                             const struct columns_plan *plan, struct fail *f);
bool reference_write(struct columns_writer *w, double chosen, double rejected);
// chosen, rejected (rows); parents must be the reference model and the pairs given.
// Whether its numbers are log-probabilities; reads all of it, whatever made it.
bool reference_check(const char *path, struct fail *f);
bool reference_load(const char *path, const struct parents *expect, size_t rows, double *chosen,
                    double *rejected, struct hash128 *content, struct fail *f);

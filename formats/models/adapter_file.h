// Kind `adapter`: A and B of a low-rank adapter under PEFT's names, with the content hash of the
// model file that it belongs to. In memory it is a model_file like any other, whose weights are
// the base's and whose model.adapter is set.
#pragma once
#include "formats/models/model_file.h"

// "adapter" where the model has one, else "model": its kind as a parent.
const char *model_file_kind(const struct model_file *m);
// The content hash of the base that the adapter in `path` names.
bool adapter_file_base(const char *path, struct hash128 *base, struct fail *f);
// m holds the base's weights and no adapter yet, and its content is the base's: puts the adapter
// onto it, and takes over what its file says (content, options, stage, beta, reversed).
bool adapter_file_load(const char *path, struct model_file *m, struct fail *f);
// Writes m->model.adapter, whose base is `base`; whole or not at all.
bool adapter_file_save(const char *path, const struct model_file *m, struct hash128 base,
                       const struct lineage *l, struct fail *f);
// Everything in the file against its content hash, without the base.
bool adapter_file_verify(const char *path, struct fail *f);

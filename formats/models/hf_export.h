// A model as a Hugging Face folder: config.json, safetensors (in several files where they would be
// too large), the tokenizer's files as they came, generation_config.json, a model card that says
// where it comes from, and aligndistil.json; the folder is one of formats/models/export_folder.h.
#pragma once
#include "formats/models/model_file.h"
#include "formats/models/safetensors.h"

struct hf_export {
    const char *folder;
    enum safe_type type; // not SAFE_OTHER
    size_t shard_bytes;  // most bytes of tensors in a file (one tensor at least)
    const struct lineage *lineage;
};
// True: the folder is an export with the same lineage. What a killed run left is repaired first.
bool hf_export_current(const struct hf_export *x, bool no_clobber, struct fail *f);
bool hf_export_write(const struct hf_export *x, const struct model_file *m,
                     const struct artefact *from, struct fail *f);

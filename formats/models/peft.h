// Adapters of Hugging Face's PEFT: a folder with adapter_config.json and adapter_model.safetensors,
// whose tensors have the names that ours have.
//
// Reading accounts for every key: what is understood, what changes nothing when the adapter runs,
// and features that are off; any other is an error that names it (DoRA, modules_to_save, ranks that
// differ between layers, ...). Every tensor must belong to the base's table, on all layers.
#pragma once
#include "common/engine/adapter.h"
#include "formats/models/adapter_file.h"

// The text of an adapter_config.json; its targets are told by the tensors. Errors name the key.
bool peft_config(const char *text, size_t n, const char *name, struct adapter_config *c,
                 struct fail *f);
// m: the base's table (weights are not needed). Puts the adapter onto it; adds the hashes of both
// files to `parents`.
bool peft_read(const char *folder, struct model_file *m, struct parents *parents, struct fail *f);

struct peft_export {
    const char *folder;
    const char *base_name; // written as base_model_name_or_path; NULL: null
    const struct lineage *lineage;
};
// True: the folder is an export with the same lineage.
bool peft_current(const struct peft_export *x, bool no_clobber, struct fail *f);
// The folder is one of formats/models/export_folder.h.
bool peft_write(const struct peft_export *x, const struct model_file *m, struct fail *f);

// The small files of an exported model; see formats/models/hf_export.h. free() what they return.
// They are as they came, but where the model stops at a token that config.json does not know as one
// (import --eos): then all of them name it.
#pragma once
#include "formats/models/model_file.h"

// The model's config.json with the type of its numbers, and what it lacked filled in.
char *hf_config_text(const struct model_file *m, const char *type, struct fail *f);
char *hf_tokenizer_config_text(const struct model_file *m, struct fail *f);  // made, if none came
char *hf_special_tokens_text(const struct model_file *m, struct fail *f);    // NULL: none came
char *hf_generation_config_text(const struct model_file *m, struct fail *f); // made, if none came
bool hf_template_is_apart(const struct model_file *m,
                          struct fail *f); // not inside tokenizer_config.json
// aligndistil.json of an export with the files that are in the folder now: those of these names,
// but for itself. An export that lacks one of its files, or some of its weights, has another. f:
// where the folder cannot be looked at.
char *hf_mark(const struct lineage *l, const char *folder, bool (*is_ours)(const char *name),
              struct fail *f);

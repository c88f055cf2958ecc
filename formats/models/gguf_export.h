// A model, or an adapter, as a GGUF file for llama.cpp: tensors under its names (q and k of the
// Llama family permuted to pairs that are neighbours, as it rotates them), hyper-parameters,
// tokenizer, chat template.
#pragma once
#include "formats/models/gguf.h"
#include "formats/models/model_file.h"

// True: `path` was made with the same lineage, which the file's first key keeps. EXIT_FAILED where
// it exists, differs and no_clobber is set, or cannot be read.
bool gguf_export_current(const char *path, const struct lineage *l, bool no_clobber,
                         struct fail *f);
// The positions up to which llama.cpp computes what the model does: those of a sliding window that
// it does not know, else all.
size_t gguf_context(const struct model_config *c);
// Whole or not at all; path NULL: only whether llama.cpp takes it, nothing is written.
bool gguf_export(const char *path, enum gguf_type type, const struct model_file *m,
                 const struct lineage *l, struct fail *f);
// The adapter on m alone: llama.cpp puts it onto its base, exported by gguf_export.
bool gguf_export_adapter(const char *path, enum gguf_type type, const struct model_file *m,
                         const struct lineage *l, struct fail *f);

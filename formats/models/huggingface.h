// Hugging Face models: config.json to our model_config, a folder to a model in memory.
//
// Families: those of formats/models/hf_family.h. Every key of config.json
// is accounted for: understood, known to change nothing here, or null; any other is an error that
// names it. Every tensor is accounted for: missing, surplus and misshapen ones are errors that give
// names and shapes. Where embeddings are tied, lm_head.weight and model.embed_tokens.weight stand
// for each other. Padding rows of the vocabulary (ids the tokenizer lacks) are masked later.
#pragma once
#include "common/text/bpe.h"
#include "common/engine/model.h"
#include "formats/bytes/json.h"
#include "formats/models/model_file.h"
#include "formats/models/safetensors.h"

enum { HF_STOPS = 16 };

enum hf_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_LLAMA3, SCALING_YARN, SCALING_LONGROPE };

struct hf_rope { // of YaRN and LongRoPE, what model_config has no place for
    enum hf_scaling kind;
    double original, factor;          // positions; how many times as many it is made for
    bool gain_given;                  // rope_gain is not the one that follows from these
    double slow, fast;                // YaRN's betas
    double longer[MODEL_FREQUENCIES]; // LongRoPE's divisors of texts beyond the original length
};

struct hf_config {
    struct model_config model; // vocab 0: the file has no vocab_size
    struct hf_rope rope;
    char family[16];       // its model_type
    int32_t bos;           // -1: none
    int32_t eos[HF_STOPS]; // (n_eos)
    size_t n_eos;
};

// Errors name the key and the file.
bool huggingface_config(const char *text, size_t n, const char *name, struct hf_config *c,
                        struct fail *f);

// The texts of a folder (config.json, tokenizer.json, ...) into *m and its tensor table laid out;
// no weights yet. `tokenizer`: a tokenizer.json to take instead of the folder's, or NULL. Release
// *m by model_file_release, after a failure too.
bool huggingface_load(const char *folder, const char *tokenizer, struct model_file *m,
                      struct fail *f);
// The same from single files, for random weights. A missing vocab_size is the tokenizer's;
// tokenizer NULL: none (then vocab_size is needed).
bool huggingface_init(const char *config, const char *tokenizer, struct model_file *m,
                      struct fail *f);
// Begin and end of sequence by name, where not NULL.
bool huggingface_special(struct model_file *m, const char *bos, const char *eos, struct fail *f);
// The token that ends a text, by its usual names; -1: none of them.
int32_t huggingface_guess_eos(const struct tokenizer *t);
// What a tokenizer_config.json says: its eos_token (*eos is left alone without one) and its chat
// template (free() it; left alone likewise).
bool huggingface_beside(const char *config, const struct tokenizer *t, int32_t *eos,
                        char **template, struct fail *f);
// Whether texts begin with BOS, where transformers goes by tokenizer_config.json and not by
// tokenizer.json (the classes of Llama and Gemma): 1 or 0; -1: it says nothing.
int huggingface_adds_bos(const char *config);
// Then t does as it says; returns whether that is something else than tokenizer.json has.
bool huggingface_begin(const char *config, struct tokenizer *t);
// The tensors under `folder` fit the table; adds the hash of each file to `parents`.
bool huggingface_check(const char *folder, const struct model *m, struct parents *parents,
                       struct fail *f);
// Fills m->params from there.
bool huggingface_weights(const char *folder, struct model *m, struct fail *f);
// The same a block at a time, for model_file_write: as bf16 where all of its matrices are that.
struct huggingface_source {
    struct tensor_source source;
    struct safetensors *files;
    const struct model *model;
};
bool huggingface_open(struct huggingface_source *s, const char *folder, const struct model *m,
                      struct fail *f);
void huggingface_close(struct huggingface_source *s);

// Kind `model`: weights under Hugging Face names in /weights, with config.json, tokenizer.json and
// chat template as datasets: one file is a whole model.
#pragma once
#include "common/engine/model.h"
#include "common/base/options.h"
#include "formats/models/tensor_file.h"
#include "formats/store/artefact.h"

// The version of a file, by the type of its matrices.
enum { MODEL_FILE_FLOAT32 = 1, MODEL_FILE_BF16 = 2 };
struct model_file { // a model in memory with what its file says besides the weights
    struct model model;
    struct hash128 content;                             // of the file
    struct hash128 tokenizer;                           // of tokenizer.json; zero: none
    char *config_json, *tokenizer_json, *chat_template; // NULL: none
    char *generation_config_json, *tokenizer_config_json, *special_tokens_json; // NULL: none
    int32_t bos, eos;                                                           // -1: none
    double reward_beta; // beta recorded by dpo-train, 0: none
    bool reversed;      // trained by dpo-train --reverse
    char *options;      // as recorded
    char stage[32];
};
// Checks content_hash over all weights, texts and numbers. On failure nothing is left to release.
bool model_file_load(const char *path, struct model_file *m, struct fail *f);
// The same for a model that is only run, held in bf16 where `bf16` is set: each block of numbers is
// checked and rounded as it is read, so that no more than the model is in memory.
bool model_file_load_frozen(const char *path, bool bf16, struct model_file *m, struct fail *f);
// The same for either kind, or a reward model alone (config.reward_head). The two above take a
// language model.
enum model_use { MODEL_LANGUAGE, MODEL_REWARD, MODEL_ANY };
bool model_file_load_as(const char *path, enum model_use use, bool bf16, struct model_file *m,
                        struct fail *f);
// All but the weights, which are read and checked against the content hash but not kept.
bool model_file_verify(const char *path, enum model_use use, struct model_file *m, struct fail *f);
// All but the weights: config, texts, the tensor table. What it says is not checked against the
// content hash.
bool model_file_outline(const char *path, struct model_file *m, struct fail *f);
// Writes path atomically (whole_file_prepare included). Weights from m->model.params. Lineage kind
// is taken to be "model". Where it fails, a file of that name is as it was.
bool model_file_save(const char *path, const struct model_file *m, const struct lineage *l,
                     struct fail *f);
// The same for weights that are not in memory; m->model is their table. l->version is
// MODEL_FILE_BF16 where w->bf16.
bool model_file_write(const char *path, const struct model_file *m, const struct tensor_source *w,
                      const struct lineage *l, struct fail *f);
// Everything of `from` but the model in memory, which `to` keeps.
void model_file_copy_texts(struct model_file *to, const struct model_file *from);
// Whether a config.json says that its numbers are bf16.
bool model_file_says_bf16(const char *config, const char *path);
// "f32", "f16" or "bf16": what the configuration in the file says that the numbers came in; f32
// where it says nothing or there is no such file.
const char *model_file_came_in(const char *path);
// The option --frozen-dtype float32|bf16 of the stages that run models; a result option.
void frozen_dtype_row(struct options *o, const char **dtype, const char *help);
bool frozen_is_bf16(const char *dtype);
// The option --precision f32|bf16 of the stages that train or run models; a result option. What
// it says goes into `rounded` of each model that the stage computes with.
void precision_row(struct options *o, const char **precision);
bool precision_is_bf16(const char *precision);
void model_file_release(struct model_file *m);

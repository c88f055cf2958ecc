// Training an adapter in place of a model's weights, as sft, dpo-train and distill do it: the
// options --lora-*, the start model held frozen, the adapter put onto it. Dies on bad input, like
// stages/shared/training.h.
#pragma once
#include "common/engine/adapter.h"
#include "formats/models/model_shelf.h"

struct lora {
    int64_t rank; // 0: the weights themselves are trained
    double alpha, dropout;
    const char *targets, *init;
    bool rank_stabilised;
    const char **dtype; // the stage's --frozen-dtype
    // internal
    struct adapter_config config;
};
void lora_rows(struct options *o, struct lora *l, const char **dtype);
// Checks the options and settles those that have no fixed default (lora-alpha, frozen-dtype);
// `model` is the path of the start model. Refuses --lora-* options without --lora-rank.
void lora_check(struct lora *l, const struct options *o, const char *model);
const char *lora_kind(const struct lora *l); // of the output: "adapter" or "model"
// The start model: alone in memory and in float32 where its weights are trained, else frozen and
// shared through the shelf.
void lora_load(const struct lora *l, struct model_shelf *shelf, const char *path,
               struct model_file *m);
void lora_attach(const struct lora *l, struct model *m, uint64_t seed);

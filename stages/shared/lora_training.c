#include "stages/shared/lora_training.h"
#include "common/base/log.h"
#include <string.h>

void lora_rows(struct options *o, struct lora *l, const char **dtype) {
    const struct opt_row rows[] = {
        {"lora-rank", OPT_INT, OPT_RESULT, &l->rank, .value = "0", .low = 0, .high = 4096,
         .metavar = "R",
         .help = "train an adapter of this rank on the frozen model, 0 = the model itself"},
        {"lora-alpha", OPT_REAL, OPT_RESULT, &l->alpha, .value = "0", .low = 0, .high = 1e6,
         .metavar = "A", .help = "the adapter counts A / R times; 0 = 2 R"},
        {"lora-targets", OPT_TEXT, OPT_RESULT, &l->targets, .value = "q,k,v,o,gate,up,down",
         .metavar = "NAMES",
         .help = "projections that get one; of models with fused ones also qkv, gate_up"},
        {"lora-dropout", OPT_REAL, OPT_RESULT, &l->dropout, .value = "0", .low = 0, .high = 0.99,
         .metavar = "P", .help = "share of the adapter's inputs that a step leaves out"},
        {"lora-init", OPT_CHOICE, OPT_RESULT, &l->init, .value = "uniform",
         .choices = "uniform|gaussian",
         .help = "how A begins: within 1/sqrt(inputs), or normal with deviation 1/R; B is zero"},
        {"lora-rank-stabilised", OPT_FLAG, OPT_RESULT, &l->rank_stabilised,
         .help = "count A / sqrt(R) times instead (rsLoRA)"},
    };
    l->dtype = dtype;
    options_add(o, rows, sizeof rows / sizeof *rows);
}

void lora_check(struct lora *l, const struct options *o, const char *model) {
    if (!l->rank) {
        options_refuse(o, "lora-alpha|lora-targets|lora-dropout|lora-init|lora-rank-stabilised",
                       "is of an adapter; give --lora-rank too");
        return;
    }
    if (!(l->alpha > 0)) l->alpha = 2 * (double)l->rank;
    if (!options_given(o, "frozen-dtype") && !strcmp(model_file_came_in(model), "bf16"))
        *l->dtype = "bf16";
    l->config = (struct adapter_config){.rank = (size_t)l->rank,
                                        .alpha = l->alpha,
                                        .dropout = l->dropout,
                                        .rank_stabilised = l->rank_stabilised};
    if (!adapter_targets_parse(l->targets, l->config.target))
        die(EXIT_USAGE,
            "--lora-targets '%s' are not names out of "
            "q,k,v,qkv,o,gate,up,gate_up,down",
            l->targets);
}

const char *lora_kind(const struct lora *l) {
    return l->rank ? "adapter" : "model";
}

static bool is_adapter(const char *path) {
    struct fail f = {0};
    struct artefact a;
    if (!artefact_read(path, NULL, &a, &f)) return false;
    bool adapter = !strcmp(a.kind, "adapter");
    artefact_release(&a);
    return adapter;
}

void lora_load(const struct lora *l, struct model_shelf *shelf, const char *path,
               struct model_file *m) {
    struct fail f = {0};
    if (is_adapter(path))
        die(EXIT_BADDATA,
            "'%s' is an adapter, and training starts from a whole model; make one with "
            "aligndistil merge",
            path);
    if (l->rank)
        model_shelf_load(shelf, path, frozen_is_bf16(*l->dtype), m, &f);
    else
        model_file_load(path, m, &f);
    die_if(&f);
}

void lora_attach(const struct lora *l, struct model *m, uint64_t seed) {
    char why[200];
    if (!l->rank) return;
    if (!adapter_attach(m, &l->config, why, sizeof why)) die(EXIT_USAGE, "%s", why);
    adapter_randomise(m, seed, choice_is(l->init, "gaussian"));
}

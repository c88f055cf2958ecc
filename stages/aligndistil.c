// aligndistil STAGE ...: runs a stage from ../libexec/aligndistil beside its own folder, or, in a
// build tree, from its own folder. The stages keep their plain names out of PATH that way (`eval`
// is a shell builtin).
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "stages/shared/commands.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *stage_folder(void) {
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) die(EXIT_FAILED, "cannot find its own folder: %s", strerror(errno));
    self[n] = 0;
    *strrchr(self, '/') = 0;
    char *installed = xasprintf("%s/../libexec/aligndistil", self);
    if (access(installed, X_OK) == 0) return installed;
    free(installed);
    return xstrdup(self);
}

static int run_stage(int argc, char **argv) {
    (void)argc;
    char *folder = stage_folder(), *path = xasprintf("%s/%s", folder, argv[0]);
    execv(path, argv);
    die(EXIT_FAILED, "cannot run '%s': %s; install again", path, strerror(errno));
}

static const struct command stages[] = {
    {"import", run_stage, "make a model file from a Hugging Face folder, or with random weights"},
    {"tokenize", run_stage, "turn text, prompts or preference pairs into token files"},
    {"sft", run_stage, "fine-tune a model on text or prompt and response"},
    {"dpo-train", run_stage, "train a preference model, or with --reverse its opposite"},
    {"teacher-dump", run_stage, "write the composed teacher's distributions to shards"},
    {"distill", run_stage, "train a student on teacher shards"},
    {"generate", run_stage, "sample responses to prompts"},
    {"eval", run_stage, "measure models, responses and preferences"},
    {"merge", run_stage, "add an adapter to the weights of its model"},
    {"export", run_stage, "write a model in the formats of other programs"},
    {"report", run_stage, "show a run's folder as one HTML page"},
    {"shard", run_stage, "list, check, print, compare and merge files"},
};

int main(int argc, char **argv) {
    const struct commands c = {
        .program = "aligndistil",
        .what = "stage",
        .usage = "STAGE [options] | help STAGE",
        .summary = "Align language models by token-level distillation; one program for each stage.",
        .n = sizeof stages / sizeof *stages,
        .items = stages};
    return commands_run(&c, argc, argv);
}

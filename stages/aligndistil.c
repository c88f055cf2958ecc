// aligndistil STAGE ...: runs a stage from ../libexec/aligndistil beside its own folder, or, in a
// build tree, from its own folder. The stages keep their plain names out of PATH that way (`eval`
// is a shell builtin).
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/nearest.h"
#include "common/base/version.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *summary;
} stages[] = {
    {"import", "make a model file from a Hugging Face folder, or with random weights"},
    {"tokenize", "turn text, prompts or preference pairs into token files"},
    {"sft", "fine-tune a model on text or prompt and response"},
    {"dpo-train", "train a preference model, or with --reverse its opposite"},
    {"teacher-dump", "write the composed teacher's distributions to shards"},
    {"distill", "train a student on teacher shards"},
    {"generate", "sample responses to prompts"},
    {"eval", "measure models, responses and preferences"},
    {"export", "write a model in the formats of other programs"},
    {"shard", "list, check, print, compare and merge files"},
};
enum { STAGES = sizeof stages / sizeof *stages };

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

static void help(const char *folder) {
    print_result("usage: aligndistil STAGE [options]\n"
                 "Aligns language models by token-level distillation; one program a stage:\n");
    for (size_t i = 0; i < STAGES; i++) {
        char *path = xasprintf("%s/%s", folder, stages[i].name);
        if (access(path, X_OK) == 0) print_result("  %-14s%s", stages[i].name, stages[i].summary);
        free(path);
    }
    print_result("\n'aligndistil STAGE --help' lists a stage's options.");
    finish_stdout();
}

static _Noreturn void run(const char *folder, char **argv) {
    struct nearest near = nearest_to(argv[0], strlen(argv[0]));
    bool known = false;
    for (size_t i = 0; i < STAGES; i++) {
        nearest_try(&near, stages[i].name);
        known = known || !strcmp(argv[0], stages[i].name);
    }
    if (!known && near.best)
        die(EXIT_USAGE, "unknown stage '%s'; did you mean '%s'?", argv[0], near.best);
    if (!known) die(EXIT_USAGE, "unknown stage '%s'; see --help", argv[0]);
    char *path = xasprintf("%s/%s", folder, argv[0]);
    execv(path, argv);
    die(EXIT_FAILED, "cannot run '%s': %s; install again", path, strerror(errno));
}

int main(int argc, char **argv) {
    guard_streams();
    if (argc < 2) die(EXIT_USAGE, "no stage given; see --help");
    char *folder = stage_folder();
    if (!strcmp(argv[1], "--version")) {
        print_result("aligndistil %s", ALIGNDISTIL_VERSION);
        finish_stdout();
    } else if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        help(folder);
    } else {
        run(folder, argv + 1);
    }
    free(folder);
    return EXIT_DONE;
}

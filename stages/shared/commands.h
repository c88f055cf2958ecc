// Programs with subcommands: aligndistil and its stages, eval and shard and theirs. One table gives
// the help, the manual page, the completion and the calls.
#pragma once
#include <stddef.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv); // argv[0] is the name; returns the exit code
    const char *summary;
};
struct commands {
    const char *program, *what; // "shard", "command"
    const char *usage, *summary;
    size_t n;
    const struct command *items;
};

// Runs argv[1] and returns its exit code. --help, help [NAME...], --version and --describe
// man|words (see common/base/options.h) are answered, exit 0; an unknown name: dies, exit 2.
int commands_run(const struct commands *c, int argc, char **argv);

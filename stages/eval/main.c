// eval: measures models and preferences; one subcommand for each question.
#include "stages/eval/eval.h"
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"nll", eval_nll, "negative log-likelihood and perplexity of a model"},
    {"pairs", eval_pairs, "reward accuracy and margins of models on preference pairs"},
    {"kl", eval_kl, "KL divergence of a model from its base, on responses"},
    {"tokens", eval_tokens, "reward, alpha, TVD and teacher entropy of each response token"},
    {"score", eval_score, "mean score of responses by a command"},
    {"judge", eval_judge, "win rates of responses A against B by a command"},
    {"alpaca", eval_alpaca, "win rates of AlpacaEval annotations, beside the leaderboard"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int help(void) {
    print_result("usage: eval COMMAND [options]; eval COMMAND --help tells more");
    for (int i = 0; i < COMMANDS; i++)
        print_result("  %-8s %s", commands[i].name, commands[i].summary);
    finish_stdout();
    return EXIT_DONE;
}

int main(int argc, char **argv) {
    guard_streams();
    if (argc < 2) die(EXIT_USAGE, "no command is given; eval --help lists them");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) return help();
    if (!strcmp(argv[1], "--version")) {
        print_result("eval (aligndistil) %s", ALIGNDISTIL_VERSION);
        finish_stdout();
        return EXIT_DONE;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name)) return commands[i].run(argc - 1, argv + 1);
    die(EXIT_USAGE, "there is no command '%s'; eval --help lists them", argv[1]);
}

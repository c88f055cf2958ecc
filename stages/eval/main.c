// eval: measures models and preferences; one subcommand for each question.
#include "stages/eval/eval.h"
#include "stages/shared/commands.h"

static const struct command commands[] = {
    {"nll", eval_nll, "negative log-likelihood and perplexity of a model"},
    {"pairs", eval_pairs, "reward accuracy and margins of models on preference pairs"},
    {"kl", eval_kl, "KL divergence of a model from its base, on responses"},
    {"tokens", eval_tokens, "reward, alpha, TVD and teacher entropy of each response token"},
    {"score", eval_score, "mean score of responses by a command"},
    {"judge", eval_judge, "win rates of A against B by a command, or a benchmark's verdicts"},
    {"alpaca", eval_alpaca, "win rates of AlpacaEval annotations, beside the leaderboard"},
    {"mtbench", eval_mtbench, "MT-Bench's mean ratings by turn and category"},
    {"arenahard", eval_arenahard, "Arena-Hard's scores with intervals, at equal style if wanted"},
    {"agreement", eval_agreement, "how often two judges agree"},
    {"leaderboard", eval_leaderboard, "a model's line among the published ones"},
};

int main(int argc, char **argv) {
    const struct commands c = {.program = "eval",
                               .what = "command",
                               .usage = "COMMAND [options]",
                               .summary = "Measure models, responses and preferences.",
                               .n = sizeof commands / sizeof *commands,
                               .items = commands};
    return commands_run(&c, argc, argv);
}

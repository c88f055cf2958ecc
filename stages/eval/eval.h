// The subcommands of `eval`, each a main of its own: options, read, compute, print a table. They
// return the exit code.
#pragma once

int eval_nll(int argc, char **argv);         // how well a model predicts tokens
int eval_pairs(int argc, char **argv);       // rewards of preference pairs
int eval_kl(int argc, char **argv);          // KL from a base model on responses
int eval_tokens(int argc, char **argv);      // rewards, alpha and entropy of each token
int eval_judge(int argc, char **argv);       // responses A against B by a judge's preferences
int eval_score(int argc, char **argv);       // responses by a scorer's numbers
int eval_alpaca(int argc, char **argv);      // AlpacaEval's annotations and leaderboard
int eval_mtbench(int argc, char **argv);     // MT-Bench's ratings
int eval_arenahard(int argc, char **argv);   // Arena-Hard's scores
int eval_agreement(int argc, char **argv);   // two judges of the same answers
int eval_leaderboard(int argc, char **argv); // a line among the published ones

// Win rates, and the length-controlled one of AlpacaEval 2.0 (Dubois et al. 2024) with the
// regression behind it. All in double; empty input gives NaN.
//
// A preference is a number in [0, 1]: 1 if the model under test is preferred to the baseline, 0.5 a
// draw. Rates are fractions here; leaderboards print percent.
#pragma once
#include <stddef.h>

struct win_rate {
    double rate, standard_error; // mean preference
    double discrete;             // draws count half: (wins + draws / 2) / total
    size_t wins, losses, draws, total;
};
struct win_rate winrate_plain(const double *preference, size_t n);

enum { WINRATE_FEATURES = 64 }; // most features of a logistic regression

struct logistic_data {
    size_t n, k;          // rows, features; k <= WINRATE_FEATURES
    const double *x;      // (n,k)
    const double *y;      // (n) labels in [0, 1]
    const double *weight; // (n) of the rows; NULL: 1
    const double *linear; // (k) added to the gradient of the log-likelihood; NULL: none
    double ridge;         // quadratic penalty ridge / 2 |w|^2; > 0 keeps separable data finite
};
// Maximises sum_i weight_i [y_i log s_i + (1 - y_i) log(1 - s_i)] + linear w - ridge / 2 |w|^2,
// s_i = sigmoid(x_i w), by damped Newton steps from 0. w (k). Returns the largest |gradient| left.
double winrate_logistic(const struct logistic_data *d, double *w);

// Moments of AlpacaEval's two "gamed" baselines (a verbose and a concise prompt of the baseline
// itself), whose rows regularise the fit: sums over their annotations of preference x length term
// and preference x difficulty, and their weight (lambda; each has half of it).
struct gamed_moments {
    double length, difficulty, lambda;
};
struct length_control {
    double rate;           // mean predicted preference at equal lengths
    double standard_error; // AlpacaEval's: sd of the predictions over instructions / sqrt(n)
    double fit_error;      // of the mean, by the delta method from the fit's information matrix
    double length, difficulty, constant; // the weights; difficulty 0 if none was given
};
// preference (n); length_difference (n): baseline's length - the model's, in characters;
// difficulty (n) of the instructions or NULL; gamed: NULL or with difficulty only.
// The model: logit = w0 tanh(length_difference / its standard deviation) + w1 difficulty + w2.
struct length_control winrate_length_control(const double *preference,
                                             const double *length_difference,
                                             const double *difficulty, size_t n,
                                             const struct gamed_moments *gamed);

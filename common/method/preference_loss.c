#include "common/method/preference_loss.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static double log_sigmoid(double u) {
    return u < 0 ? u - log1p(exp(u)) : -log1p(exp(-u));
}
static double sigmoid(double u) {
    return u < 0 ? exp(u) / (1 + exp(u)) : 1 / (1 + exp(-u));
}

static double logistic(double beta, double u, double *d) {
    *d = -beta * sigmoid(-u);
    return -log_sigmoid(u);
}

static double dpo(const struct preference_options *o, double h, double *d) {
    return logistic(o->beta, o->beta * h, d);
}

static double cdpo(const struct preference_options *o, double h, double *d) {
    double b = o->beta, e = o->smoothing, u = b * h;
    *d = b * (-(1 - e) * sigmoid(-u) + e * sigmoid(u));
    return -(1 - e) * log_sigmoid(u) - e * log_sigmoid(-u);
}

static double robust(const struct preference_options *o, double h, double *d) {
    double b = o->beta, e = o->smoothing, u = b * h;
    *d = b * (-(1 - e) * sigmoid(-u) - e * sigmoid(u)) / (1 - 2 * e);
    return (-(1 - e) * log_sigmoid(u) + e * log_sigmoid(-u)) / (1 - 2 * e);
}

static double ipo(const struct preference_options *o, double h, double *d) {
    double off = h - 1 / (2 * o->beta);
    *d = 2 * off;
    return off * off;
}

static double hinge(const struct preference_options *o, double h, double *d) {
    double u = o->beta * h;
    *d = u < 1 ? -o->beta : 0;
    return u < 1 ? 1 - u : 0;
}

static double simpo(const struct preference_options *o, double h, double *d) {
    return logistic(o->beta, o->beta * h - o->simpo_gamma, d);
}

// Bradley and Terry's: the numbers are rewards already.
static double reward(const struct preference_options *o, double h, double *d) {
    struct preference_options plain = *o;
    plain.beta = 1;
    return dpo(&plain, h, d);
}

static const struct preference_kind kinds[PREFERENCE_LOSSES] = {
    [PREFERENCE_DPO] = {"dpo", dpo, .known_start = true},
    [PREFERENCE_CDPO] = {"cdpo", cdpo, .known_start = true, .own = {"label-smoothing"}},
    [PREFERENCE_ROBUST] = {"robust", robust, .known_start = true, .own = {"label-smoothing"}},
    [PREFERENCE_IPO] = {"ipo", ipo, .mean = true, .own = {"ipo-sum"}},
    [PREFERENCE_HINGE] = {"hinge", hinge, .own = {NULL}},
    [PREFERENCE_SIMPO] = {"simpo", simpo, .no_reference = true, .mean = true,
                          .own = {"simpo-gamma"}},
    [PREFERENCE_TDPO1] = {"tdpo1", dpo, .distribution = true, .known_start = true},
    [PREFERENCE_TDPO2] = {"tdpo2", dpo, .distribution = true, .known_start = true,
                          .own = {"tdpo-alpha"}},
    [PREFERENCE_REWARD] = {"reward", reward, .no_reference = true, .scored = true,
                           .known_start = true},
};

const struct preference_kind *preference_kind(enum preference_loss loss) {
    return &kinds[loss];
}

void preference_names(char *names, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < PREFERENCE_LOSSES && n < size; i++)
        n += (size_t)snprintf(names + n, size - n, "%s%s", i ? "|" : "", kinds[i].name);
}

bool preference_parse(const char *name, enum preference_loss *loss) {
    for (size_t i = 0; i < PREFERENCE_LOSSES; i++) {
        if (strcmp(name, kinds[i].name)) continue;
        *loss = (enum preference_loss)i;
        return true;
    }
    return false;
}

bool preference_is_scored(enum preference_loss loss) {
    return kinds[loss].scored;
}

bool preference_needs_reference(enum preference_loss loss) {
    return !kinds[loss].no_reference;
}

bool preference_needs_distribution(enum preference_loss loss) {
    return kinds[loss].distribution;
}

static bool owns(const struct preference_kind *kind, const char *option) {
    for (size_t i = 0; i < PREFERENCE_OWN && kind->own[i]; i++)
        if (!strcmp(kind->own[i], option)) return true;
    return false;
}

bool preference_idle(enum preference_loss loss, const char *option, char *whose, size_t size) {
    size_t n = 0;
    if (size) *whose = 0;
    for (size_t i = 0; i < PREFERENCE_LOSSES; i++)
        if (owns(&kinds[i], option) && n < size)
            n += (size_t)snprintf(whose + n, size - n, "%s%s", n ? " and " : "", kinds[i].name);
    return n && !owns(&kinds[loss], option);
}

// The value that the loss is a function of, and how it depends on both responses.
static double contrast(const struct preference_options *o, const struct preference_terms *t,
                       struct preference_result *r) {
    const struct preference_kind *kind = &kinds[o->loss];
    bool mean = kind->mean && !(o->loss == PREFERENCE_IPO && o->ipo_sum);
    double h = 0;
    for (int k = 0; k < 2; k++) {
        double share = mean ? 1 / fmax(1, (double)t->length[k]) : 1, sign = k ? -1 : 1,
               d = t->logp[k] - (kind->no_reference ? 0 : t->ref[k]);
        h += sign * share * d;
        r->d_logp[k] = sign * share;
        r->reward[k] = kind->scored ? d : o->beta * d * (o->loss == PREFERENCE_SIMPO ? share : 1);
    }
    if (!kind->distribution) return h;
    bool first = o->loss == PREFERENCE_TDPO1;
    double a = first ? 1 : o->tdpo_alpha;
    for (int k = 0; k < 2; k++) r->reward[k] += o->beta * t->kl[k];
    r->d_kl[0] = first ? 1 : 0; // tdpo2 stops the gradient of D_w
    r->d_kl[1] = -a;
    return h - a * (t->kl[1] - t->kl[0]);
}

struct preference_result preference_pair(const struct preference_options *o,
                                         const struct preference_terms *t) {
    struct preference_result r = {0};
    double d, h = contrast(o, t, &r);
    r.loss = kinds[o->loss].loss(o, h, &d);
    for (int k = 0; k < 2; k++) {
        r.d_logp[k] *= d;
        r.d_kl[k] *= d;
    }
    return r;
}

bool preference_check_start(const struct preference_options *o, double loss, struct fail *f) {
    if (!kinds[o->loss].known_start) return true;
    double unused, expected = kinds[o->loss].loss(o, 0, &unused);
    if (fabs(loss - expected) <= 1e-5) return true;
    return fail_set(
        f, EXIT_FAILED,
        "the first step's loss is %.7f instead of %.7f although the reference is the "
        "start model; its log-probabilities are not those of '--ref'; compute them again",
        loss, expected);
}

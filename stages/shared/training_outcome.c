#include "stages/shared/training_outcome.h"
#include "stages/shared/training_ranks.h"
#include "common/base/clock.h"
#include "common/base/jsonout.h"
#include "common/base/path.h"
#include "common/base/ranks.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct training_outcome *r = self;
    (void)end, (void)f;
    outcome_step(&r->outcome, r->training->metrics);
    if (r->training->kl_start) // of the student's own samples: their distance is measured as they
                               // are drawn
        r->outcome.kl_start = metrics_get(r->training->metrics, r->training->kl_start) /
                              metrics_get(r->training->metrics, "response_length");
    if (r->training->best_step == step) r->best = r->outcome;
    return true;
}

// The start model's weights again, beside the trained ones. False: they are not to be had, with a
// failure where the file is there.
static bool load_start(struct training *t, struct model_file *start, struct fail *failure) {
    struct fail f = {0};
    struct model *m = &t->model->model;
    *start = (struct model_file){0};
    if (m->adapter) {
        model_share(&start->model, m);
        return true;
    }
    if (!t->optim->sharded) optim_drop_grads(t->optim); // whose place it takes
    if (model_file_load(t->start, start, &f) && hash_equal(start->content, t->model->content)) {
        start->model.rounded = m->rounded;
        return true;
    }
    struct fail unseen = {0};
    if (f.code && (path_is_there(t->start, &unseen) || unseen.code)) {
        *failure = f;
        return false;
    }
    log_note(t->log, "'%s' is not there any more as it was: the distance to it is not known",
             t->start);
    if (!f.code) model_file_release(start);
    return false;
}

static bool has_distance(const struct training *t) {
    return !t->own_samples && t->start && !t->model->model.config.reward_head;
}

size_t training_outcome_plan(struct training *t, const struct model *m) {
    size_t tokens = (size_t)t->train->micro_tokens;
    return has_distance(t) ? outcome_distance_plan(m, &t->source, tokens) : 0;
}

size_t training_outcome_start_bytes(struct training *t, const struct model *m) {
    return has_distance(t) && training_ranks_sharded(t) && !m->adapter ? model_bytes(m) : 0;
}

// NaN where the start model is gone or another: the run is not lost for it.
static double distance(struct training *t, struct fail *f) {
    struct model_file start;
    if (!load_start(t, &start, f)) return NAN;
    double kl = outcome_distance(&t->model->model, &start.model, &t->source,
                                 (size_t)t->train->micro_tokens, f);
    model_file_release(&start);
    return kl;
}

// Of the weights that are kept.
static struct outcome *kept(struct training_outcome *r) {
    return r->training->best_step ? &r->best : &r->outcome;
}

static void write_record(struct training_outcome *r) {
    const struct training *t = r->training;
    struct str s = {0};
    str_printf(&s, "{\"stage\":\"%s\",\"rows\":%zu,\"lr\":", t->stage, t->source.rows);
    jsonout_number(&s, t->train->optim.lr);
    if (t->about.length) str_puts(&s, t->about.text);
    str_puts(&s, ",");
    outcome_json(kept(r), &s);
    if (t->best_step) str_printf(&s, ",\"steps_run\":%llu", (unsigned long long)r->outcome.steps);
    str_puts(&s, "}");
    free(r->record);
    r->record = s.text;
}

static bool finish(void *self, struct parents *rest, struct fail *f) {
    struct training_outcome *r = self;
    struct training *t = r->training;
    (void)rest;
    if (has_distance(t) && !ranks_self()) kept(r)->kl_start = distance(t, f);
    write_record(r);
    t->lineage.record = r->record;
    return !f->code;
}

static void keep(void *self, struct str *extra) {
    const struct training_outcome *r = self;
    str_add(extra, &r->outcome, sizeof r->outcome);
    if (r->training->best_step) str_add(extra, &r->best, sizeof r->best);
}

static bool restore(void *self, const struct str *extra) {
    struct training_outcome *r = self;
    bool best = r->training->best_step > 0;
    if (extra->length != sizeof r->outcome + (best ? sizeof r->best : 0)) return false;
    memcpy(&r->outcome, extra->text, sizeof r->outcome);
    if (best) memcpy(&r->best, extra->text + sizeof r->outcome, sizeof r->best);
    return true;
}

void training_outcome_start(struct training_outcome *r, struct training *t) {
    *r =
        (struct training_outcome){.training = t, .outcome.kl_start = NAN, .start = clock_seconds()};
    if (t->continue_output) {
        r->outcome.steps = t->continue_step;
        r->outcome.tokens = t->tokens_before;
    }
    training_add_hook(t, (struct training_hook){.self = r,
                                                .after_step = after_step,
                                                .finish = finish,
                                                .keep = keep,
                                                .restore = restore});
}

void training_outcome_tell(struct training_outcome *r) {
    struct str s = {0};
    char took[32];
    unsigned long long steps = r->outcome.steps, best = r->training->best_step;
    log_time(clock_seconds() - r->start, took);
    str_printf(&s, "%llu step%s in %s", steps, steps == 1 ? "" : "s", took);
    if (best && best != steps) str_printf(&s, ", kept the weights of step %llu", best);
    str_puts(&s, ": ");
    outcome_words(kept(r), &s);
    log_note(r->training->log, "%s", s.text);
    str_release(&s);
}

void training_outcome_close(struct training_outcome *r) {
    free(r->record);
}

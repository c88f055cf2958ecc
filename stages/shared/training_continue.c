#include "stages/shared/training_continue.h"
#include "common/base/path.h"
#include "formats/bytes/json.h"
#include "formats/models/checkpoint.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_length(const char *name) {
    return !strcmp(name, "epochs") || !strcmp(name, "steps");
}

static bool is_continued(const char *name) {
    return !strcmp(name, "continued");
}

// The members of an object of options that are (or are not) lengths, without `continued`.
static char *members(const char *options, bool lengths) {
    struct fail f = {0};
    struct json *j = json_parse(options, strlen(options), "options", &f);
    struct str s = {0};
    str_puts(&s, "{");
    for (size_t i = 0; i < json_size(j); i++) {
        const char *name = json_key(j, i);
        if (is_continued(name) || is_length(name) != lengths) continue;
        str_printf(&s, "%s\"%s\":", s.length > 1 ? "," : "", name);
        json_write(&s, json_value(j, i), 0);
    }
    str_puts(&s, "}");
    json_free(j);
    return s.text;
}

static char *lineage_without(const char *stage, const char *options, const struct parents *p) {
    char *rest = members(options, false);
    struct lineage l = {.stage = stage, .version = 1, .options = rest, .parents = *p};
    char *text = lineage_text("run", &l);
    free(rest);
    return text;
}

static void check_same(const struct training *t, const struct artefact *a, const char *path) {
    struct str difference = {0};
    char *found = lineage_without(a->stage, a->options, &a->parents);
    char *wanted = lineage_without(t->stage, t->options_json, &t->lineage.parents);
    if (!lineage_same(found, wanted, &difference))
        die(EXIT_FAILED,
            "'%s' belongs to another run: %s; --continue changes --epochs and --steps alone", path,
            difference.text);
    free(found);
    free(wanted);
}

static char *text_of(const char *options, const char *name) {
    struct fail f = {0};
    struct json *j = json_parse(options, strlen(options), "options", &f);
    const char *text = json_text(json_get(j, name), NULL);
    char *copy = text ? xstrdup(text) : NULL;
    json_free(j);
    return copy;
}

// A finished output says in its record how many steps it had; --patience may have made it fewer.
static uint64_t steps_of_output(struct training *t, const struct artefact *a) {
    struct fail f = {0};
    struct json *j = a->record ? json_parse(a->record, strlen(a->record), "record", &f) : NULL;
    double steps = json_number(json_get(j, "steps"));
    t->tokens_before = json_number(json_get(j, "tokens"));
    json_free(j);
    if (!(steps > 0))
        die(EXIT_FAILED, "'%s' does not record its steps; train again without --continue",
            t->output);
    return (uint64_t)steps;
}

// Of a run that ended: the state of its validations is gone.
static void check_finished(const struct training *t) {
    static const char *const names[] = {"patience", "save-best"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        options_refuse(t->options, names[i],
                       "keeps a state that a finished run has not; --continue goes with it only "
                       "where the run was stopped");
}

static void go_on(struct training *t, const struct artefact *a, bool checkpoint) {
    char *own = members(t->options_json, true), *theirs = members(a->options, true);
    char *continued = text_of(a->options, "continued");
    if (!strcmp(own, theirs)) { // this very run, stopped or finished
        t->continued = continued;
    } else {
        uint64_t step = 0;
        struct fail f = {0};
        if (checkpoint)
            checkpoint_step(t->checkpoint_path, &step, &f);
        else
            check_finished(t), step = steps_of_output(t, a);
        die_if(&f);
        t->continued = xasprintf("%s%s%llu", continued ? continued : "", continued ? "," : "",
                                 (unsigned long long)step);
        t->continue_output = !checkpoint;
        t->continue_step = step;
        t->continue_options = xstrdup(a->options);
        free(continued);
    }
    free(own);
    free(theirs);
    training_options(t);
}

void training_continue(struct training *t) {
    struct fail f = {0};
    struct artefact a;
    if (!t->train->longer || t->common->dry_run || t->continued) return;
    if (t->common->force)
        die(EXIT_USAGE, "--continue keeps what --force throws away; give one of them");
    bool checkpoint = path_is_there(t->checkpoint_path, &f);
    die_if(&f);
    const char *path = checkpoint ? t->checkpoint_path : t->output;
    bool there = checkpoint || path_is_there(path, &f);
    die_if(&f);
    if (!there)
        die(EXIT_FAILED,
            "there is neither '%s' nor '%s' to continue; leave out --continue to begin", t->output,
            t->checkpoint_path);
    artefact_read(path, NULL, &a, &f);
    die_if(&f);
    check_same(t, &a, path);
    go_on(t, &a, checkpoint);
    artefact_release(&a);
}

static bool load_weights(struct training *t, struct model_file *m, struct fail *f) {
    struct model *own = &t->model->model;
    *m = (struct model_file){0};
    if (own->config.reward_head) return model_file_load_as(t->output, MODEL_REWARD, false, m, f);
    if (!own->adapter) return model_file_load(t->output, m, f);
    model_share(&m->model, own);
    m->content = t->model->content;
    return adapter_file_load(t->output, m, f);
}

bool training_continue_output(struct training *t, uint64_t *step) {
    struct model_file m;
    struct fail f = {0};
    if (!t->continue_output) return false;
    load_weights(t, &m, &f);
    die_if(&f);
    struct parameters from = model_trained(&m.model), to = model_trained(&t->model->model);
    memcpy(to.values, from.values, to.n * sizeof *to.values);
    model_file_release(&m);
    *step = t->continue_step;
    return true;
}

void training_continue_tell(const struct training *t, uint64_t step, uint64_t steps) {
    if (!t->continue_options) return;
    if (step >= steps)
        die(EXIT_USAGE,
            "the run has %llu steps already, and this is one of %llu; give more --epochs",
            (unsigned long long)step, (unsigned long long)steps);
    log_note(t->log,
             "continuing '%s' after step %llu: from here on the learning rate is that of a run of "
             "%llu steps, %g at the next one%s",
             t->continue_output ? t->output : t->checkpoint_path, (unsigned long long)step,
             (unsigned long long)steps, optim_rate(&t->train->optim, step, steps),
             t->continue_output ? "; the moments of Adam begin at zero" : "");
}

#include "stages/shared/scorer.h"
#include "common/base/jsonout.h"
#include "common/base/pump.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shared/generation.h"
#include <assert.h>
#include <math.h>
#include <string.h>

void scorer_rows(struct options *o, struct scorer *s) {
    const struct opt_row rows[] = {
        {"scorer", OPT_TEXT, OPT_RESULT, &s->command, .metavar = "COMMAND",
         .help = "run by sh -c; reads lines {\"prompt\", \"response\"} on stdin, prints one number "
                 "for each, higher is better"},
        {"reward-model", OPT_TEXT, OPT_INPUT, &s->reward_path, .metavar = "FILE",
         .help = "or a reward model (dpo-train --loss reward)"},
        {"scorer-timeout", OPT_TIME, OPT_EXEC, &s->timeout, .value = "0", .metavar = "T",
         .help = "give up after such a silence of the scorer, 0 = never"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

bool scorer_is_set(const struct scorer *s) {
    if (s->command && s->reward_path)
        die(EXIT_USAGE, "--scorer and --reward-model are both given; choose one");
    return s->command || s->reward_path;
}

void scorer_load(struct scorer *s, const struct model_file *answers, struct parents *parents) {
    struct fail f = {0};
    if (s->reward_path) {
        model_file_load_as(s->reward_path, MODEL_REWARD, false, &s->model, &f);
        die_if(&f);
        if (!hash_equal(s->model.tokenizer, answers->tokenizer))
            die(EXIT_BADDATA,
                "'%s' has another tokenizer than the model that answers; train it from the same "
                "base model",
                s->reward_path);
        s->model.model.rounded = answers->model.rounded;
        parents_add(parents, "model", s->model.content);
    }
    const char *text = answers->tokenizer_json;
    if (s->command && !text)
        die(EXIT_BADDATA, "the model has no tokenizer, so there is no text for --scorer");
    if (s->command) s->tokenizer = tokenizer_parse(text, strlen(text), "tokenizer.json", &f);
    die_if(&f);
}

struct asking {
    const struct scorer *scorer;
    const struct reward_text *text;
    size_t n;
    struct log *log;
    double *score;
};

static void ask(void *self, size_t i, struct str *line) {
    const struct asking *a = self;
    const struct reward_text *t = &a->text[i];
    assert(t->response == t->prompt + t->prompt_tokens);
    struct decoded d = generation_decode(a->scorer->tokenizer, t->prompt, t->prompt_tokens,
                                         t->prompt_tokens + t->response_tokens);
    str_puts(line, "{\"prompt\": ");
    jsonout_bytes(line, d.prompt, d.prompt_bytes);
    str_puts(line, ", \"response\": ");
    jsonout_bytes(line, d.response, d.response_bytes);
    str_puts(line, "}\n");
    generation_decoded_release(&d);
}

static bool answer(void *self, size_t i, const char *line, struct fail *f) {
    struct asking *a = self;
    char excerpt[PUMP_EXCERPT];
    pump_excerpt(line, excerpt);
    if (!pump_number(line, &a->score[i]))
        return fail_set(f, EXIT_BADDATA,
                        "the scorer's line %zu is '%s', not a number; it must print one per line",
                        i + 1, excerpt);
    if (a->log) log_progress(a->log, "score", i + 1, a->n, NULL);
    return true;
}

bool scorer_run(struct scorer *s, const struct reward_text *text, size_t n, size_t tokens,
                struct log *log, double *score, struct fail *f) {
    if (s->reward_path) {
        reward_score(&s->model.model, text, n, tokens, score);
        return true;
    }
    struct asking a = {s, text, n, log, score};
    struct pump pump = {.name = "scorer",
                        .command = s->command,
                        .questions = n,
                        .timeout = s->timeout,
                        .self = &a,
                        .ask = ask,
                        .answer = answer};
    bool good = pump_run(&pump, f);
    if (log) log_end_progress(log);
    return good;
}

size_t scorer_plan(const struct scorer *s, size_t longest, size_t tokens) {
    if (!s->reward_path) return 0;
    return model_bytes(&s->model.model) + reward_score_plan(&s->model.model, longest, tokens);
}

void scorer_release(struct scorer *s) {
    if (s->reward_path) model_file_release(&s->model);
    if (s->tokenizer) tokenizer_free(s->tokenizer);
}

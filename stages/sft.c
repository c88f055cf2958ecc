// sft: supervised fine-tuning, or plain language-model training where the rows have no prompt.
#include "formats/teachers/sources.h"
#include "stages/shared/data_check.h"
#include "common/base/ranks.h"
#include "stages/shared/lora_training.h"
#include "stages/shared/training.h"
#include "stages/shared/validation.h"
#include <math.h>
#include <string.h>

struct sft {
    const char *model, *output, *loss_on, *dtype;
    struct lora lora;
    struct opt_list data;
    const char *precision;
    struct validation_options valid;
    struct common_options common;
    struct train_options train;
    struct model_file start;
    struct tokens tokens, held_out;
    struct validation validation;
};

static void declare(struct options *o, struct sft *s) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &s->model, .metavar = "FILE", .help = "model to start from",
         .required = true},
        {"data", OPT_LIST, OPT_INPUT, &s->data, .metavar = "FILE...",
         .help = "tokens of kind text or sft", .required = true, .paths = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "FILE",
         .help = "the trained model", .required = true},
        {"loss-on", OPT_CHOICE, OPT_RESULT, &s->loss_on, .value = "response",
         .choices = "response|all",
         .help = "tokens whose loss is trained: those of responses, or all"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    precision_row(o, &s->precision);
    validation_rows(o, &s->valid, "held-out tokens to validate on");
    lora_rows(o, &s->lora, &s->dtype);
    frozen_dtype_row(
        o, &s->dtype,
        "the model below an adapter: bf16 halves its memory and rounds its weights; if "
        "not given, bf16 where the model was imported in it");
    train_options_rows(o, &s->train, RATE_SFT, "32");
    common_log_row(o, &s->common);
    common_kernels_row(o, &s->common);
    common_options_rows(o, &s->common);
}

static void load_tokens(const struct sft *s, const struct opt_list *data, struct tokens *t,
                        struct parents *parents) {
    struct fail f = {0};
    tokens_load(t, data->n, data->items, &f);
    die_if(&f);
    (t == &s->tokens ? parents_add_all : parents_add_valid)(parents, &t->parents);
    data_check(&s->start, t->tokenizer, t->top, t->longest, t->rows, data->items[0]);
    if (choice_is(s->loss_on, "all")) memset(t->mask, 1, t->first[t->rows]);
    size_t targets = 0;
    for (size_t row = 0; row < t->rows; row++) // a row's first token is no target
        for (size_t i = t->first[row] + 1; i < t->first[row + 1]; i++) targets += t->mask[i];
    if (!targets)
        die(EXIT_BADDATA,
            "'%s' has no loss tokens (kind prompt, or rows of one token?); sft takes tokenize "
            "--kind text or sft",
            data->items[0]);
}

static void load_inputs(struct sft *s, struct parents *parents) {
    struct model_shelf shelf = {0};
    lora_load(&s->lora, &shelf, s->model, &s->start);
    model_shelf_release(&shelf);
    s->start.model.rounded = precision_is_bf16(s->precision);
    lora_attach(&s->lora, &s->start.model, (uint64_t)s->common.seed);
    parents_add(parents, "model", s->start.content);
    load_tokens(s, &s->data, &s->tokens, parents);
    if (s->valid.data.n) load_tokens(s, &s->valid.data, &s->held_out, parents);
}

static void start_validation(struct sft *s, struct training *t) {
    struct source held_out;
    source_tokens(&held_out, &s->held_out);
    t->more_bytes += tokens_bytes(&s->held_out);
    validation_start(&s->validation, &s->valid, &held_out,
                     objective_sft_new(s->start.model.config.vocab_used), NULL, t);
}

static int train(struct sft *s, struct training *t) {
    struct objective objective = objective_sft_new(s->start.model.config.vocab_used);
    t->model = &s->start;
    t->objective = &objective;
    source_tokens(&t->source, &s->tokens);
    t->more_bytes = tokens_bytes(&s->tokens);
    if (s->valid.data.n) start_validation(s, t);
    int code = training_run(t);
    objective_free(&objective);
    validation_close(&s->validation);
    return code;
}

int main(int argc, char **argv) {
    struct sft s = {0};
    struct fail f = {0};
    struct options o = {.program = "sft",
                        .usage = "--model FILE --data FILE... -o FILE [options]",
                        .summary = "Train a model on texts or on responses to prompts."};
    ranks_begin(argc, argv);
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    validation_check(&s.valid, &f);
    die_if(&f);
    lora_check(&s.lora, &o, s.model);
    if (!s.lora.rank) options_refuse(&o, "frozen-dtype", "is of an adapter; give --lora-rank too");
    struct training t = {.stage = "sft",
                         .start = s.model,
                         .output = s.output,
                         .options = &o,
                         .common = &s.common,
                         .train = &s.train};
    training_begin(&t);
    t.lineage.kind = lora_kind(&s.lora);
    load_inputs(&s, &t.lineage.parents);
    training_rate(&t, &s.train, RATE_SFT, &s.start.model, s.lora.rank > 0);
    int code = training_current(&t) ? EXIT_DONE : train(&s, &t);
    if (s.valid.data.n) tokens_release(&s.held_out);
    tokens_release(&s.tokens);
    model_file_release(&s.start);
    training_end(&t);
    options_release(&o);
    return ranks_end(code);
}

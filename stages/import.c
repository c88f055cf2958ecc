// import: a model file from a Hugging Face folder, or with random weights; or a new tokenizer.
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/parallel.h"
#include "common/base/path.h"
#include "common/engine/adapter.h"
#include "formats/models/huggingface.h"
#include "formats/models/peft.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shared/import_corpus.h"
#include "stages/shared/import_plan.h"
#include "stages/shared/tokenizer_train.h"
#include "formats/bytes/stream.h"
#include "formats/bytes/whole_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct import {
    const char *hf, *init, *adapter, *base, *tokenizer, *bos, *eos, *output;
    struct opt_list corpus, special;
    int64_t vocab;
    struct common_options common;
    struct log *log;
};

static void declare(struct options *o, struct import *s) {
    const struct opt_row rows[] = {
        {"hf", OPT_TEXT, OPT_INPUT, &s->hf, .metavar = "DIR",
         .help = "folder with config.json, *.safetensors, tokenizer.json"},
        {"init", OPT_TEXT, OPT_INPUT, &s->init, .metavar = "FILE",
         .help = "config.json of a model that gets random weights (see --seed)"},
        {"adapter", OPT_TEXT, OPT_INPUT, &s->adapter, .metavar = "DIR",
         .help = "folder of a LoRA adapter as PEFT saves it; with --base-model"},
        {"base-model", OPT_TEXT, OPT_INPUT, &s->base, .metavar = "FILE",
         .help = "the imported model that the adapter belongs to"},
        {"tokenizer", OPT_TEXT, OPT_INPUT, &s->tokenizer, .metavar = "FILE",
         .help = "tokenizer.json; with --hf instead of the folder's own"},
        {"train-tokenizer", OPT_LIST, OPT_INPUT, &s->corpus, .metavar = "FILE...",
         .help = "train a byte-level BPE tokenizer on these texts; -o names its tokenizer.json"},
        {"vocab", OPT_INT, OPT_RESULT, &s->vocab, .value = "8192", .low = 257, .high = 1 << 20,
         .metavar = "N", .help = "size of a trained tokenizer's vocabulary"},
        {"bos", OPT_TEXT, OPT_RESULT, &s->bos, .metavar = "TOKEN",
         .help = "token that begins a text, in place of what the files say (trained: <|bos|>)"},
        {"eos", OPT_TEXT, OPT_RESULT, &s->eos, .metavar = "TOKEN",
         .help = "token that ends a text, in place of what the files say (trained: <|eos|>)"},
        {"special", OPT_LIST, OPT_RESULT, &s->special, .metavar = "TOKEN...",
         .help = "further special tokens of a trained tokenizer"},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "FILE",
         .help = "the model, or the trained tokenizer.json"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    common_options_rows(o, &s->common);
}

static void check_usage(const struct import *s) {
    int ways = (s->hf != NULL) + (s->init != NULL) + (s->corpus.n > 0) + (s->adapter != NULL);
    if (ways != 1)
        die(EXIT_USAGE,
            "missing what to import: give --hf, --init, --adapter or --train-tokenizer; see "
            "--help");
    if (!s->adapter != !s->base)
        die(EXIT_USAGE, "--adapter and --base-model go together: an adapter and its model");
    if (s->init && !s->tokenizer && !s->common.dry_run)
        die(EXIT_USAGE, "--init needs --tokenizer (import --train-tokenizer makes one)");
    if (s->corpus.n && s->tokenizer)
        die(EXIT_USAGE, "--train-tokenizer makes a tokenizer; it takes no --tokenizer");
    if (!s->output && !s->common.dry_run) die(EXIT_USAGE, "'-o' is missing: name the output");
}

// ---- a tokenizer --------------------------------------------------------------------------------

// "-" among the files: stdin.
static void name_stdin(struct opt_list *files) {
    for (size_t i = 0; i < files->n; i++)
        if (!strcmp(files->items[i], "-")) files->items[i] = "/dev/stdin";
}

static void train_tokenizer(struct import *s) {
    const char **special = xcalloc(s->special.n + 2, sizeof *special);
    special[0] = s->bos ? s->bos : "<|bos|>";
    special[1] = s->eos ? s->eos : "<|eos|>";
    for (size_t i = 0; i < s->special.n; i++) special[i + 2] = s->special.items[i];
    struct tokenizer_training t = {.vocab = (size_t)s->vocab,
                                   .special = special,
                                   .n_special = s->special.n + 2,
                                   .bos = special[0]};
    struct fail f = {0};
    size_t n;
    if (s->common.no_clobber && path_is_there(s->output, &f))
        die(EXIT_FAILED, "'%s' exists; drop --no-clobber to replace it", s->output);
    if (!s->common.dry_run) whole_file_prepare(s->output, &f);
    die_if(&f);
    name_stdin(&s->corpus);
    char *json = import_corpus(s->corpus.n, s->corpus.items, &t, &n, &f);
    die_if(&f);
    struct tokenizer *made = tokenizer_parse(json, n, s->output, &f);
    die_if(&f);
    log_note(s->log, "%zu tokens", tokenizer_vocab(made));
    if (tokenizer_vocab(made) < t.vocab)
        log_note(s->log, "fewer than the %zu asked for: the texts have no more pairs", t.vocab);
    if (!s->common.dry_run) {
        whole_file_write(s->output, json, n, &f);
        die_if(&f);
        print_result("%s", s->output);
    }
    tokenizer_free(made);
    free(json);
    free(special);
}

// ---- a model ------------------------------------------------------------------------------------

static void add_text(struct parents *p, const char *kind, const char *text) {
    if (text) parents_add(p, kind, hash_bytes(text, strlen(text)));
}

static void load_model(struct import *s, struct model_file *m, struct parents *parents) {
    struct fail f = {0};
    if (s->hf)
        huggingface_load(s->hf, s->tokenizer, m, &f);
    else
        huggingface_init(s->init, s->tokenizer, m, &f);
    die_if(&f);
    huggingface_special(m, s->bos, s->eos, &f);
    die_if(&f);
    add_text(parents, "config", m->config_json);
    add_text(parents, "tokenizer", m->tokenizer_json);
    add_text(parents, "settings", m->tokenizer_config_json);
    add_text(parents, "settings", m->special_tokens_json);
    add_text(parents, "settings", m->generation_config_json);
    add_text(parents, "template", m->chat_template);
    if (s->hf) huggingface_check(s->hf, &m->model, parents, &f);
    die_if(&f);
    if (m->eos < 0) warn("no end-of-sequence token is named by the files; name one with --eos");
}

struct random_source {
    const struct model *model;
    uint64_t seed;
};

static bool draw_block(void *self, const struct tensor *t, size_t first, size_t n, float *to,
                       struct fail *f) {
    const struct random_source *s = self;
    (void)f;
    model_random(s->model, t, s->seed, first, n, to);
    return true;
}

// Where the weights come from; they pass to the file a block at a time, and stay bf16 where they
// are that.
struct weights_source {
    struct huggingface_source hf;
    struct random_source random;
    struct tensor_source source;
};

static void open_weights(struct weights_source *w, const struct import *s,
                         const struct model_file *m) {
    struct fail f = {0};
    *w = (struct weights_source){.random = {&m->model, (uint64_t)s->common.seed}};
    if (s->hf) {
        huggingface_open(&w->hf, s->hf, &m->model, &f);
        w->source = w->hf.source;
    } else {
        bool bf16 = model_file_says_bf16(m->config_json, s->init);
        w->source = (struct tensor_source){draw_block, &w->random, bf16};
    }
    die_if(&f);
}

static void make_model(struct import *s, const char *options) {
    struct model_file m;
    struct weights_source w;
    struct fail f = {0};
    struct lineage l = {.kind = "model", .stage = "import", .options = options};
    load_model(s, &m, &l.parents);
    open_weights(&w, s, &m);
    l.version = w.source.bf16 ? MODEL_FILE_BF16 : MODEL_FILE_FLOAT32;
    if (s->common.dry_run) import_plan(s->log, &m.model);
    bool there = !s->common.dry_run && !s->common.force &&
                 artefact_is_current(s->output, &l, s->common.no_clobber, &f);
    die_if(&f);
    if (there)
        log_note(s->log, "'%s' is up to date: made with the same options and inputs", s->output);
    if (!there && !s->common.dry_run) {
        model_file_write(s->output, &m, &w.source, &l, &f);
        die_if(&f);
        log_note(s->log, "%zu parameters%s", model_count(&m.model),
                 w.source.bf16 ? ", in bf16" : "");
    }
    if (!s->common.dry_run) print_result("%s", s->output);
    huggingface_close(&w.hf);
    parents_release(&l.parents);
    model_file_release(&m);
}

static void make_adapter(struct import *s, const char *options) {
    struct model_file m;
    struct fail f = {0};
    struct lineage l = {.kind = "adapter", .stage = "import", .options = options};
    model_file_outline(s->base, &m, &f);
    die_if(&f);
    struct hash128 base = m.content;
    parents_add(&l.parents, "model", base);
    peft_read(s->adapter, &m, &l.parents, &f);
    die_if(&f);
    bool current = !s->common.dry_run && !s->common.force &&
                   artefact_is_current(s->output, &l, s->common.no_clobber, &f);
    die_if(&f);
    if (current)
        log_note(s->log, "'%s' is up to date: made with the same options and inputs", s->output);
    if (!current && !s->common.dry_run) adapter_file_save(s->output, &m, base, &l, &f);
    die_if(&f);
    const struct adapter_config *c = &m.model.adapter->config;
    log_note(s->log, "%zu parameters of rank %zu", parameters_count(&m.model.adapter->trained),
             c->rank);
    if (!s->common.dry_run) print_result("%s", s->output);
    parents_release(&l.parents);
    model_file_release(&m);
}

int main(int argc, char **argv) {
    struct import s = {0};
    struct options o = {
        .program = "import",
        .usage =
            "--hf DIR [--tokenizer FILE] -o MODEL | --init CONFIG --tokenizer FILE -o MODEL | "
            "--adapter DIR --base-model FILE -o FILE | --train-tokenizer FILE... --vocab N -o FILE",
        .summary =
            "Make a model file from a Hugging Face folder or with random weights, or train a "
            "tokenizer.",
    };
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    check_usage(&s);
    parallel_init((int)s.common.threads);
    s.log = log_open(s.common.progress, s.common.quiet, s.common.verbose);
    char *options = options_json(&o);
    if (s.corpus.n)
        train_tokenizer(&s);
    else if (s.adapter)
        make_adapter(&s, options);
    else
        make_model(&s, options);
    finish_stdout();
    free(options);
    log_close(s.log);
    options_release(&o);
    return EXIT_DONE;
}

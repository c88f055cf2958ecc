// tokenize: text, prompts, responses or preference pairs to token files.
#include "common/base/path.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/parallel.h"
#include "common/base/stop.h"
#include "formats/records/dataset.h"
#include "formats/bytes/stream.h"
#include "formats/records/token_source.h"
#include "formats/tokens/tokens.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tokenize {
    const char *model, *tokenizer, *kind, *on_long, *on_bad, *map, *template, *format, *syntax,
        *split, *eos, *on_equal, *newlines, *output;
    struct opt_list input, template_args;
    int64_t rows_per_shard, max_length, show;
    bool parse_special;
    double stop_after, min_margin;
    struct opt_every every;
    struct common_options common;
    struct token_source source;
    struct chat_template chat;
    struct dataset data;
    struct log *log;
    char *valid_path, *options[LEDGER_PARTS];
    struct parents parents;
};

static void declare(struct options *o, struct tokenize *s) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &s->model, .metavar = "FILE",
         .help = "model whose tokenizer, template and longest row are used"},
        {"tokenizer", OPT_TEXT, OPT_INPUT, &s->tokenizer, .metavar = "FILE",
         .help = "or a tokenizer.json alone"},
        {"kind", OPT_CHOICE, OPT_RESULT, &s->kind, .choices = DATA_NAMES, .required = true,
         .help = "what the rows are for"},
        {"input", OPT_LIST, OPT_INPUT, &s->input, .metavar = "FILE...",
         .help = "CSV, TSV, JSONL, JSON or text, also packed by gzip or zstd; - is stdin",
         .required = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "FILE",
         .help = "the tokens or pairs"},
        {"max-length", OPT_INT, OPT_RESULT, &s->max_length, .value = "0", .low = 0, .high = 1 << 24,
         .metavar = "N", .help = "most tokens of a row, 0 = as many as the model takes"},
        {"on-long", OPT_CHOICE, OPT_RESULT, &s->on_long, .choices = ON_LONG_NAMES,
         .help = "rows that are longer; if not given, split for text, else error"},
        {"on-bad", OPT_CHOICE, OPT_RESULT, &s->on_bad, .choices = "error|skip", .value = "error",
         .help = "rows that cannot be used: stop, or skip and count them"},
        {"on-equal", OPT_CHOICE, OPT_RESULT, &s->on_equal, .choices = "drop|keep", .value = "drop",
         .help = "pairs whose chosen and rejected are the same"},
        {"min-margin", OPT_REAL, OPT_RESULT, &s->min_margin, .value = "-inf", .low = -INFINITY,
         .high = INFINITY, .metavar = "X",
         .help = "drop pairs where score_chosen - score_rejected is less"},
        {"map", OPT_TEXT, OPT_RESULT, &s->map, .metavar = "A=B,...",
         .help = "column names: ours=theirs, as in prompt=question,chosen=good"},
        {"template", OPT_TEXT, OPT_RESULT, &s->template, .value = "auto", .metavar = "NAME",
         .help =
             "chat template: auto (the model's), none, a Jinja file, or a name (chatml, llama3, "
             "qwen3, alpaca ...)"},
        {"template-args", OPT_LIST, OPT_RESULT, &s->template_args, .metavar = "KEY=JSON...",
         .help = "variables of the template, as in enable_thinking=false date=2025-01-31"},
        {"format", OPT_CHOICE, OPT_RESULT, &s->format, .choices = SHAPE_NAMES, .value = "auto",
         .help = "shape of the rows"},
        {"syntax", OPT_CHOICE, OPT_RESULT, &s->syntax, .choices = "auto|csv|tsv|jsonl|json|text",
         .value = "auto", .help = "syntax of the files"},
        {"split", OPT_TEXT, OPT_RESULT, &s->split, .metavar = "valid=X",
         .help = "share of the prompts that goes to x.valid.h5 of -o x.h5"},
        {"eos", OPT_TEXT, OPT_RESULT, &s->eos, .metavar = "TOKEN",
         .help = "token that ends a text, where the tokenizer's is not known"},
        {"parse-special", OPT_FLAG, OPT_RESULT, &s->parse_special,
         .help = "turn special tokens that are written out in the data into their ids"},
        {"newlines", OPT_CHOICE, OPT_RESULT, &s->newlines, .choices = "keep|lf", .value = "keep",
         .help = "line ends inside texts: as they are, or \\n for \\r\\n"},
        {"rows-per-shard", OPT_INT, OPT_EXEC, &s->rows_per_shard, .value = "0", .low = 0,
         .high = 1e12, .metavar = "N", .help = "rows of each output file, 0 = one file"},
        {"show", OPT_INT, OPT_EXEC, &s->show, .value = "0", .low = 0, .high = 1e6, .metavar = "N",
         .help = "print the first N rows as tokens; needs no -o"},
        {"checkpoint-every", OPT_EVERY, OPT_EXEC, &s->every, .value = "10s", .metavar = "TIME",
         .help = "save the rows so far every so many rows, or after a time such as 10s"},
        {"stop-after", OPT_TIME, OPT_EXEC, &s->stop_after, .metavar = "TIME",
         .help = "save and exit 75 after a time such as 3h50m"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    common_options_rows(o, &s->common);
}

static int choice_index(const char *names, const char *name) {
    int i = 0;
    for (size_t n; (n = strcspn(names, "|")), strncmp(names, name, n) || name[n]; names += n + 1)
        i++;
    return i;
}

static void check_usage(struct tokenize *s) {
    if (!s->model == !s->tokenizer) die(EXIT_USAGE, "give one of --model and --tokenizer");
    if (!s->output && !s->show && !s->common.dry_run)
        die(EXIT_USAGE, "'-o' is missing: name the output, or look at rows with --show");
    bool text = !strcmp(s->kind, "text");
    if (!s->on_long) s->on_long = text ? "split" : "error";
    if (!strcmp(s->on_long, "split") && !text)
        die(EXIT_USAGE, "'--on-long split' is for --kind text; use truncate or drop");
    if (s->max_length == 1) die(EXIT_USAGE, "'--max-length' 1 leaves nothing to predict");
    double *valid = &s->data.valid;
    char *end = NULL;
    if (s->split && !strncmp(s->split, "valid=", 6)) *valid = strtod(s->split + 6, &end);
    if (s->split && (!end || end == s->split + 6 || *end || !(*valid > 0 && *valid < 1)))
        die(EXIT_USAGE, "bad --split '%s': give valid=X with X between 0 and 1", s->split);
}

// ---- what goes in -------------------------------------------------------------------------------

static char *folder_of(const char *path) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? xasprintf("%.*s", slash == path ? 1 : (int)(slash - path), path) : xstrdup(".");
}

static enum record_syntax syntax_option(const struct tokenize *s) {
    return (enum record_syntax)choice_index("auto|csv|tsv|jsonl|json|text", s->syntax);
}

// The bytes of a file, and how they are read, which its name may say.
static void add_input(struct tokenize *s, const char *path, struct fail *f) {
    static const char *const kinds[] = {[SYNTAX_CSV] = "data-csv",
                                        [SYNTAX_TSV] = "data-tsv",
                                        [SYNTAX_JSONL] = "data-jsonl",
                                        [SYNTAX_JSON] = "data-json",
                                        [SYNTAX_TEXT] = "data-text"};
    struct hash128 hash;
    enum record_syntax syntax = records_syntax_of(path, syntax_option(s), f);
    if (!f->code && stream_hash(path, &hash, f)) parents_add(&s->parents, kinds[syntax], hash);
}

// Each file's hash is a parent; what comes through a pipe is kept so that it can be read again.
static void take_inputs(struct tokenize *s) {
    struct fail f = {0};
    const char **paths = xcalloc(s->input.n, sizeof *paths);
    for (size_t i = 0; i < s->input.n; i++) {
        const char *path = s->input.items[i];
        char *folder = folder_of(s->output);
        paths[i] = stream_passes(path) ? stream_keep(path, folder, &f) : path;
        free(folder);
        if (!f.code) add_input(s, paths[i], &f);
        die_if(&f);
    }
    s->data.paths = paths;
    s->data.names = s->input.items;
    s->data.n_paths = s->input.n;
}

static void open_tokenizer(struct tokenize *s) {
    struct fail f = {0};
    token_source_open(&s->source, s->model, s->tokenizer, &f);
    die_if(&f);
    struct token_source *t = &s->source;
    if (s->eos && (t->eos = tokenizer_id(t->tokenizer, s->eos)) < 0)
        die(EXIT_BADDATA, "no token '%s' in the tokenizer", s->eos);
    t->eos_named = s->eos != NULL;
    if (t->eos < 0 && strcmp(s->kind, "prompt"))
        die(EXIT_BADDATA, "the tokenizer names no token that ends a text; name it with --eos");
    if (t->max_length && (size_t)s->max_length > t->max_length)
        die(EXIT_USAGE, "'--max-length' %lld is more than the %zu tokens the model takes",
            (long long)s->max_length, t->max_length);
    if (!s->max_length && t->max_length) {
        s->max_length = (int64_t)t->max_length;
        log_note(s->log, "--max-length %zu by default: the longest row that the model takes",
                 t->max_length);
    }
    parents_add(&s->parents, "tokenizer", t->hash);
}

// What a model says besides its tokenizer: the tokens around a text, and the template's variables.
static void add_settings(struct tokenize *s) {
    const struct token_source *t = &s->source;
    struct str text = {0};
    str_printf(&text, "bos %d eos %d vocabulary %zu\n", (int)t->bos, (int)t->eos, t->vocab);
    if (t->begins_otherwise) str_puts(&text, "begins by tokenizer_config.json\n");
    if (s->chat.jinja && t->config) str_puts(&text, t->config);
    parents_add(&s->parents, "settings", hash_bytes(text.text, text.length));
    str_release(&text);
}

// What the template is counts, not where it came from: its text is a parent.
static void choose_template(struct tokenize *s) {
    struct fail f = {0};
    struct chat_template *t = &s->chat;
    chat_template_open(t, s->template, &s->source, s->template_args.n, s->template_args.items, &f);
    die_if(&f);
    if (s->template_args.n && !t->jinja)
        die(EXIT_USAGE, "'--template-args' needs a chat template; name one with --template");
    if (t->jinja) {
        parents_add(&s->parents, "template", hash_bytes(t->source, strlen(t->source)));
        log_note(s->log, "chat template: %s", s->template);
    }
    s->template = t->jinja ? t->label : "none";
    add_settings(s);
}

static void set_up(struct tokenize *s) {
    struct fail f = {0};
    struct dataset *d = &s->data;
    field_map_parse(&d->map, s->map, &f);
    die_if(&f);
    d->encoder = (struct encoder){
        .tokenizer = s->source.tokenizer,
        .kind = (enum data_kind)choice_index(DATA_NAMES, s->kind),
        .template = s->chat.jinja ? &s->chat : NULL,
        .bos = s->source.bos,
        .eos = s->source.eos,
        .parse_special = s->parse_special,
        .vocab = s->source.vocab,
        .max_length = (size_t)s->max_length,
        .on_long = (enum on_long)choice_index(ON_LONG_NAMES, s->on_long),
    };
    d->shape = shape_named(s->format);
    d->syntax = syntax_option(s);
    d->skip_bad = !strcmp(s->on_bad, "skip");
    d->keep_equal = !strcmp(s->on_equal, "keep");
    d->min_margin = s->min_margin;
    d->lf = s->chat.lf = !strcmp(s->newlines, "lf");
    d->checkpoint_seconds = s->every.seconds > 0 ? s->every.seconds : 10;
    d->show = (uint64_t)s->show;
    d->log = s->log;
}

// ---- what comes out -----------------------------------------------------------------------------

static void finished(void *self, const char *path) {
    (void)self;
    print_result("%s", path);
}

static struct lineage lineage_of(const struct tokenize *s, int part) {
    bool pairs = s->data.encoder.kind == DATA_PREF;
    return (struct lineage){.kind = pairs ? "pairs" : "tokens",
                            .stage = "tokenize",
                            .options = s->options[part],
                            .parents = s->parents};
}

static const char *path_of(const struct tokenize *s, int part) {
    return part ? s->valid_path : s->output;
}

static struct columns_plan plan_of(const struct tokenize *s) {
    return (struct columns_plan){.rows_per_shard = (size_t)s->rows_per_shard,
                                 .resume = !s->common.force,
                                 .finished = finished};
}

// One more recorded option distinguishes the two parts of a split.
static void name_parts(struct tokenize *s, const struct options *o) {
    s->options[0] = options_json(o);
    size_t n = strlen(s->options[0]);
    if (!s->split || !s->output) return;
    s->options[1] = xasprintf("%.*s, \"part\": \"valid\"}", (int)n - 1, s->options[0]);
    s->valid_path = path_part(s->output, "valid");
}

static bool all_there(struct tokenize *s) {
    struct fail f = {0};
    struct columns_plan plan = plan_of(s);
    if (s->common.force || !s->output) return false;
    for (int print = 0; print < 2; print++)
        for (int i = 0; i < LEDGER_PARTS; i++) {
            struct lineage l = lineage_of(s, i);
            const char *path = path_of(s, i);
            if (!path) continue;
            plan.finished = print ? finished : NULL;
            bool there = columns_is_current(path, &l, &plan, s->common.no_clobber, &f);
            die_if(&f);
            if (!there) return false;
            if (print && !s->rows_per_shard) print_result("%s", path);
        }
    log_note(s->log, "'%s' is up to date: made with the same options and inputs", s->output);
    return true;
}

static void open_writers(struct tokenize *s, struct fail *f) {
    static const enum tokens_kind kinds[] = {TOKENS_TEXT, TOKENS_SFT, TOKENS_SFT, TOKENS_PROMPT};
    struct tokens_info info = {.kind = kinds[s->data.encoder.kind],
                               .vocab = s->source.vocab,
                               .tokenizer = s->source.hash,
                               .tokenizer_json = s->source.json};
    struct columns_plan plan = plan_of(s);
    for (int i = 0; i < LEDGER_PARTS && !f->code; i++) {
        struct lineage l = lineage_of(s, i);
        if (!path_of(s, i)) continue;
        s->data.writer[i] = s->data.encoder.kind == DATA_PREF
                                ? pairs_writer_open(path_of(s, i), &l, &info, &plan, f)
                                : tokens_writer_open(path_of(s, i), &l, &info, &plan, f);
    }
}

static void check_rows(const struct tokenize *s, struct fail *f) {
    const struct ledger *l = &s->data.ledger;
    if (!l->rows_out[0])
        fail_set(f, EXIT_BADDATA, "no usable rows in '%s' (%llu read%s%s); nothing to write",
                 s->input.items[0], (unsigned long long)l->rows_in, l->bad ? ", first " : "",
                 l->first_bad);
    else if (s->valid_path && !l->rows_out[1])
        fail_set(f, EXIT_BADDATA, "no rows fell to the valid part; raise --split '%s'", s->split);
}

static int run(struct tokenize *s) {
    struct fail f = {0};
    bool writes = s->output && !s->common.dry_run;
    if (writes) open_writers(s, &f);
    int code = f.code ? f.code : dataset_run(&s->data, &f);
    bool done = code == EXIT_DONE;
    if (s->data.ledger.rows_in) ledger_print(&s->data.ledger, s->log, s->valid_path);
    if (done) check_rows(s, &f);
    if (done && !f.code) ledger_warn_lost(&s->data.ledger);
    for (int i = 0; i < LEDGER_PARTS; i++) {
        struct columns_writer *w = s->data.writer[i];
        if (w && done && !f.code)
            columns_commit(w, NULL);
        else if (w)
            columns_abandon(w, code == EXIT_STOPPED || f.code == EXIT_FAILED);
        s->data.writer[i] = NULL;
    }
    die_if(&f);
    if (code == EXIT_STOPPED)
        log_note(s->log, "stopped after row %llu; run the same command again to continue",
                 (unsigned long long)s->data.ledger.rows_in);
    return code;
}

static void release(struct tokenize *s) {
    chat_template_close(&s->chat);
    token_source_close(&s->source);
    field_map_release(&s->data.map);
    parents_release(&s->parents);
    for (size_t i = 0; i < s->data.n_paths; i++) // a copy's name is ours
        if (s->data.paths[i] != s->input.items[i]) free((void *)s->data.paths[i]);
    free((void *)s->data.paths);
    free(s->valid_path);
    for (int i = 0; i < LEDGER_PARTS; i++) free(s->options[i]);
    log_close(s->log);
}

int main(int argc, char **argv) {
    struct tokenize s = {0};
    struct options o = {
        .program = "tokenize",
        .usage = "--model M|--tokenizer FILE --kind KIND --input FILE... -o FILE [options]",
        .summary = "Turn text, prompts with responses, or preference pairs into token files.",
    };
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    check_usage(&s);
    parallel_init((int)s.common.threads);
    stop_init(s.stop_after);
    s.log = log_open(s.common.progress, s.common.quiet, s.common.verbose);
    take_inputs(&s);
    open_tokenizer(&s);
    choose_template(&s);
    set_up(&s);
    name_parts(&s, &o);
    int code = all_there(&s) ? EXIT_DONE : run(&s);
    finish_stdout();
    release(&s);
    options_release(&o);
    return code;
}

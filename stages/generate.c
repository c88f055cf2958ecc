// generate: samples responses of a model, or of the composed teacher p* itself.
#include "common/base/clock.h"
#include "common/base/parallel.h"
#include "common/engine/kernels.h"
#include "common/engine/linear.h"
#include "common/base/outputs.h"
#include "common/base/path.h"
#include "common/method/recipe.h"
#include "common/method/teacher_sampler.h"
#include "common/base/stop.h"
#include "common/base/value.h"
#include "stages/shared/plan.h"
#include "stages/shared/best_of.h"
#include "stages/shared/generation.h"
#include "formats/records/prompts.h"
#include "formats/records/token_source.h"
#include "stages/shared/teachers.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shared/data_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct generate {
    const char *model, *output, *text, *recipe;
    struct teachers teachers;
    const char *template, *on_bad, *on_long;
    struct opt_list data, input, template_args;
    int64_t samples, slots, best_of, micro_tokens, rows_per_shard;
    const char *candidates, *shard;
    struct columns_plan plan; // of -o
    size_t n_parts, part_capacity;
    char **part; // the finished files of -o
    struct scorer scorer;
    double stop_after, checkpoint_every;
    struct sample_options sampling;
    struct teacher_options teacher;
    struct common_options common;
    struct teacher_rule rule;
    struct model_file file;         // --model
    struct teacher_sampler sampler; // or the teachers
    const struct model_file *main;  // the model, or the DPO model: vocabulary, tokenizer, end
    struct decoder *decoder;        // of --model
    struct tokens prompts;
    struct tokenizer *tokenizer;
    struct lineage lineage;
    struct log *log;
};

static void declare(struct options *o, struct generate *g) {
    const struct opt_row model[] = {
        {"model", OPT_TEXT, OPT_INPUT, &g->model, .metavar = "FILE",
         .help = "model to sample from; instead of it, --dpo and its companions sample from p*"},
    };
    options_add(o, model, 1);
    teachers_rows(o, &g->teachers);
    const struct opt_row rows[] = {
        {"data", OPT_LIST, OPT_INPUT, &g->data, .metavar = "FILE...",
         .help = "prompts: tokens of kind prompt or sft", .paths = true},
        {"input", OPT_LIST, OPT_INPUT, &g->input, .metavar = "FILE...",
         .help = "prompts as text, in any shape that tokenize --kind prompt takes; - is stdin"},
        {"template", OPT_TEXT, OPT_RESULT, &g->template, .value = "auto", .metavar = "NAME",
         .help = "of --input: the chat template, as in tokenize"},
        {"template-args", OPT_LIST, OPT_RESULT, &g->template_args, .metavar = "KEY=JSON...",
         .help = "of --input: variables of the template, as in enable_thinking=false"},
        {"on-bad", OPT_CHOICE, OPT_RESULT, &g->on_bad, .choices = "error|skip", .value = "error",
         .help = "of --input: rows that cannot be used"},
        {"on-long", OPT_CHOICE, OPT_RESULT, &g->on_long, .choices = "error|drop|truncate",
         .value = "error", .help = "of --input: prompts that leave no room for a response"},
        {"output", OPT_TEXT, OPT_OUTPUT, &g->output, .letter = 'o', .metavar = "FILE.h5",
         .help = "prompts and sampled ids (kind tokens)", .required = true},
        {"text", OPT_TEXT, OPT_OUTPUT, &g->text, .metavar = "FILE",
         .help = "also write the responses as text, .jsonl or .csv"},
        {"samples", OPT_INT, OPT_RESULT, &g->samples, .value = "1", .low = 1, .high = 1e6,
         .metavar = "N", .help = "responses for each prompt"},
        {"best-of", OPT_INT, OPT_RESULT, &g->best_of, .value = "0", .low = 0, .high = 1e6,
         .metavar = "N",
         .help = "sample N responses for each prompt and keep the one with the highest score of "
                 "--scorer or --reward-model, 0 = off"},
        {"candidates", OPT_TEXT, OPT_OUTPUT, &g->candidates, .metavar = "FILE.h5",
         .help = "where all N are kept and found again; if not given, after -o x.h5 in "
                 "x.h5.candidates.h5"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    scorer_rows(o, &g->scorer);
    sample_options_rows(o, &g->sampling);
    recipe_row(o, &g->recipe);
    teacher_options_rows(o, &g->teacher);
    const struct opt_row exec[] = {
        {"rows-per-shard", OPT_INT, OPT_EXEC, &g->rows_per_shard, .value = "0", .low = 0,
         .high = 1e12, .metavar = "N", .help = "responses in each file of the set, 0 = one file"},
        {"shard", OPT_TEXT, OPT_EXEC, &g->shard, .metavar = "I/N",
         .help = "sample share I of N of the files, 0 <= I < N"},
        {"slots", OPT_INT, OPT_EXEC, &g->slots, .value = "32", .low = 1, .high = 4096,
         .metavar = "N", .help = "sequences decoded at once; more need more memory"},
        {"micro-tokens", OPT_INT, OPT_EXEC, &g->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N", .help = "tokens that a reward model scores at once"},
        {"checkpoint-every", OPT_TIME, OPT_EXEC, &g->checkpoint_every, .value = "1m",
         .metavar = "T", .help = "save the responses so far after a time such as 1m"},
        {"stop-after", OPT_TIME, OPT_EXEC, &g->stop_after, .value = "0", .metavar = "T",
         .help = "save and exit 75 after a time such as 3h50m, 0 = never"},
    };
    options_add(o, exec, sizeof exec / sizeof *exec);
    common_kernels_row(o, &g->common);
    common_options_rows(o, &g->common);
}

static void check_options(struct generate *g, const struct options *o) {
    if (!g->model == !g->teachers.dpo) die(EXIT_USAGE, "give --model, or --dpo and its companions");
    if (g->model)
        options_refuse(o, "reverse|ref|recipe|base|negative|alpha|plausible",
                       "is of the teachers; give --dpo in place of --model");
    if (!g->best_of != !scorer_is_set(&g->scorer))
        die(EXIT_USAGE, "--best-of goes with --scorer or --reward-model");
    if (g->best_of)
        options_refuse(o, "samples", "has no use with --best-of, which keeps one");
    else
        options_refuse(o, "candidates", "goes with --best-of");
    if (!g->scorer.command) options_refuse(o, "scorer-timeout", "is for --scorer");
    if (!g->data.n == !g->input.n) die(EXIT_USAGE, "give the prompts by --data or by --input");
    if (g->data.n) options_refuse(o, "template|template-args|on-bad", "is for prompts of --input");
    if (g->data.n) options_refuse(o, "on-long", "is for prompts of --input; tokenize has it too");
    if (text_ends(g->output, ".jsonl") || text_ends(g->output, ".csv"))
        die(EXIT_USAGE, "-o names the file of sampled ids (.h5); give '%s' to --text", g->output);
    if (g->best_of) options_refuse(o, "rows-per-shard", "has no part in --best-of");
    if (g->shard && !g->rows_per_shard)
        die(EXIT_USAGE, "--shard needs --rows-per-shard, which cuts the set into shards");
    if (g->shard)
        options_refuse(o, "text",
                       "needs all shares: when they are done run it without --shard, "
                       "which then writes the text alone");
    if (g->text && !text_ends(g->text, ".jsonl") && !text_ends(g->text, ".csv"))
        die(EXIT_USAGE, "--text '%s' must end in .jsonl or .csv", g->text);
    struct fail f = {0};
    if (g->teachers.dpo) teachers_check(&g->teachers, &g->rule, &f);
    die_if(&f);
}

static void load_models(struct generate *g) {
    struct fail f = {0};
    struct parents *parents = &g->lineage.parents;
    if (g->model) {
        model_shelf_load(&g->teachers.shelf, g->model, frozen_is_bf16(g->teachers.dtype), &g->file,
                         &f);
        g->file.model.rounded = precision_is_bf16(g->teachers.precision);
        die_if(&f);
        parents_add(parents, model_file_kind(&g->file), g->file.content);
        g->main = &g->file;
        linear_pack(&g->file.model);
    } else {
        teachers_load(&g->teachers, &g->rule, false, parents, &f);
        die_if(&f);
        g->main = &g->teachers.dpo_model;
        teachers_pack(&g->teachers);
        teacher_sampler_init(&g->sampler, &g->teachers.models, &g->rule);
    }
    if (g->best_of) scorer_load(&g->scorer, g->main, parents);
}

// Prompts of --input, as the template asks for an answer; its text is a parent.
static void read_prompts(struct generate *g, struct fail *f) {
    struct chat_template t;
    struct token_source s = token_source_of(g->main, g->tokenizer);
    chat_template_open(&t, g->template, &s, g->template_args.n, g->template_args.items, f);
    die_if(f);
    if (g->template_args.n && !t.jinja)
        die(EXIT_USAGE, "'--template-args' needs a chat template; name one with --template");
    struct encoder e = {.tokenizer = g->tokenizer,
                        .kind = DATA_PROMPT,
                        .template = t.jinja ? &t : NULL,
                        .bos = s.bos,
                        .eos = s.eos,
                        .vocab = s.vocab,
                        .max_length = g->main->model.config.max_positions - 1,
                        .on_long = choice_is(g->on_long, "error")  ? LONG_ERROR
                                   : choice_is(g->on_long, "drop") ? LONG_DROP
                                                                   : LONG_TRUNCATE};
    if (t.jinja)
        parents_add(&g->lineage.parents, "template", hash_bytes(t.source, strlen(t.source)));
    struct ledger *ledger = xcalloc(1, sizeof *ledger);
    prompts_read(&g->prompts, g->input.n, g->input.items, &e, choice_is(g->on_bad, "skip"), g->main,
                 ledger, f);
    ledger_print_problems(ledger, g->log);
    if (!f->code) ledger_warn_lost(ledger);
    free(ledger);
    chat_template_close(&t);
}

static void load_prompts(struct generate *g) {
    struct fail f = {0};
    const struct model_file *m = g->main;
    if (m->tokenizer_json)
        g->tokenizer =
            tokenizer_parse(m->tokenizer_json, strlen(m->tokenizer_json), "tokenizer.json", &f);
    die_if(&f);
    if ((g->text || g->input.n) && !g->tokenizer)
        die(EXIT_BADDATA, "the model has no tokenizer, so there is no text; give --data and leave "
                          "out --text");
    if (g->data.n)
        tokens_load_prompts(&g->prompts, g->data.n, g->data.items, &f);
    else
        read_prompts(g, &f);
    die_if(&f);
    parents_add_all(&g->lineage.parents, &g->prompts.parents);
    data_check(m, g->prompts.tokenizer, g->prompts.top, g->prompts.longest, g->prompts.rows,
               g->data.n ? g->data.items[0] : g->input.items[0]);
}

static size_t sequence_length(const struct generate *g) {
    struct fail f = {0};
    size_t most = g->main->model.config.max_positions;
    size_t longest = tokens_longest_prompt(&g->prompts, most, &f);
    die_if(&f);
    size_t want = longest + (size_t)g->sampling.max_new;
    return want < most ? want : most;
}

static struct sampler open_sampler(struct generate *g) {
    const struct model_file *m = g->main;
    struct sampler s = {.decoders = 1,
                        .decoder = &g->decoder,
                        .slots = (size_t)g->slots,
                        .length = sequence_length(g),
                        .options = g->sampling,
                        .seed = (uint64_t)g->common.seed,
                        .n_eos = m->eos >= 0,
                        .eos = &m->eos};
    if (g->model)
        g->decoder = decoder_new(&m->model, s.slots, s.length);
    else
        teacher_sampler_open(&g->sampler, s.slots, s.length, &s);
    return s;
}

static void close_sampler(struct generate *g) {
    decoder_free(g->decoder);
    teacher_sampler_close(&g->sampler);
}

static void finished(void *self, const char *path) {
    struct generate *g = self;
    log_clear(g->log); // the line of progress
    print_result("%s", path);
    grow(&g->part, &g->part_capacity, g->n_parts + 1, sizeof *g->part);
    g->part[g->n_parts++] = xstrdup(path);
}

// The files that the responses go to, `samples` of each prompt.
static void plan_files(struct generate *g, size_t samples) {
    size_t i = 0, n = 1;
    if (g->shard && !value_share(g->shard, &i, &n))
        die(EXIT_USAGE, "--shard '%s' is not I/N with 0 <= I < N", g->shard);
    g->plan = (struct columns_plan){.rows_total = g->prompts.rows * samples,
                                    .rows_per_shard = (size_t)g->rows_per_shard,
                                    .shard = i,
                                    .shards = n,
                                    .zstd_level = 3,
                                    .resume = !g->common.force,
                                    .finished = finished,
                                    .self = g};
}

static struct columns_writer *open_writer(const struct generate *g, const char *path,
                                          const struct lineage *l, const struct columns_plan *plan,
                                          struct fail *f) {
    const struct model_file *m = g->main;
    whole_file_prepare_state(path, f); // its parts are looked at as the writer opens
    if (g->text) outputs_may_write(g->text, f);
    if (g->text) path_may_write(g->text, f);
    die_if(f);
    struct tokens_info info = {.kind = TOKENS_SFT,
                               .vocab = m->model.config.vocab_used,
                               .tokenizer = m->tokenizer,
                               .tokenizer_json = m->tokenizer_json};
    struct columns_writer *w = tokens_writer_open(path, l, &info, plan, f);
    die_if(f);
    return w;
}

// The plan's share of the responses into `path`, `samples` of each prompt.
static int sample(struct generate *g, const char *path, const struct lineage *l, size_t samples,
                  const struct columns_plan *plan) {
    struct fail f = {0};
    struct generation run = {.prompts = &g->prompts,
                             .samples = samples,
                             .checkpoint_every = g->checkpoint_every,
                             .log = g->log};
    columns_share(plan->rows_total, plan->rows_per_shard, plan->shard, plan->shards, &run.first,
                  &run.count);
    if (!run.count) {
        log_note(g->log, "share %s of the files is empty; nothing to do", g->shard);
        return EXIT_DONE;
    }
    run.writer = open_writer(g, path, l, plan, &f);
    run.sampler = open_sampler(g);
    int code = generation_run(&run, &f);
    die_if(&f);
    close_sampler(g);
    if (code == EXIT_STOPPED)
        log_note(g->log,
                 "stopped; the rows so far are beside '%s': run the same command again to continue",
                 path);
    return code;
}

// Samples the candidates, unless they are there, and keeps the best.
static int sample_best(struct generate *g) {
    struct fail f = {0};
    struct lineage l = g->lineage;
    char *path = g->candidates ? xstrdup(g->candidates) : xasprintf("%s.candidates.h5", g->output);
    l.stage = "generate --best-of";
    bool there = !g->common.force && artefact_is_current(path, &l, g->common.no_clobber, &f);
    die_if(&f);
    struct columns_plan all = {.rows_total = g->prompts.rows * (size_t)g->best_of,
                               .zstd_level = 3,
                               .resume = !g->common.force};
    int code = there ? EXIT_DONE : sample(g, path, &l, (size_t)g->best_of, &all);
    if (code == EXIT_DONE) {
        struct columns_writer *w = open_writer(g, g->output, &g->lineage, &g->plan, &f);
        best_of_choose(path, (size_t)g->best_of, &g->scorer, (size_t)g->micro_tokens, w, g->log,
                       &f);
        if (f.code)
            columns_abandon(w, false);
        else
            columns_commit(w, NULL);
        die_if(&f);
    }
    free(path);
    return code;
}

static bool current(struct generate *g) {
    struct fail f = {0};
    bool there = !g->common.force &&
                 columns_is_current(g->output, &g->lineage, &g->plan, g->common.no_clobber, &f);
    die_if(&f);
    if (there)
        log_note(g->log, "'%s' is up to date: made with the same options and inputs", g->output);
    return there;
}

// Seconds for all responses, were none to end before `length`: from the first tokens of a few.
static double trial_seconds(struct generate *g, double all_tokens) {
    enum { MOST = 8 };
    const struct tokens *t = &g->prompts;
    struct sampler s = open_sampler(g);
    size_t n = t->rows < s.slots ? t->rows : s.slots;
    struct sample_job *jobs = xcalloc(n, sizeof *jobs);
    int32_t *ids = xmalloc(n * MOST * sizeof *ids);
    if (s.options.max_new > MOST) s.options.max_new = MOST;
    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct sample_job){.prompt = t->ids + t->first[i],
                                      .n = tokens_prompt_length(t, i),
                                      .row = i,
                                      .ids = ids + i * MOST};
    double start = clock_seconds(), tokens = 0;
    sample_run(&s, jobs, n);
    double seconds = clock_seconds() - start;
    for (size_t i = 0; i < n; i++) tokens += (double)jobs[i].count;
    free(ids);
    free(jobs);
    close_sampler(g);
    return tokens > 0 ? seconds * all_tokens / tokens : 0;
}

static void print_plan(struct generate *g) {
    size_t slots = (size_t)g->slots, length = sequence_length(g), bytes = 0;
    const struct model *alone[] = {&g->main->model};
    bytes = g->model ? models_bytes(1, alone) : models_bytes(g->sampler.n, g->sampler.model);
    size_t max_new = (size_t)g->sampling.max_new,
           samples = (size_t)(g->best_of ? g->best_of : g->samples);
    bytes += scorer_plan(&g->scorer, length, (size_t)g->micro_tokens);
    bytes +=
        tokens_bytes(&g->prompts) + generation_plan(slots, max_new < length ? max_new : length);
    bytes += g->model ? decoder_plan(&g->main->model, slots, length)
                      : teacher_sampler_plan(&g->sampler, slots, length);
    bytes += sample_plan(g->model ? 1 : g->sampler.n, slots, g->main->model.config.vocab_used);
    double sampled = 0, kept = 0;
    for (size_t i = 0; i < g->prompts.rows; i++) {
        double prompt = (double)tokens_prompt_length(&g->prompts, i),
               most = (double)length - prompt;
        sampled += most < (double)g->sampling.max_new ? most : (double)g->sampling.max_new;
        kept += prompt;
    }
    sampled *= (double)samples;
    kept = kept * (double)samples + sampled;
    print_result("prompts\t%zu", g->prompts.rows);
    print_result("responses\t%zu", g->prompts.rows * samples);
    print_result("most_tokens\t%.0f", sampled);
    struct plan plan = {.memory = (double)(bytes + MEM_PROGRAM),
                        .disk = 5 * kept, // an id and its mask, before compression
                        .seconds = trial_seconds(g, sampled),
                        .output = g->output};
    plan_print(g->log, &plan);
}

static int run(struct generate *g) {
    struct fail f = {0};
    const struct model_file *m = g->main;
    if (g->common.dry_run) {
        print_plan(g);
        return EXIT_DONE;
    }
    int code = EXIT_DONE;
    plan_files(g, g->best_of ? 1 : (size_t)g->samples);
    if (!current(g))
        code = g->best_of ? sample_best(g)
                          : sample(g, g->output, &g->lineage, (size_t)g->samples, &g->plan);
    if (code != EXIT_DONE || !g->text) return code;
    generation_text(g->n_parts, (const char *const *)g->part, g->text, g->tokenizer,
                    (size_t)g->samples, m->eos >= 0, &m->eos, &f);
    die_if(&f);
    print_result("%s", g->text);
    return EXIT_DONE;
}

int main(int argc, char **argv) {
    struct generate g = {0};
    struct options o = {.program = "generate",
                        .usage =
                            "--model FILE --data PROMPTS... -o FILE.h5 [--text FILE] [options]",
                        .summary = "Sample responses to prompts."};
    declare(&o, &g);
    options_parse(&o, argc, argv, NULL);
    parallel_init((int)g.common.threads);
    kernels_choose(g.common.kernels);
    stop_init(g.stop_after);
    g.log = log_open(g.common.progress, g.common.quiet, g.common.verbose);
    recipe_teacher(g.recipe, &o, false, &g.teacher, &g.rule);
    check_options(&g, &o);
    const char *template = g.template;
    g.template = chat_template_label(template); // no paths in a file
    char *json = options_json(&o);
    g.template = template;
    g.lineage = (struct lineage){.kind = "tokens", .stage = "generate", .options = json};
    load_models(&g);
    load_prompts(&g);
    int code = run(&g);
    log_close(g.log);
    finish_stdout();
    model_file_release(&g.file);
    teachers_release(&g.teachers);
    scorer_release(&g.scorer);
    tokens_release(&g.prompts);
    if (g.tokenizer) tokenizer_free(g.tokenizer);
    for (size_t i = 0; i < g.n_parts; i++) free(g.part[i]);
    free(g.part);
    parents_release(&g.lineage.parents);
    options_release(&o);
    free(json);
    return code;
}

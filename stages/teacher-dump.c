// teacher-dump: runs the teachers once over the responses and keeps p*, truncated, in a cache that
// distill replays as often as one likes.
#include "common/base/clock.h"
#include "common/base/parallel.h"
#include "common/engine/kernels.h"
#include "common/method/recipe.h"
#include "common/base/stop.h"
#include "stages/shared/target_kl.h"
#include "stages/shared/teacher_dump.h"
#include "formats/teachers/teacher_gather.h"
#include "stages/shared/teachers.h"
#include "stages/shared/data_check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_MOST = 1024 }; // tokens that --error-budget keeps of a position, for components half

struct dump {
    const char *output, *student, *recipe, *responses, *layout, *grid, *shard, *bits_text;
    struct opt_list data;
    struct teacher_options teacher;
    struct target_kl_options target;
    const struct options *options;
    char *json, *alpha;           // what options and --target-kl came to
    struct target_kl_trial found; // by --target-kl
    double stop_after;
    struct opt_every checkpoint_every;
    int64_t rows_per_shard, micro_tokens, zstd_level, student_k;
    double error_budget;
    struct common_options common;
    struct teachers teachers;
    struct model_file student_model;
    struct tokens tokens;
    size_t pairs_bytes; // of the pairs they were made from
    struct teacher_dump run;
    struct lineage lineage;
    struct columns_plan plan;
    struct log *log;
};

static void declare(struct options *o, struct dump *d) {
    teachers_rows(o, &d->teachers);
    const struct opt_row in[] = {
        {"data", OPT_LIST, OPT_INPUT, &d->data, .metavar = "FILE...",
         .help = "pairs, or tokens with responses", .required = true, .paths = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &d->output, .letter = 'o', .metavar = "FILE",
         .help = "the teacher cache", .required = true},
        {"responses", OPT_CHOICE, OPT_RESULT, &d->responses, .value = "chosen",
         .choices = "chosen|rejected|both", .help = "which responses of pairs are dumped"},
    };
    options_add(o, in, sizeof in / sizeof *in);
    recipe_row(o, &d->recipe);
    teacher_options_rows(o, &d->teacher);
    target_kl_rows(o, &d->target);
    teacher_cut_rows(o, &d->teacher);
    const struct opt_row rest[] = {
        {"layout", OPT_CHOICE, OPT_RESULT, &d->layout, .value = "composed",
         .choices = "composed|components",
         .help =
             "keep p* of this strength, or what p* of every strength on --alpha-grid follows from"},
        {"alpha-grid", OPT_TEXT, OPT_RESULT, &d->grid, .value = "auto", .metavar = "A,B,C...",
         .help = "components: 3 to 16 ascending alphas from 0, where the tail "
                 "mass is kept; auto = 0, S/8, S/4, S/2, S, 1.5S, 2S with the S of --alpha"},
        {"student", OPT_TEXT, OPT_INPUT, &d->student, .metavar = "FILE",
         .help = "model to be trained, which the cache is to serve; without it the one of --ref"},
        {"error-budget", OPT_REAL, OPT_RESULT, &d->error_budget, .value = "0.03", .low = 0,
         .high = 10, .metavar = "E",
         .help =
             "keep the tokens that the gradient of --student wants: at each position it is off "
             "by at most E of its size, or of that of a typical one, four times that half-way to "
             "p*; up to --top-k tokens, "
             "by default "
             "1024 (components: 512 at each alpha). "
             "0 = off, as is where --mass, --top-k, --least or --student-k is given alone"},
        {"student-k", OPT_INT, OPT_RESULT, &d->student_k, .value = "16", .low = 1, .high = 500,
         .metavar = "N", .help = "without a budget: how many of --student's most likely tokens"},
        {"bits", OPT_CHOICE, OPT_RESULT, &d->bits_text, .value = "12", .choices = "32|16|12|8|6",
         .help = "levels of log p*: 12 is off by 0.1 % at p* = 1, by 3 % at "
                 "0.01, 8 by 0.5 and 5 %; 32 is exact and plain (see shard report)"},
        {"rows-per-shard", OPT_INT, OPT_EXEC, &d->rows_per_shard, .value = "0", .low = 0,
         .high = 1e12, .metavar = "N", .help = "rows of each shard, 0 = one file"},
        {"zstd-level", OPT_INT, OPT_RESULT, &d->zstd_level, .value = "3", .low = 1, .high = 19,
         .metavar = "N", .help = "compression level"},
        {"shard", OPT_TEXT, OPT_EXEC, &d->shard, .metavar = "I/N",
         .help = "dump share I of N of the shards, 0 <= I < N"},
        {"micro-tokens", OPT_INT, OPT_EXEC, &d->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N",
         .help = "tokens computed at once; more need more memory and can be faster"},
        {"checkpoint-every", OPT_EVERY, OPT_EXEC, &d->checkpoint_every, .value = "1m",
         .metavar = "T",
         .help = "save the rows so far every so many rows, or after a time such as 1m"},
        {"stop-after", OPT_TIME, OPT_EXEC, &d->stop_after, .value = "0", .metavar = "T",
         .help = "save and exit 75 after a time such as 3h50m, 0 = never"},
    };
    options_add(o, rest, sizeof rest / sizeof *rest);
    common_kernels_row(o, &d->common);
    common_options_rows(o, &d->common);
}

// The model whose gradient the cache is to serve is the one of --ref.
static bool serves_ref(const struct dump *d) {
    bool same = d->teachers.ref && (!d->student || !strcmp(d->student, d->teachers.ref));
    return same && (d->student || d->error_budget > 0 || options_given(d->options, "student-k"));
}

static void load_models(struct dump *d) {
    struct fail f = {0};
    const struct teacher_rule *r = &d->run.rule;
    teachers_check(&d->teachers, r, &f);
    if (d->target.kl > 0 && !d->teachers.ref)
        fail_set(&f, EXIT_USAGE, "--target-kl is measured against the reference; give --ref MODEL");
    die_if(&f);
    teachers_load(&d->teachers, r, d->target.kl > 0 || serves_ref(d), &d->lineage.parents, &f);
    die_if(&f);
    d->run.models = d->teachers.models;
    if (r->base_dpo && r->negative_reverse) d->run.models.ref = NULL; // it is no part of p*
}

// Whether the support is chosen by --error-budget, or by the options that cut it.
static void settle_budget(struct dump *d) {
    static const char *const cuts[] = {"mass", "top-k", "least", "student-k"};
    const struct options *o = d->options;
    bool asked = options_given(o, "error-budget"), cut = false;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) cut = cut || options_given(o, cuts[i]);
    bool student = d->student || d->teachers.ref;
    if (!student && options_given(o, "student-k"))
        die(EXIT_USAGE, "--student-k needs the --student whose tokens they are");
    if (!student && asked && d->error_budget > 0)
        die(EXIT_USAGE,
            "--error-budget is for the gradient of a model: give it by --student, or by --ref");
    if (!asked && (cut || !student)) d->error_budget = 0;
    if (!(d->error_budget > 0)) {
        if (!student)
            log_note(d->log, "without --ref or --student the cache serves the forward KL alone: "
                             "distill with --divergence fkl, or give one");
        return;
    }
    options_refuse(o, "student-k", "is for a cache without --error-budget");
    d->teacher.mass = 1;
    if (!options_given(o, "top-k"))
        d->teacher.top_k = choice_is(d->layout, "components") ? BUDGET_MOST / 2 : BUDGET_MOST;
}

// The model to be trained, whose tokens are kept as well: they carry the reverse KL.
static void load_student(struct dump *d) {
    struct fail f = {0};
    const struct model_file *t = &d->teachers.dpo_model, *s = &d->student_model;
    if (serves_ref(d)) {
        d->run.student = &d->teachers.ref_model.model;
    } else if (d->student) {
        model_shelf_load(&d->teachers.shelf, d->student, frozen_is_bf16(d->teachers.dtype),
                         &d->student_model, &f);
        die_if(&f);
        d->student_model.model.rounded = precision_is_bf16(d->teachers.precision);
        if (t->model.config.vocab_used != s->model.config.vocab_used ||
            !hash_equal(t->tokenizer, s->tokenizer))
            die(EXIT_BADDATA,
                "'%s' has another vocabulary or tokenizer than the teachers; it cannot be "
                "trained from them",
                d->student);
        parents_add(&d->lineage.parents, model_file_kind(s), s->content);
        d->run.student = &s->model;
    }
    d->run.student_k = (size_t)d->student_k;
    d->run.inverse_alpha = !strcmp(d->recipe, "published");
    d->run.budget = (struct support_budget){.error = d->error_budget,
                                            .middle = 4 * d->error_budget,
                                            .least = d->teacher.least,
                                            .most = (size_t)d->teacher.top_k};
}

static bool is_pairs(const char *path) {
    struct fail f = {0};
    struct artefact a;
    if (!artefact_read(path, NULL, &a, &f)) die_if(&f);
    bool pairs = !strcmp(a.kind, "pairs");
    artefact_release(&a);
    return pairs;
}

static size_t positions_of(const struct tokens *t, size_t row) {
    size_t n = 0;
    for (size_t i = t->first[row] + 1; i < t->first[row + 1]; i++) n += t->mask[i];
    return n;
}

static void load_data(struct dump *d) {
    struct fail f = {0};
    if (is_pairs(d->data.items[0])) {
        struct pairs p;
        pairs_load(&p, d->data.n, d->data.items, &f);
        die_if(&f);
        d->pairs_bytes = pairs_bytes(&p);
        teacher_dump_responses(&p, !choice_is(d->responses, "rejected"),
                               !choice_is(d->responses, "chosen"), &d->tokens);
        pairs_release(&p);
    } else {
        tokens_load(&d->tokens, d->data.n, d->data.items, &f);
        die_if(&f);
    }
    for (size_t i = 0; i < d->tokens.parents.n; i++)
        parents_add(&d->lineage.parents, d->tokens.parents.items[i].kind,
                    d->tokens.parents.items[i].hash);
    data_check(&d->teachers.dpo_model, d->tokens.tokenizer, d->tokens.top, d->tokens.longest,
               d->tokens.rows, d->data.items[0]);
    size_t positions = 0;
    for (size_t i = 0; i < d->tokens.rows; i++) positions += positions_of(&d->tokens, i);
    if (!positions)
        die(EXIT_BADDATA,
            "'%s' has no tokens of responses (kind prompt?); give pairs, or tokens with responses",
            d->data.items[0]);
}

static void finished(void *self, const char *path) {
    (void)self;
    print_result("%s", path);
}

static void plan_shards(struct dump *d) {
    unsigned long i = 0, n = 1;
    char junk;
    if (d->shard && (sscanf(d->shard, "%lu/%lu%c", &i, &n, &junk) != 2 || i >= n))
        die(EXIT_USAGE, "--shard '%s' is not I/N with 0 <= I < N", d->shard);
    if (d->shard && !d->rows_per_shard)
        die(EXIT_USAGE, "--shard needs --rows-per-shard, which cuts the set into shards");
    d->plan = (struct columns_plan){.rows_per_shard = (size_t)d->rows_per_shard,
                                    .rows_total = d->tokens.rows,
                                    .shard = i,
                                    .shards = n,
                                    .zstd_level = (int)d->zstd_level,
                                    .resume = !d->common.force,
                                    .finished = finished};
    d->run.count = d->tokens.rows;
    if (d->rows_per_shard)
        columns_share(d->tokens.rows, (size_t)d->rows_per_shard, i, n, &d->run.first,
                      &d->run.count);
}

// All shards of this run's share are up to date: print them.
static bool current(struct dump *d) {
    struct fail f = {0};
    if (!columns_is_current(d->output, &d->lineage, &d->plan, d->common.no_clobber, &f)) {
        die_if(&f);
        return false;
    }
    log_note(d->log, "'%s' is up to date: made with the same options and inputs", d->output);
    return true;
}

// The layout's options; --target-kl may still change the strength.
static void settle_layout(struct dump *d) {
    bool components = choice_is(d->layout, "components");
    struct teacher_rule *rule = &d->run.rule;
    struct teacher_grid *g = &d->run.grid;
    if (!components) options_refuse(d->options, "alpha-grid", "goes with --layout components");
    if (!components) return;
    if (!strcmp(d->grid, "auto"))
        *g = teacher_grid_around(rule->strength);
    else if (!teacher_grid_parse(d->grid, g))
        die(EXIT_USAGE,
            "--alpha-grid '%s' is not 3 to %d ascending numbers from 0, as in 0,0.5,1,2", d->grid,
            GRID_MOST);
    double low, high;
    bool searched = d->target.kl > 0 && !d->alpha; // its strength is not known yet
    if (!searched && !teacher_grid_covers(g, rule, &low, &high))
        die(EXIT_USAGE, "--alpha %s has alphas from %g to %g, outside --alpha-grid %s",
            d->teacher.alpha, low, high, d->grid);
}

// A position's support is the union over the grid, and its size is stored in two bytes.
static void check_room(const struct dump *d) {
    struct teacher_cut most = d->run.cut;
    most.n_must = d->error_budget > 0 ? 0 : d->run.student_k;
    if (most.least > 0 && 1 / most.least < (double)most.top_k)
        most.top_k = (size_t)(1 / most.least) + 1; // so many can be as likely
    const struct teacher_grid *g = &d->run.grid;
    size_t room = teacher_gather_room(g, &most, d->teachers.dpo_model.model.config.vocab_used);
    if (g->n && room > UINT16_MAX)
        die(EXIT_USAGE,
            "--top-k %zu at %zu alphas of --alpha-grid may keep %zu tokens per position, and a "
            "file "
            "holds %d; give a smaller --top-k or a larger --least",
            d->run.cut.top_k, g->n, room, UINT16_MAX);
}

static void set_strength(struct dump *d, double strength) {
    char *text = recipe_strength(d->teacher.alpha, strength);
    free(d->alpha);
    d->teacher.alpha = d->alpha = text;
    d->run.rule.strength = strength;
    free(d->json);
    d->lineage.options = d->json = options_json(d->options);
}

static struct target_kl search_of(struct dump *d) {
    return (struct target_kl){.models = d->teachers.models,
                              .rule = d->run.rule,
                              .prompts = &d->tokens,
                              .options = &d->target,
                              .micro_tokens = (size_t)d->micro_tokens,
                              .eos = d->teachers.dpo_model.eos,
                              .seed = (uint64_t)d->common.seed,
                              .log = d->log};
}

// The strength that --target-kl asks for: what a finished output of this very command states, or a
// search. True: there is such an output.
static bool settle_strength(struct dump *d) {
    struct fail f = {0};
    size_t per = d->rows_per_shard ? (size_t)d->rows_per_shard : d->tokens.rows;
    char *path = part_path(d->output, d->run.first / per, (d->tokens.rows + per - 1) / per);
    double given = d->run.rule.strength, recorded = d->common.force ? 0 : target_kl_recorded(path);
    free(path);
    if (recorded > 0) {
        set_strength(d, recorded);
        if (current(d)) return true;
    }
    struct target_kl t = search_of(d);
    struct target_kl_trial best;
    t.rule.strength = given;
    target_kl_search(&t, &best, &f);
    die_if(&f);
    log_note(d->log, "strength %g: p* is %.4f +- %.4f nats per response from the reference",
             best.strength, best.kl, best.error);
    d->found = best;
    set_strength(d, best.strength);
    settle_layout(d);
    return false;
}

static struct teacher_writer *open_writer(struct dump *d, const struct columns_plan *plan,
                                          struct fail *f) {
    char *rule = recipe_rule_json(&d->teacher, d->found.kl, d->found.error);
    struct teacher_info info = {.vocab = d->teachers.dpo_model.model.config.vocab_used,
                                .max_length = d->tokens.longest,
                                .tokenizer = d->teachers.dpo_model.tokenizer,
                                .tokenizer_json = d->teachers.dpo_model.tokenizer_json,
                                .reference = d->teachers.ref_model.content,
                                .reward_beta = d->teachers.dpo_model.reward_beta,
                                .recipe = d->recipe,
                                .rule = rule,
                                .error_budget = d->error_budget,
                                .bits = atoi(d->bits_text),
                                .grid = d->run.grid,
                                .eos = d->teachers.dpo_model.eos};
    const struct tokens *t = &d->tokens;
    int32_t *common = teacher_codec_common(t->ids, t->first[t->rows], info.vocab,
                                           d->teachers.dpo_model.eos, &info.n_common);
    info.common = common;
    struct teacher_writer *w = teacher_writer_open(d->output, &d->lineage, &info, plan, f);
    free(common);
    free(rule);
    return w;
}

// What the budget's errors are compared with, from a few rows.
static int settle_typical(struct dump *d) {
    struct fail f = {0};
    int code = d->error_budget > 0 ? teacher_dump_typical(&d->run, &f) : EXIT_DONE;
    die_if(&f);
    return code;
}

// Bytes at the peak: the program, the models, the data, and what is beside them: the pairs that
// the data is made from, or what the search for a strength or the dump takes.
static size_t plan_memory(struct dump *d) {
    const struct model *models[] = {&d->teachers.dpo_model.model, &d->teachers.reverse_model.model,
                                    &d->teachers.ref_model.model, &d->student_model.model};
    struct target_kl search = search_of(d);
    size_t weights = models_bytes(4, models), most = d->pairs_bytes,
           dumping = teacher_dump_plan(&d->run);
    size_t searching = d->target.kl > 0 ? target_kl_plan(&search) : 0;
    if (searching > most) most = searching;
    if (dumping > most) most = dumping;
    return MEM_PROGRAM + weights + tokens_bytes(&d->tokens) + most;
}

// Dumps the sample into nothing, and says what the whole will take.
static void print_plan(struct dump *d) {
    struct fail f = {0};
    struct tokens sample = teacher_dump_sample(&d->tokens), *all = &d->tokens;
    struct columns_counted counted = {0};
    struct columns_plan plan = {
        .rows_total = sample.rows, .zstd_level = (int)d->zstd_level, .counted = &counted};
    struct teacher_dump trial = d->run;
    size_t positions = 0, seen = 0, end = d->run.first + d->run.count;
    for (size_t i = d->run.first; i < end; i++) positions += positions_of(all, i);
    for (size_t i = 0; i < sample.rows; i++) seen += positions_of(&sample, i);
    trial.tokens = &sample;
    trial.first = 0;
    trial.count = sample.rows;
    trial.log = NULL;
    settle_typical(d);
    memcpy(trial.typical, d->run.typical, sizeof trial.typical);
    trial.writer = open_writer(d, &plan, &f);
    double start = clock_seconds();
    teacher_dump_run(&trial, &f);
    die_if(&f);
    double tokens = (double)(all->first[end] - all->first[d->run.first]);
    double share = tokens / (double)sample.first[sample.rows], per = (double)d->rows_per_shard;
    double files = per > 0 ? ceil((double)d->run.count / per) : 1;
    print_result("rows\t%zu", d->run.count);
    print_result("positions\t%zu", positions);
    print_result("memory_bytes\t%zu", plan_memory(d));
    print_result("bytes_per_position\t%.1f", seen ? (double)counted.columns / (double)seen : 0);
    print_result("disk_bytes\t%.0f",
                 (double)counted.columns * share + files * (double)counted.blobs);
    print_result("estimated_seconds\t%.0f", (clock_seconds() - start) * share);
    tokens_release(&sample);
}

static int dump(struct dump *d) {
    struct fail f = {0};
    if (!d->run.count) {
        log_note(d->log, "share %s of the shards is empty; nothing to do", d->shard);
        return EXIT_DONE;
    }
    whole_file_prepare(d->output, &f);
    die_if(&f);
    struct teacher_dump *r = &d->run;
    if (settle_typical(d) == EXIT_STOPPED) return EXIT_STOPPED;
    r->writer = open_writer(d, &d->plan, &f);
    die_if(&f);
    size_t done = columns_rows(teacher_writer_columns(r->writer));
    if (done) log_note(d->log, "continuing at row %zu of %zu", done, r->count);
    int code = teacher_dump_run(r, &f);
    die_if(&f);
    if (code == EXIT_STOPPED) {
        char *spool = columns_spool_name(d->output, &d->plan);
        log_note(d->log,
                 "stopped; the rows so far are in '%s': run the same command again to continue",
                 spool);
        free(spool);
    }
    return code;
}

static int run(struct dump *d) {
    if (d->common.dry_run) {
        print_plan(d);
        return EXIT_DONE;
    }
    if (d->target.kl > 0 && settle_strength(d)) return EXIT_DONE;
    return d->common.force || !current(d) ? dump(d) : EXIT_DONE;
}

int main(int argc, char **argv) {
    struct dump d = {0};
    struct options o = {.program = "teacher-dump",
                        .usage = "--dpo FILE --reverse FILE --data FILE... -o FILE [options]",
                        .summary = "Compute the teachers' distributions once, into a cache."};
    declare(&o, &d);
    options_parse(&o, argc, argv, NULL);
    parallel_init((int)d.common.threads);
    kernels_choose(d.common.kernels);
    stop_init(d.stop_after);
    d.log = log_open(d.common.progress, d.common.quiet, d.common.verbose);
    recipe_teacher(d.recipe, &o, false, &d.teacher, &d.run.rule);
    d.options = &o;
    settle_budget(&d);
    settle_layout(&d);
    d.json = options_json(&o);
    d.lineage = (struct lineage){.kind = "teacher",
                                 .stage = "teacher-dump",
                                 .version = artefact_version("teacher"),
                                 .options = d.json};
    load_models(&d);
    load_student(&d);
    load_data(&d);
    plan_shards(&d);
    d.run.cut = (struct teacher_cut){.top_k = (size_t)d.teacher.top_k,
                                     .mass = d.teacher.mass,
                                     .least = d.teacher.least,
                                     .eos = d.teachers.dpo_model.eos};
    check_room(&d);
    d.run.tokens = &d.tokens;
    d.run.micro_tokens = (size_t)d.micro_tokens;
    d.run.checkpoint_every = d.checkpoint_every;
    d.run.log = d.log;
    int code = run(&d);
    log_close(d.log);
    finish_stdout();
    options_release(&o);
    free(d.json);
    free(d.alpha);
    teachers_release(&d.teachers);
    tokens_release(&d.tokens);
    parents_release(&d.lineage.parents);
    model_file_release(&d.student_model);
    return code;
}

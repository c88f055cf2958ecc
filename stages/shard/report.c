// shard report: bytes a position of a teacher cache against the error of the student's gradient.
#include "stages/shard/report.h"
#include "common/base/parallel.h"
#include "common/method/recipe.h"
#include "common/base/rng.h"
#include "common/base/stop.h"
#include "stages/shared/teacher_dump.h"
#include "stages/shared/teachers.h"
#include "stages/shared/data_check.h"
#include "formats/bytes/whole_file.h"
#include "stages/shard/shard.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct report {
    const char *output, *figure, *recipe, *responses, *divergence;
    struct opt_list data, cache, student, top_k, mass, least, bits, student_k, error_budget, peer_k;
    struct teacher_options teacher;
    double cosine;
    struct support_budget budget[32];
    int64_t rows, micro_tokens, zstd_level;
    struct common_options common;
    struct teachers teachers;
    struct model_file *students;
    const struct model **models;
    struct parents parents;
    struct tokens tokens;
    struct fidelity_sample sample;
    struct report_trial *trial;
    size_t trials, capacity;
    struct str csv;
};

static void declare(struct options *o, struct report *r) {
    teachers_rows(o, &r->teachers);
    const struct opt_row in[] = {
        {"data", OPT_LIST, OPT_INPUT, &r->data, .metavar = "FILE...",
         .help = "pairs, or tokens with responses", .paths = true},
        {"cache", OPT_LIST, OPT_INPUT, &r->cache, .metavar = "FILE...",
         .help =
             "in place of --data: caches that are there. Their teachers are composed again, in "
             "--precision, which is f32 whatever a cache was dumped by; positions weigh as in the "
             "recipe of the cache",
         .paths = true},
        {"student", OPT_LIST, OPT_INPUT, &r->student, .metavar = "FILE...",
         .help = "models whose gradients are compared: the start model first, "
                 "then ones from later in training",
         .required = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &r->output, .letter = 'o', .metavar = "FILE",
         .help = "the table as CSV; without it, stdout"},
        {"figure", OPT_TEXT, OPT_OUTPUT, &r->figure, .metavar = "FILE.svg",
         .help = "also draw the table, for the last student"},
        {"responses", OPT_CHOICE, OPT_RESULT, &r->responses, .value = "chosen",
         .choices = "chosen|rejected|both", .help = "which responses of pairs are used"},
        {"rows", OPT_INT, OPT_RESULT, &r->rows, .value = "100", .low = 1, .high = 1e9,
         .metavar = "N", .help = "rows, chosen by --seed"},
        {"cosine", OPT_REAL, OPT_RESULT, &r->cosine, .value = "0.999", .low = 0, .high = 1,
         .metavar = "C",
         .help = "recommend the smallest setting that reaches this cosine for all students"},
        {"divergence", OPT_CHOICE, OPT_RESULT, &r->divergence, .value = "both",
         .choices = "fkl|rkl|both", .help = "whose gradient has to reach it"},
    };
    options_add(o, in, sizeof in / sizeof *in);
    recipe_row(o, &r->recipe);
    teacher_options_rows(o, &r->teacher);
}

static void declare_grid(struct options *o, struct report *r) {
    const struct opt_row rows[] = {
        {"top-k", OPT_LIST, OPT_RESULT, &r->top_k, .metavar = "N...",
         .help = "settings of teacher-dump to try, all combinations; if not given 256"},
        {"mass", OPT_LIST, OPT_RESULT, &r->mass, .metavar = "X...",
         .help = "likewise; if not given 1"},
        {"least", OPT_LIST, OPT_RESULT, &r->least, .metavar = "P...",
         .help = "likewise; if not given 0.03 0.01 0.003 0.001 0.0003 0.0001"},
        {"bits", OPT_LIST, OPT_RESULT, &r->bits, .metavar = "N...",
         .help = "likewise; if not given 6 8 12 16"},
        {"student-k", OPT_LIST, OPT_RESULT, &r->student_k, .metavar = "N...",
         .help = "likewise, of the first student; if not given 0 8 16"},
        {"error-budget", OPT_LIST, OPT_RESULT, &r->error_budget, .metavar = "E...",
         .help = "settings of teacher-dump by which it chooses the support itself, with all of "
                 "--bits; if not given 0.03, its default"},
        {"peer-k", OPT_LIST, OPT_RESULT, &r->peer_k, .metavar = "N...",
         .help = "entries of other codings to compare with; if not given 4 8 16 32 50 64 128 256"},
        {"zstd-level", OPT_INT, OPT_RESULT, &r->zstd_level, .value = "3", .low = 1, .high = 19,
         .metavar = "N", .help = "compression level"},
        {"micro-tokens", OPT_INT, OPT_EXEC, &r->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N", .help = "tokens computed at once; more need more memory"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    common_options_rows(o, &r->common);
}

// ---- the grid

struct numbers {
    size_t n;
    double x[32];
};

static struct numbers numbers_of(const struct opt_list *list, const char *name,
                                 const char *otherwise, double low, double high) {
    struct numbers all = {0};
    char *words = xstrdup(otherwise), *rest = words, *end;
    for (size_t i = 0; list->n ? i < list->n : rest != NULL; i++) {
        const char *word = list->n ? list->items[i] : strsep(&rest, " ");
        double x = strtod(word, &end);
        if (end == word || *end || !(x >= low && x <= high))
            die(EXIT_USAGE, "--%s '%s' is not a number from %g to %g", name, word, low, high);
        if (all.n == sizeof all.x / sizeof *all.x)
            die(EXIT_USAGE, "--%s takes %zu numbers at most", name, all.n);
        all.x[all.n++] = x;
    }
    free(words);
    return all;
}

static void add_setting(struct report *r, struct report_setting s) {
    grow(&r->trial, &r->capacity, r->trials + 1, sizeof *r->trial);
    r->trial[r->trials++] = (struct report_trial){.setting = s};
    if (s.top_k > r->sample.top_k) r->sample.top_k = s.top_k;
    if (s.student_k > r->sample.student_k) r->sample.student_k = s.student_k;
}

// Supports within a budget, as teacher-dump chooses them.
static void add_budgets(struct report *r, const struct numbers *budget,
                        const struct numbers *bits) {
    for (size_t i = 0; i < budget->n; i++) {
        r->budget[i] = support_budget_default(budget->x[i]);
        for (size_t k = 0; k < bits->n; k++)
            add_setting(r, (struct report_setting){.coding = REPORT_CACHE,
                                                   .mass = 1,
                                                   .least = r->budget[i].least,
                                                   .error_budget = budget->x[i],
                                                   .budget = i,
                                                   .bits = (int)bits->x[k]});
    }
    r->sample.budget = r->budget;
    r->sample.budgets = budget->n;
    r->sample.inverse_alpha = !strcmp(r->recipe, "published");
}

static void make_grid(struct report *r) {
    struct numbers k = numbers_of(&r->top_k, "top-k", "256", 1, 65000);
    struct numbers mass = numbers_of(&r->mass, "mass", "1", 0, 1);
    struct numbers least =
        numbers_of(&r->least, "least", "0.03 0.01 0.003 0.001 0.0003 0.0001", 0, 1);
    struct numbers bits = numbers_of(&r->bits, "bits", "6 8 12 16", 6, 32);
    struct numbers own = numbers_of(&r->student_k, "student-k", "0 8 16", 0, 500);
    struct numbers budget = numbers_of(&r->error_budget, "error-budget", "0.03", 1e-6, 10);
    struct numbers peer = numbers_of(&r->peer_k, "peer-k", "4 8 16 32 50 64 128 256", 1, 65000);
    for (size_t i = 0; i < k.n * mass.n * least.n * bits.n * own.n; i++) {
        size_t at = i;
        struct report_setting s = {.coding = REPORT_CACHE};
        s.least = least.x[at % least.n];
        at /= least.n;
        s.bits = (int)bits.x[at % bits.n];
        at /= bits.n;
        s.student_k = (size_t)own.x[at % own.n];
        at /= own.n;
        s.mass = mass.x[at % mass.n];
        s.top_k = (size_t)k.x[at / mass.n];
        if (!teacher_codec_bits(s.bits))
            die(EXIT_USAGE, "--bits %d is none of 32, 16, 12, 8, 6", s.bits);
        add_setting(r, s);
    }
    add_budgets(r, &budget, &bits);
    for (int c = REPORT_FIXED; c < REPORT_CODINGS; c++)
        for (size_t i = 0; i < peer.n; i++)
            add_setting(
                r, (struct report_setting){.coding = c, .top_k = (size_t)peer.x[i], .mass = 1});
}

// ---- inputs

static void load_teachers(struct report *r) {
    struct fail f = {0};
    if (r->cache.n) {
        report_cache_models(&r->teachers, r->cache.items[0], &r->parents);
        return;
    }
    teachers_check(&r->teachers, &r->sample.rule, &f);
    die_if(&f);
    teachers_load(&r->teachers, &r->sample.rule, false, &r->parents, &f);
    die_if(&f);
}

static void load_students(struct report *r) {
    struct fail f = {0};
    r->students = xcalloc(r->student.n, sizeof *r->students);
    r->models = xmalloc(r->student.n * sizeof *r->models);
    const struct model_file *t = &r->teachers.dpo_model;
    for (size_t i = 0; i < r->student.n; i++) {
        struct model_file *s = &r->students[i];
        model_shelf_load(&r->teachers.shelf, r->student.items[i], false, s, &f);
        die_if(&f);
        if (t->model.config.vocab_used != s->model.config.vocab_used ||
            !hash_equal(t->tokenizer, s->tokenizer))
            die(EXIT_BADDATA,
                "'%s' has another vocabulary or tokenizer than the teachers; it cannot "
                "be trained from them",
                r->student.items[i]);
        r->models[i] = &s->model;
    }
}

static void load_data(struct report *r) {
    struct fail f = {0};
    struct artefact a;
    artefact_read(r->data.items[0], NULL, &a, &f);
    die_if(&f);
    if (!strcmp(a.kind, "pairs")) {
        struct pairs p;
        pairs_load(&p, r->data.n, r->data.items, &f);
        die_if(&f);
        teacher_dump_responses(&p, !choice_is(r->responses, "rejected"),
                               !choice_is(r->responses, "chosen"), &r->tokens);
        pairs_release(&p);
    } else {
        tokens_load(&r->tokens, r->data.n, r->data.items, &f);
    }
    artefact_release(&a);
    die_if(&f);
    data_check(&r->teachers.dpo_model, r->tokens.tokenizer, r->tokens.top, r->tokens.longest,
               r->tokens.rows, r->data.items[0]);
}

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void pick_rows(struct report *r) {
    struct fidelity_sample *s = &r->sample;
    size_t all = r->tokens.rows;
    s->rows = (size_t)r->rows < all ? (size_t)r->rows : all;
    s->row = xmalloc(all * sizeof *s->row);
    rng_permute((uint64_t)r->common.seed, RNG_SPLIT, 0, all, s->row);
    qsort(s->row, s->rows, sizeof *s->row, ascending);
}

// ---- the table

static const char *const names[] = {"cache", "fixed", "fit", "fit16"};

static void print_trial(struct report *r, const struct report_trial *t) {
    const struct report_setting *s = &t->setting;
    for (size_t m = 0; m < r->student.n; m++) {
        str_printf(&r->csv, "%s,%zu,%g,%g,%d,%zu,%.2f,%.3f,%.3g,%zu", names[s->coding], s->top_k,
                   s->mass, s->least, s->bits, s->student_k, t->entries, t->bytes, t->kl, m + 1);
        for (int kind = 0; kind < FIDELITY_KINDS; kind++)
            str_printf(&r->csv, ",%.6f,%.5f", fidelity_cosine(&t->sum[m][kind]),
                       fidelity_error(&t->sum[m][kind]));
        str_printf(&r->csv, ",%.3f,%g\n", t->alike, s->error_budget);
    }
}

static double worst(const struct report *r, const struct report_trial *t) {
    double least = 1;
    for (size_t m = 0; m < r->student.n; m++) {
        double forward = fidelity_cosine(&t->sum[m][FIDELITY_FKL]);
        double reverse = fidelity_cosine(&t->sum[m][FIDELITY_RKL]);
        if (!choice_is(r->divergence, "rkl")) least = fmin(least, forward);
        if (!choice_is(r->divergence, "fkl")) least = fmin(least, reverse);
    }
    return least;
}

// The smallest of a coding's settings that reaches the cosine; NULL: none does.
static const struct report_trial *smallest(const struct report *r, enum report_coding coding) {
    const struct report_trial *best = NULL;
    for (size_t i = 0; i < r->trials; i++) {
        const struct report_trial *t = &r->trial[i];
        if (t->setting.coding == coding && worst(r, t) >= r->cosine &&
            (!best || t->bytes < best->bytes))
            best = t;
    }
    return best;
}

static void recommend(const struct report *r, struct log *log) {
    const struct report_trial *t = smallest(r, REPORT_CACHE);
    if (!t) {
        log_note(log,
                 "no setting reaches a cosine of %g; ask for more --top-k, less --least, more "
                 "--bits",
                 r->cosine);
        return;
    }
    const struct report_setting *s = &t->setting;
    if (s->error_budget > 0)
        log_note(log,
                 "recommended for a cosine of %g, %.1f bytes per position: --error-budget %g "
                 "--bits %d, and --student %s",
                 r->cosine, t->bytes, s->error_budget, s->bits, r->student.items[0]);
    else
        log_note(log,
                 "recommended for a cosine of %g, %.1f bytes per position: --top-k %zu --mass %g "
                 "--least %g --bits %d%s",
                 r->cosine, t->bytes, s->top_k, s->mass, s->least, s->bits,
                 s->student_k ? "" : ", no --student");
    if (s->student_k)
        log_note(log, "and --student %s --student-k %zu", r->student.items[0], s->student_k);
    for (int c = REPORT_FIXED; c < REPORT_CODINGS; c++) {
        const struct report_trial *peer = smallest(r, c);
        if (peer)
            log_note(log, "'%s' takes %.1f bytes with k = %zu", names[c], peer->bytes,
                     peer->setting.top_k);
        else
            log_note(log, "'%s' does not reach it", names[c]);
    }
}

static void begin_table(struct report *r) {
    struct fail f = {0};
    if (r->output) whole_file_prepare(r->output, &f);
    if (r->figure) whole_file_prepare(r->figure, &f);
    die_if(&f);
    if (r->cache.n)
        report_cache_begin(&r->csv);
    else
        str_puts(&r->csv,
                 "coding,top_k,mass,least,bits,student_k,entries,bytes,kl,student,fkl_cosine,"
                 "fkl_error,rkl_cosine,rkl_error,alike,error_budget\n");
}

static void write_file(const char *path, const struct str *text) {
    struct fail f = {0};
    whole_file_write(path, text->text, text->length, &f);
    die_if(&f);
    print_result("%s", path);
}

static void finish_table(struct report *r) {
    if (r->output)
        write_file(r->output, &r->csv);
    else if (fputs(r->csv.text, stdout) == EOF || fflush(stdout))
        die(EXIT_FAILED, "cannot write to stdout");
    if (!r->figure) return;
    struct str svg = {0};
    report_figure(r->trial, r->trials, r->student.n - 1, &svg);
    write_file(r->figure, &svg);
    str_release(&svg);
}

static void try_all(struct report *r, struct log *log) {
    struct fail f = {0};
    const char *folder = getenv("TMPDIR");
    char *scratch = xasprintf("%s/aligndistil-report-XXXXXX", folder && *folder ? folder : "/tmp");
    if (!mkdtemp(scratch)) die(EXIT_FAILED, "cannot make '%s': %s", scratch, strerror(errno));
    char *rule = recipe_rule_json(&r->teacher, 0, 0), *file = xasprintf("%s/cache.h5", scratch);
    struct teacher_info info = {.vocab = r->sample.V,
                                .max_length = r->tokens.longest,
                                .rule = rule,
                                .recipe = r->recipe,
                                .eos = r->sample.eos};
    int32_t *common = teacher_codec_common(r->tokens.ids, r->tokens.first[r->tokens.rows],
                                           info.vocab, r->sample.eos, &info.n_common);
    info.common = common;
    struct report_job j = {&r->sample, &info, (int)r->zstd_level, file,
                           xmalloc(info.vocab * sizeof(int32_t))};
    for (size_t v = 0; v < info.vocab; v++) j.where[v] = -1;
    for (size_t i = 0; i < r->trials && !stop_requested(); i++) {
        struct report_setting s = r->trial[i].setting;
        if (!report_try(&j, &s, &r->trial[i], &f)) break;
        print_trial(r, &r->trial[i]);
        log_progress(log, "setting", i + 1, r->trials, NULL);
    }
    log_end_progress(log);
    rmdir(scratch);
    die_if(&f);
    void *all[] = {scratch, rule, file, common, j.where};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void release(struct report *r) {
    for (size_t i = 0; i < r->trials; i++) free(r->trial[i].sum);
    free(r->trial);
    str_release(&r->csv);
    fidelity_sample_release(&r->sample);
    free(r->sample.row);
    for (size_t i = 0; i < r->student.n; i++) model_file_release(&r->students[i]);
    free(r->students);
    free(r->models);
    teachers_release(&r->teachers);
    tokens_release(&r->tokens);
    parents_release(&r->parents);
}

// --dry-run, when the inputs were read: what would be computed.
static int print_plan(const struct report *r) {
    print_result("rows\t%zu", r->sample.rows);
    print_result("students\t%zu", r->student.n);
    print_result("settings\t%zu", r->trials);
    return EXIT_DONE;
}

static int run_caches(struct report *r, struct log *log) {
    const struct report_caches c = {.teachers = &r->teachers,
                                    .students = r->student.n,
                                    .student = r->models,
                                    .rows = (size_t)r->rows,
                                    .micro_tokens = (size_t)r->micro_tokens,
                                    .seed = r->common.seed,
                                    .csv = &r->csv};
    if (r->common.dry_run) return report_cache_plan(&c, &r->cache);
    begin_table(r);
    for (size_t i = 0; i < r->cache.n && !stop_requested(); i++) {
        report_cache(&c, r->cache.items[i]);
        log_progress(log, "cache", i + 1, r->cache.n, NULL);
    }
    log_end_progress(log);
    if (stop_requested()) die(EXIT_FAILED, "stopped; the table is not whole");
    finish_table(r);
    return EXIT_DONE;
}

static int run(struct report *r, struct log *log) {
    struct fail f = {0};
    struct fidelity_sample *s = &r->sample;
    load_teachers(r);
    load_students(r);
    if (r->cache.n) return run_caches(r, log);
    load_data(r);
    pick_rows(r);
    if (r->common.dry_run) return print_plan(r);
    s->models = r->teachers.models;
    s->students = r->student.n;
    s->student = r->models;
    s->tokens = &r->tokens;
    s->eos = r->teachers.dpo_model.eos;
    s->micro_tokens = (size_t)r->micro_tokens;
    s->log = log;
    begin_table(r);
    int code = fidelity_sample_run(s, &f);
    die_if(&f);
    if (code == EXIT_STOPPED || !s->positions)
        die(EXIT_FAILED, code == EXIT_STOPPED ? "stopped" : "the rows have no response positions");
    double entropy = 0;
    for (size_t i = 0; i < s->positions; i++) entropy += (double)s->position[i].entropy;
    log_note(log, "%zu positions of %zu rows, mean entropy %.2f nats", s->positions, s->rows,
             entropy / (double)s->positions);
    try_all(r, log);
    if (stop_requested()) die(EXIT_FAILED, "stopped; the table is not whole");
    finish_table(r);
    recommend(r, log);
    return EXIT_DONE;
}

// Either data, of which caches are made by settings, or caches that are there.
static void check_inputs(const struct report *r, const struct options *o) {
    if (!r->data.n == !r->cache.n) die(EXIT_USAGE, "give --data, or --cache");
    if (r->cache.n)
        options_refuse(o,
                       "figure|responses|cosine|divergence|recipe|base|negative|alpha|plausible|"
                       "top-k|mass|least|bits|student-k|error-budget|peer-k|zstd-level",
                       "is for caches that are made, with --data");
}

int shard_report(int argc, char **argv) {
    struct report r = {0};
    struct options o = {
        .program = "shard report",
        .usage =
            "--dpo FILE --reverse FILE --data FILE...|--cache FILE... --student FILE... [options]",
        .summary = "What a teacher cache costs and what it loses: bytes per position of files that "
                   "are really written; cosine and relative error of the gradient of the students' "
                   "logits against the full teacher's (all positions as one vector); KL(p* || "
                   "cache), the tail spread evenly."};
    declare(&o, &r);
    declare_grid(&o, &r);
    options_parse(&o, argc, argv, NULL);
    check_inputs(&r, &o);
    parallel_init((int)r.common.threads);
    stop_init(0);
    recipe_teacher(r.recipe, &o, false, &r.teacher, &r.sample.rule);
    make_grid(&r);
    struct log *log = log_open(r.common.progress, r.common.quiet, r.common.verbose);
    int code = run(&r, log);
    log_close(log);
    release(&r);
    options_release(&o);
    return code;
}

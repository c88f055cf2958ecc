#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/training/score.h"
#include "formats/teachers/sources.h"
#include "formats/teachers/teacher_compare.h"
#include "stages/shard/cache_models.h"
#include "formats/bytes/json.h"
#include "stages/shard/shard.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verify {
    struct teachers teachers;
    int64_t rows, micro_tokens, seed, threads;
    double tolerance;
    struct parents parents; // what was loaded
    const struct options *options;
    // of the file at hand
    const char *path;
    struct teacher_info info;
    struct teacher_shard shard;
    struct teacher_compare *compare;
    size_t n, *row; // (n) the rows that are looked at, ascending
    struct tokens tokens;
    struct online_teachers *online;
    struct batch batch;
    struct chunk chunk;
    struct online_logits logits;
    float *scratch;       // (threads, V)
    struct compared *all; // (positions of the batch)
    // the sum of it
    size_t positions, numbers;
    double kl, most_kl, off[COMPARED_NUMBERS], share[COMPARED_NUMBERS];
};

static void declare(struct options *o, struct verify *v) {
    teachers_rows(o, &v->teachers);
    const struct opt_row rows[] = {
        {"rows", OPT_INT, OPT_RESULT, &v->rows, .value = "32", .low = 1, .high = 1e12,
         .metavar = "N", .help = "random rows of each file"},
        {"tolerance", OPT_REAL, OPT_RESULT, &v->tolerance, .value = "0.002", .low = 0, .high = 10,
         .metavar = "X",
         .help = "nats allowed beyond the coding's error, for another machine's rounding"},
        {"seed", OPT_INT, OPT_RESULT, &v->seed, .value = "0", .low = 0, .high = 9e15,
         .metavar = "N", .help = "random seed: which rows"},
        {"threads", OPT_INT, OPT_RESULT, &v->threads, .value = "0", .low = 0, .high = 4096,
         .metavar = "N", .help = "threads, 0 = all CPUs"},
        {"micro-tokens", OPT_INT, OPT_RESULT, &v->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N", .help = "tokens computed at once; more need more memory"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

// ---- comparing

static void compare_position(void *self, size_t i) {
    struct verify *v = self;
    size_t at = v->chunk.first + i, V = v->teachers.models.dpo->config.vocab_used,
           own = (size_t)parallel_self();
    const struct response *y = &v->batch.response[v->batch.owner[at]];
    struct teacher_row row = teacher_shard_row(&v->shard, v->row[y->row]);
    struct teacher_logits z = {v->logits.base + i * V, v->logits.dpo + i * V,
                               v->logits.negative + i * V};
    teacher_compare(v->compare, (int)own, &row, at - y->first, &z, v->scratch + own * V,
                    &v->all[at]);
}

static void note(struct verify *v, size_t at, size_t first_row) {
    const struct compared *c = &v->all[at];
    const struct response *y = &v->batch.response[v->batch.owner[at]];
    v->positions++;
    v->numbers += c->numbers;
    v->kl += c->kl;
    v->most_kl = fmax(v->most_kl, c->kl);
    for (int k = 0; k < COMPARED_NUMBERS; k++) {
        v->off[k] = fmax(v->off[k], c->off[k]);
        v->share[k] = fmax(v->share[k], c->share[k]);
    }
    if (compared_fits(c)) return;
    char token[40] = "";
    if (c->token >= 0) snprintf(token, sizeof token, " of token %d", c->token);
    die(EXIT_BADDATA,
        "'%s' row %zu, position %zu: %s%s is %.6g, the teachers say %.6g, more than "
        "%.2g apart; it was dumped from other models, in another --precision, or is damaged",
        v->path, first_row + v->row[y->row], at - y->first, compared_name(c->what), token,
        c->stored, c->live, c->allowed);
}

static void compare_batch(struct verify *v, size_t first_row) {
    const struct batch *b = &v->batch;
    for (size_t i = 0; i < batch_chunks(b); i++) {
        v->chunk = batch_chunk(b, i);
        v->logits = online_teachers_logits(v->online, b, v->chunk.first, v->chunk.count);
        parallel_for(v->chunk.count, compare_position, v);
    }
    for (size_t i = 0; i < b->positions; i++) note(v, i, first_row);
}

static void compare_rows(struct verify *v, size_t first_row) {
    struct fail f = {0};
    struct source source;
    source_tokens(&source, &v->tokens);
    struct net_limits limits = score_limits(&source, (size_t)v->micro_tokens);
    v->online = online_teachers_new(&v->teachers.models, teacher_compare_rule(v->compare), &limits);
    v->scratch = xmalloc((size_t)parallel_threads() * v->teachers.models.dpo->config.vocab_used *
                         sizeof *v->scratch);
    v->all = xmalloc(limits.positions * sizeof *v->all);
    for (size_t row = 0; row < v->n;) {
        row = score_fill(&v->batch, &source, row, v->n, (size_t)v->micro_tokens, &f);
        die_if(&f);
        compare_batch(v, first_row);
    }
    online_teachers_free(v->online);
    free(v->scratch);
    free(v->all);
}

static void print_report(const struct verify *v) {
    print_result("%s\trows\t%zu\tpositions\t%zu\tnumbers\t%zu", v->path, v->n, v->positions,
                 v->numbers);
    print_result("number\tmost off\tof what is allowed");
    for (int k = 0; k < COMPARED_NUMBERS; k++)
        print_result("%s\t%.3g\t%.0f%%", compared_name(k), v->off[k], 100 * v->share[k]);
    print_result("KL error\tmean\t%.3g\tmost\t%.3g",
                 v->positions ? v->kl / (double)v->positions : 0, v->most_kl);
}

// Where it is not asked for, the models run as teacher-dump ran them.
static void take_setting(struct verify *v, const struct json *said, const char *option,
                         const char *usual, const char **setting) {
    const char *name = json_text(json_get(said, option), NULL);
    if (!name || strcmp(name, "bf16") != 0) name = usual;
    if (options_given(v->options, option) || !strcmp(name, *setting)) return;
    if (v->teachers.models.dpo)
        die(EXIT_USAGE, "'%s' was dumped with --%s %s, unlike the files before it; verify it alone",
            v->path, option, name);
    *setting = name == usual ? usual : "bf16";
}

static void take_settings(struct verify *v, const struct columns_reader *r) {
    struct fail ignored = {0};
    const char *text = columns_artefact(r)->options;
    struct json *said = json_parse(text, strlen(text), "options", &ignored);
    take_setting(v, said, "precision", "f32", &v->teachers.precision);
    take_setting(v, said, "frozen-dtype", "float32", &v->teachers.dtype);
    json_free(said);
}

static void verify(struct verify *v, const char *path) {
    struct fail f = {0};
    struct columns_reader *r = columns_open(path, "teacher", &f);
    v->path = path;
    if (r) teacher_info_read(&v->info, r, &f);
    die_if(&f);
    v->compare = teacher_compare_new(r, &v->info, v->tolerance, parallel_threads(), &f);
    die_if(&f);
    const struct teacher_rule *rule = teacher_compare_rule(v->compare);
    take_settings(v, r);
    cache_models_load(&v->teachers, rule, path, &v->parents);
    cache_models_check(&v->teachers, rule, &v->info, r);
    teacher_shard_load(&v->shard, r, &f);
    die_if(&f);
    v->n = cache_rows_choose(&v->shard, (size_t)v->rows, v->seed, &v->teachers, path, &v->tokens,
                             &v->row);
    compare_rows(v, columns_part(r).first_row);
    print_report(v);
    teacher_compare_free(v->compare);
    teacher_shard_release(&v->shard);
    teacher_info_release(&v->info);
    tokens_release(&v->tokens);
    free(v->row);
    columns_close(r);
    v->positions = v->numbers = 0;
    v->kl = v->most_kl = 0;
    memset(v->off, 0, sizeof v->off);
    memset(v->share, 0, sizeof v->share);
}

int shard_verify(int argc, char **argv) {
    struct verify v = {0};
    struct options o = {
        .program = "shard verify",
        .usage = "--dpo FILE --reverse FILE [--ref FILE] [--rows N] SHARD...",
        .summary = "Runs the teachers again on random rows of each teacher file and compares every "
                   "stored number. Exit 3 where one is off by more than its coding allows."};
    struct opt_list files;
    declare(&o, &v);
    v.options = &o;
    shard_options(&o, argc, argv, &files, 1);
    parallel_init((int)v.threads);
    for (size_t i = 0; i < files.n; i++) verify(&v, files.items[i]);
    batch_release(&v.batch);
    parents_release(&v.parents);
    teachers_release(&v.teachers);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}

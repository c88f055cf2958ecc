// A teacher cache as the product makes and takes it: dumped by teacher_dump_run, read ahead and
// trained on by train_run, beside sft on the same tokens in turns. Shards of one step each and a
// window of one, so that every step waits for what it needs and the next is read meanwhile.
#include "tests/bench/engine/bench.h"
#include "common/base/mem.h"
#include "common/engine/linear.h"
#include "formats/teachers/sources.h"
#include "stages/shared/teacher_dump.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Entries: what p* of the stories has at the defaults on the mean (pipelines/cache). That of random
// weights is flat, so it is the number that is given here and not the least probability.
enum { SUPPORT = 75, MOST_STEPS = 6 };

struct cache_bench {
    const struct shape *shape;
    struct model model, teacher; // the same, as the dump has it
    struct optim *optim;
    struct tokens tokens;
    struct log *log;
    char folder[32], *path, *again, *part[MOST_STEPS];
    size_t steps, batch; // of a run; rows of a step
    struct fail fail;
};

static void fill_tokens(struct cache_bench *c) {
    struct tokens *t = &c->tokens;
    size_t T = c->shape->length, rows = c->steps * c->batch;
    *t = (struct tokens){.kind = TOKENS_SFT,
                         .rows = rows,
                         .vocab = c->shape->config.vocab_used,
                         .longest = T,
                         .parts = 1};
    t->first = xcalloc(rows + 1, sizeof *t->first);
    t->ids = xmalloc(rows * T * sizeof *t->ids);
    t->mask = xmalloc(rows * T);
    t->prompt_length = xmalloc(rows * sizeof *t->prompt_length);
    t->part_rows = xmalloc(sizeof *t->part_rows);
    t->part_rows[0] = rows;
    for (size_t row = 0; row < rows; row++) {
        t->prompt_length[row] = 1;
        t->first[row + 1] = (row + 1) * T;
        for (size_t i = 0; i < T; i++) {
            t->ids[row * T + i] = bench_token(c->shape, row, i);
            t->mask[row * T + i] = i > 0;
        }
    }
}

static struct teacher_writer *open_writer(struct cache_bench *c, const char *path) {
    struct lineage l = {.kind = "teacher", .stage = "teacher-dump", .options = "{}"};
    struct teacher_info info = {.vocab = c->shape->config.vocab_used,
                                .max_length = c->shape->length,
                                .tokenizer_json = "{}",
                                .recipe = "adaptive",
                                .bits = 12,
                                .eos = 2,
                                .rule = "{\"base\": \"dpo\", \"negative\": \"reverse\", "
                                        "\"alpha\": \"tvd:1\", \"plausible\": 0}"};
    struct columns_plan plan = {
        .rows_per_shard = c->batch, .rows_total = c->tokens.rows, .zstd_level = 3};
    return teacher_writer_open(path, &l, &info, &plan, &c->fail);
}

static void note_clock(void *at) {
    *(double *)at = bench_clock();
}

// Without the first touch of its memory, as other rows are: a dump is long, and that happens once.
static double dump_seconds(struct cache_bench *c) {
    double start;
    struct teacher_dump d = {
        .models = {.dpo = &c->teacher, .reverse = &c->teacher},
        .rule = {.base_dpo = true, .negative_reverse = true, .alpha = ALPHA_TVD, .strength = 1},
        .cut = {.top_k = SUPPORT, .mass = 1, .eos = 2},
        .tokens = &c->tokens,
        .count = c->tokens.rows,
        .micro_tokens = c->shape->tokens,
        .log = c->log,
        .begun = note_clock,
        .self = &start};
    d.writer = open_writer(c, c->path);
    teacher_dump_run(&d, &c->fail);
    die_if(&c->fail);
    return bench_clock() - start;
}

// Reads and decodes the whole cache, then writes it again: *read and *written in seconds.
static void take_and_write(struct cache_bench *c, double *read, double *written) {
    struct teacher_row *row = xcalloc(c->tokens.rows, sizeof *row);
    double start = bench_clock();
    struct teacher_set *s = teacher_set_open(c->steps, (const char *const *)c->part, &c->fail);
    if (s) teacher_set_keep(s, c->steps); // all rows are looked at together
    for (size_t i = 0; i < c->tokens.rows; i++) teacher_set_row(s, i, &row[i]);
    die_if(&c->fail);
    *read = bench_clock() - start;
    start = bench_clock();
    struct teacher_writer *w = open_writer(c, c->again);
    for (size_t i = 0; i < c->tokens.rows; i++) teacher_write(w, &row[i]);
    teacher_writer_commit(w, NULL);
    die_if(&c->fail);
    *written = bench_clock() - start;
    teacher_set_close(s);
    free(row);
}

// ---- the training loop ----

struct steps_clock { // of one run: the time of each step but the first
    double last;
    struct series *to;
};

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct steps_clock *k = self;
    double now = bench_clock();
    (void)end, (void)f;
    if (step > 1 && k->to->n < ROUNDS) k->to->at[k->to->n++] = now - k->last;
    k->last = now;
    return true;
}

static struct train_options training_of(const struct cache_bench *c) {
    return (struct train_options){.batch_size = (int64_t)c->batch,
                                  .epochs = 1,
                                  .unit_tokens = (int64_t)c->shape->tokens,
                                  .micro_tokens = (int64_t)c->shape->tokens,
                                  .window = 1,
                                  .optim = {.lr = 1e-5,
                                            .min_lr = 0.1,
                                            .beta1 = 0.9,
                                            .beta2 = 0.95,
                                            .epsilon = 1e-8,
                                            .clip = 1,
                                            .schedule = "constant"}};
}

static void train(struct cache_bench *c, struct source *s, struct objective *o, struct series *to) {
    struct train_options options = training_of(c);
    struct steps_clock clock = {.to = to};
    struct train t = {.model = &c->model,
                      .optim = c->optim,
                      .objective = o,
                      .source = s,
                      .options = &options,
                      .hooks = {.self = &clock, .after_step = after_step},
                      .log = c->log,
                      .metrics = metrics_open(NULL, 0),
                      .exchange = exchange_new(c->optim)};
    train_run(&t, &c->fail);
    metrics_close(t.metrics);
    exchange_free(t.exchange);
    die_if(&c->fail);
}

static void train_sft(struct cache_bench *c, struct series *to) {
    struct objective sft = objective_sft_new(c->model.config.vocab_used);
    struct source s;
    source_tokens(&s, &c->tokens);
    train(c, &s, &sft, to);
    objective_free(&sft);
}

static void train_distil(struct cache_bench *c, struct series *to) {
    struct distill_options d = {.divergence = {.kind = DIVERGENCE_RKL}, .reward_beta = 0.1};
    struct objective distil = objective_distill_new(&d, c->model.config.vocab_used);
    struct teacher_source t = {
        .set = teacher_set_open(c->steps, (const char *const *)c->part, &c->fail)};
    struct train_options options = training_of(c);
    struct source s;
    die_if(&c->fail);
    source_teacher(&s, &t);
    source_teacher_start(&t, &options);
    train(c, &s, &distil, to);
    source_teacher_stop(&t);
    teacher_set_close(t.set);
    objective_free(&distil);
}

// ---- the section ----

static struct cache_bench *cache_new(const struct shape *s) {
    struct cache_bench *c = xcalloc(1, sizeof *c);
    *c = (struct cache_bench){.shape = s,
                              .steps = bench_quick() ? 3 : 4,
                              .batch = s->tokens / s->length,
                              .folder = "/tmp/bench-cache-XXXXXX",
                              .log = log_open("never", true, false)};
    if (!mkdtemp(c->folder)) die(EXIT_FAILED, "cannot make a folder in /tmp");
    c->path = xasprintf("%s/cache.h5", c->folder);
    c->again = xasprintf("%s/again.h5", c->folder);
    for (size_t i = 0; i < c->steps; i++) c->part[i] = part_path(c->path, i, c->steps);
    shape_model(s, &c->model);
    model_copy(&c->teacher, &c->model);
    linear_pack(&c->teacher);
    c->optim = optim_new(&c->model);
    fill_tokens(c);
    return c;
}

static void cache_free(struct cache_bench *c) {
    for (size_t i = 0; i < c->steps; i++) {
        char *again = part_path(c->again, i, c->steps);
        unlink(again);
        unlink(c->part[i]);
        free(again);
        free(c->part[i]);
    }
    rmdir(c->folder);
    free(c->path);
    free(c->again);
    log_close(c->log);
    tokens_release(&c->tokens);
    optim_free(c->optim);
    model_release(&c->model);
    model_release(&c->teacher);
    free(c);
}

static void add(struct report *r, const struct shape *s, const char *what, double tokens,
                const struct series *t, double ratio, const char *against) {
    char *name = xasprintf("%s: %s", s->name, what);
    report_add(r, name, tokens / series_median(t), "tokens/s", ratio, against, series_spread(t));
    free(name);
}

void bench_cache(struct report *r, const struct shape *s) {
    struct cache_bench *c = cache_new(s);
    struct batch b = {0};
    struct series dump = {0}, alone = {0}, read = {0}, written = {0}, sft = {0}, distil = {0};
    shape_sequences(s, &b, s->tokens);
    struct replay *products = replay_new(&c->teacher, &b);
    size_t rounds = bench_quick() ? 1 : 2, turns = 2;
    struct others before = others_now();
    for (size_t i = 0; i < rounds; i++) {
        double start = bench_clock();
        for (size_t k = 0; k < 2 * c->steps; k++) replay_run(products, false);
        alone.at[alone.n++] = bench_clock() - start;
        dump.at[dump.n++] = dump_seconds(c);
        take_and_write(c, &read.at[i], &written.at[i]);
        read.n = written.n = i + 1;
    }
    replay_free(products);
    for (size_t i = 0; i < turns; i++) {
        train_sft(c, &sft);
        train_distil(c, &distil);
    }
    report_section(r, before);
    double step = (double)(c->batch * s->length), all = step * (double)c->steps;
    struct series steps = distil; // the read cache against as many steps
    steps.n = 1;
    steps.at[0] = series_median(&distil) * (double)c->steps;
    struct series once = {.n = 1, .at = {series_median(&read)}};
    add(r, s, "teacher-dump, 2 models", all, &dump, series_ratio(&alone, &dump),
        "their products alone");
    add(r, s, "coding and writing the cache", all, &written, series_ratio(&written, &dump),
        "time of the dump (aim < 0.05)");
    add(r, s, "distillation step from the cache", step, &distil, series_ratio(&distil, &sft),
        "time of an sft step, same tokens (aim < 1.05)");
    add(r, s, "reading and decoding the cache", all, &read, series_ratio(&once, &steps),
        "time of its steps (aim < 0.02)");
    batch_release(&b);
    cache_free(c);
}

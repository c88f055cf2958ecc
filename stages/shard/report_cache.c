// shard report --cache: a teacher cache that is there against its teachers, composed again.
#include "common/base/fail.h"
#include "common/base/parallel.h"
#include "common/base/stop.h"
#include "common/method/divergence.h"
#include "common/training/score.h"
#include "formats/bytes/json.h"
#include "formats/teachers/sources.h"
#include "stages/shard/cache_models.h"
#include "stages/shard/report.h"
#include <stdlib.h>
#include <string.h>

static const enum divergence_kind kinds[FIDELITY_KINDS] = {
    [FIDELITY_FKL] = DIVERGENCE_FKL, [FIDELITY_RKL] = DIVERGENCE_RKL};

struct cache_pass {
    const struct report_caches *c;
    struct teacher_info info;
    struct teacher_rule rule;
    struct teacher_shard shard;
    struct tokens tokens;
    size_t rows, *row; // (rows) of the shard
    size_t V;
    struct online_teachers *online, **student; // (students)
    struct batch batch;
    struct chunk chunk;
    float *star, **own; // (CHUNK_POSITIONS, V) log p*; each student's log p
    float *scratch;     // (threads, 4V)
    struct teacher_position live[CHUNK_POSITIONS];
    struct fidelity_sum *at;  // (CHUNK_POSITIONS, students, FIDELITY_KINDS)
    struct fidelity_sum *sum; // (students, FIDELITY_KINDS)
    size_t positions;
};

static struct fidelity_sum products(const float *g, const float *h, size_t n) {
    struct fidelity_sum s = {0};
    for (size_t i = 0; i < n; i++) {
        double x = (double)g[i], y = (double)h[i];
        s.gg += x * x;
        s.hh += y * y;
        s.gh += x * y;
    }
    return s;
}

// The position of the cache that is position i of the chunk.
static const struct teacher_position *stored(const struct cache_pass *p, size_t i) {
    size_t at = p->chunk.first + i;
    const struct response *y = &p->batch.response[p->batch.owner[at]];
    struct teacher_row row = teacher_shard_row(&p->shard, p->row[y->row]);
    return &row.position[at - y->first];
}

static void compare_position(void *self, size_t i) {
    struct cache_pass *p = self;
    size_t V = p->V, students = p->c->students;
    float *g = p->scratch + (size_t)parallel_self() * 4 * V, *h = g + V;
    const struct teacher_position *t = stored(p, i);
    for (size_t m = 0; m < students; m++)
        for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
            const struct divergence d = {.kind = kinds[kind]};
            double tail;
            memcpy(g, p->own[m] + i * V, V * sizeof *g);
            memcpy(h, p->own[m] + i * V, V * sizeof *h);
            divergence_dense(&d, g, V, p->star + i * V, 1);
            divergence_sparse(&d, h, V, t, 1, h + V, &tail);
            p->at[(i * students + m) * FIDELITY_KINDS + (size_t)kind] = products(g, h, V);
        }
}

// What the cache's recipe weighs position i of the chunk by in the loss, but for a constant.
static double weight(const struct cache_pass *p, size_t i) {
    if (strcmp(p->info.recipe, "published") != 0) return 1;
    const struct response *y = &p->batch.response[p->batch.owner[p->chunk.first + i]];
    return 1 / ((double)p->live[i].alpha * (double)y->count);
}

static void compare_chunk(struct cache_pass *p) {
    size_t numbers = p->c->students * FIDELITY_KINDS;
    const struct chunk *k = &p->chunk;
    online_teachers_compose(p->online, &p->batch, k->first, k->count, p->star, p->live);
    for (size_t m = 0; m < p->c->students; m++)
        online_teachers_reference(p->student[m], &p->batch, k->first, k->count, p->own[m]);
    parallel_for(k->count, compare_position, p);
    for (size_t i = 0; i < k->count * numbers; i++) {
        struct fidelity_sum *to = &p->sum[i % numbers];
        double w = weight(p, i / numbers);
        to->gg += w * w * p->at[i].gg;
        to->hh += w * w * p->at[i].hh;
        to->gh += w * w * p->at[i].gh;
    }
    p->positions += k->count;
}

static void compare_batch(struct cache_pass *p) {
    const struct batch *b = &p->batch;
    for (size_t i = 0; i < batch_chunks(b); i++) {
        p->chunk = batch_chunk(b, i);
        compare_chunk(p);
    }
}

static void compare_rows(struct cache_pass *p) {
    struct fail f = {0};
    struct source source;
    const struct report_caches *c = p->c;
    source_tokens(&source, &p->tokens);
    struct net_limits limits = score_limits(&source, c->micro_tokens);
    p->online = online_teachers_new(&c->teachers->models, &p->rule, &limits);
    p->student = xmalloc(c->students * sizeof *p->student);
    p->own = xmalloc(c->students * sizeof *p->own);
    for (size_t m = 0; m < c->students; m++) {
        p->student[m] =
            online_teachers_new(&(struct teacher_models){.ref = c->student[m]}, NULL, &limits);
        p->own[m] = xmalloc(CHUNK_POSITIONS * p->V * sizeof **p->own);
    }
    p->star = xmalloc(CHUNK_POSITIONS * p->V * sizeof *p->star);
    p->scratch = xmalloc((size_t)parallel_threads() * 4 * p->V * sizeof *p->scratch);
    for (size_t row = 0; row < p->rows && !stop_requested();) {
        row = score_fill(&p->batch, &source, row, p->rows, c->micro_tokens, &f);
        die_if(&f);
        compare_batch(p);
    }
    for (size_t m = 0; m < c->students; m++) {
        online_teachers_free(p->student[m]);
        free(p->own[m]);
    }
    online_teachers_free(p->online);
    void *all[] = {p->student, p->own, p->star, p->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    batch_release(&p->batch);
}

// In which precision teacher-dump ran the teachers.
static const char *precision_of(const struct columns_reader *r, struct json **options) {
    struct fail f = {0};
    const char *text = columns_artefact(r)->options;
    *options = json_parse(text, strlen(text), "options", &f);
    const char *name = json_text(json_get(*options, "precision"), NULL);
    return name ? name : "f32";
}

static void print_rows(struct cache_pass *p, struct columns_reader *r, const char *path) {
    double bytes = 0, alike = 0, entries = 0, all = (double)p->shard.position_first[p->shard.rows];
    struct json *options;
    const char *precision = precision_of(r, &options);
    report_count_stored(r, &bytes, &alike);
    for (size_t i = 0; i < (size_t)all; i++) entries += p->shard.position[i].n;
    for (size_t m = 0; m < p->c->students; m++) {
        str_printf(p->c->csv, "%s,%s,%d,%g,%zu,%zu,%.2f,%.3f,%zu", path, precision, p->info.bits,
                   p->info.error_budget, p->rows, p->positions, entries / all, bytes / all, m + 1);
        for (int kind = 0; kind < FIDELITY_KINDS; kind++) {
            const struct fidelity_sum *s = &p->sum[m * FIDELITY_KINDS + (size_t)kind];
            str_printf(p->c->csv, ",%.7f,%.6f", fidelity_cosine(s), fidelity_error(s));
        }
        str_puts(p->c->csv, "\n");
    }
    json_free(options);
}

static void check_ids(const struct cache_pass *p, const char *path) {
    for (size_t i = 0; i < p->shard.position_first[p->shard.rows]; i++)
        for (uint32_t k = 0; k < p->shard.position[i].n; k++)
            if ((size_t)p->shard.position[i].ids[k] >= p->V)
                die(EXIT_BADDATA, "'%s' has token %d, the models have %zu", path,
                    p->shard.position[i].ids[k], p->V);
}

void report_cache_begin(struct str *csv) {
    str_puts(csv, "file,precision,bits,error_budget,rows,positions,entries,bytes,student,"
                  "fkl_cosine,fkl_error,rkl_cosine,rkl_error\n");
}

static struct columns_reader *open_cache(const char *path, struct teacher_info *info,
                                         struct teacher_rule *rule) {
    struct fail f = {0};
    struct columns_reader *r = columns_open(path, "teacher", &f);
    if (r) teacher_info_read(info, r, &f);
    die_if(&f);
    if (!teacher_rule_alpha(info->rule, rule))
        die(EXIT_BADDATA, "'%s' does not say by what rule it was made", path);
    return r;
}

void report_cache_models(struct teachers *t, const char *path, struct parents *parents) {
    struct teacher_info info = {0};
    struct teacher_rule rule;
    columns_close(open_cache(path, &info, &rule));
    cache_models_load(t, &rule, path, parents);
    teacher_info_release(&info);
}

static size_t rows_of(const struct teachers *t, const char *path) {
    struct teacher_info info = {0};
    struct teacher_rule rule;
    struct columns_reader *r = open_cache(path, &info, &rule);
    cache_models_check(t, &rule, &info, r);
    size_t rows = columns_part(r).rows;
    teacher_info_release(&info);
    columns_close(r);
    return rows;
}

int report_cache_plan(const struct report_caches *c, const struct opt_list *files) {
    size_t rows = 0;
    for (size_t i = 0; i < files->n; i++) {
        size_t all = rows_of(c->teachers, files->items[i]);
        rows += all < c->rows ? all : c->rows;
    }
    print_result("caches\t%zu", files->n);
    print_result("rows\t%zu", rows);
    print_result("students\t%zu", c->students);
    return EXIT_DONE;
}

void report_cache(const struct report_caches *c, const char *path) {
    struct fail f = {0};
    struct cache_pass *p = xcalloc(1, sizeof *p);
    p->c = c;
    struct columns_reader *r = open_cache(path, &p->info, &p->rule);
    cache_models_check(c->teachers, &p->rule, &p->info, r);
    teacher_shard_load(&p->shard, r, &f);
    die_if(&f);
    p->V = c->teachers->dpo_model.model.config.vocab_used;
    check_ids(p, path);
    p->rows =
        cache_rows_choose(&p->shard, c->rows, c->seed, c->teachers, path, &p->tokens, &p->row);
    p->at = xcalloc(CHUNK_POSITIONS * c->students * FIDELITY_KINDS, sizeof *p->at);
    p->sum = xcalloc(c->students * FIDELITY_KINDS, sizeof *p->sum);
    compare_rows(p);
    print_rows(p, r, path);
    teacher_shard_release(&p->shard);
    teacher_info_release(&p->info);
    tokens_release(&p->tokens);
    columns_close(r);
    void *all[] = {p->row, p->at, p->sum, p};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

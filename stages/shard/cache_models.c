#include "stages/shard/cache_models.h"
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include <stdlib.h>
#include <string.h>

void cache_models_load(struct teachers *t, const struct teacher_rule *rule, const char *path,
                       struct parents *parents) {
    struct fail f = {0};
    if (t->models.dpo) return;
    if (rule->negative_reverse && !t->reverse)
        die(EXIT_USAGE, "'%s' was made with --negative reverse; give --reverse MODEL", path);
    if ((!rule->negative_reverse || !rule->base_dpo) && !t->ref)
        die(EXIT_USAGE, "'%s' was made with the reference model; give --ref MODEL", path);
    teachers_check(t, rule, &f);
    die_if(&f);
    teachers_load(t, rule, false, parents, &f);
    die_if(&f);
}

void cache_models_check(const struct teachers *t, const struct teacher_rule *rule,
                        const struct teacher_info *i, const struct columns_reader *r) {
    const struct model_file *m = &t->dpo_model;
    const struct teacher_models *models = &t->models;
    const char *path = columns_path(r);
    if (m->model.config.vocab_used > i->vocab || !hash_equal(m->tokenizer, i->tokenizer))
        die(EXIT_BADDATA,
            "'%s' has another vocabulary or tokenizer than '%s'; give the models it was dumped "
            "from",
            path, t->dpo);
    if ((rule->negative_reverse && !models->reverse) ||
        ((!rule->negative_reverse || !rule->base_dpo) && !models->ref))
        die(EXIT_BADDATA, "'%s' was made by another rule than the first file; give it alone", path);
    const struct artefact *a = columns_artefact(r);
    bool named = strcmp(a->stage, "teacher-dump") != 0;
    for (size_t k = 0; k < a->parents.n; k++)
        named = named || hash_equal(a->parents.items[k].hash, m->content);
    if (!named) warn("'%s' does not name '%s' among the models it was dumped from", path, t->dpo);
}

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void add_row(struct tokens *t, size_t i, const struct teacher_row *row) {
    size_t at = t->first[i];
    t->first[i + 1] = at + row->n;
    t->ids = xrealloc(t->ids, (at + row->n + 1) * sizeof *t->ids);
    t->mask = xrealloc(t->mask, at + row->n + 1);
    memcpy(t->ids + at, row->ids, row->n * sizeof *t->ids);
    memcpy(t->mask + at, row->mask, row->n);
    t->prompt_length[i] = (int32_t)row->prompt_length;
    if (row->n > t->longest) t->longest = row->n;
}

size_t cache_rows_choose(const struct teacher_shard *s, size_t n, int64_t seed,
                         const struct teachers *models, const char *path, struct tokens *t,
                         size_t **row) {
    const struct model_config *c = &models->dpo_model.model.config;
    size_t *order = xmalloc((s->rows + 1) * sizeof *order);
    rng_permute((uint64_t)seed, RNG_SPLIT, 0, s->rows, order);
    if (n > s->rows) n = s->rows;
    qsort(order, n, sizeof *order, ascending);
    *t = (struct tokens){.kind = TOKENS_SFT, .vocab = c->vocab_used, .rows = n, .parts = 1};
    t->first = xcalloc(n + 1, sizeof *t->first);
    t->prompt_length = xcalloc(n + 1, sizeof *t->prompt_length);
    t->part_rows = xcalloc(1, sizeof *t->part_rows);
    t->part_rows[0] = n;
    for (size_t i = 0; i < n; i++) {
        struct teacher_row of = teacher_shard_row(s, order[i]);
        add_row(t, i, &of);
    }
    if (t->longest > c->max_positions)
        die(EXIT_BADDATA, "'%s' has rows of %zu tokens, the model has %zu positions", path,
            t->longest, c->max_positions);
    *row = order;
    return n;
}

#include "formats/records/prompts.h"
#include <stdlib.h>
#include <string.h>

struct list {
    struct ids ids;
    size_t rows, capacity;
    size_t *first;
};

struct reading {
    const struct encoder *e;
    struct field_map map; // empty
    enum shape shape;
    const char *path; // of the shape
    struct example example;
    struct encoded tokens;
};

// A file's shape, from its first row that has one without a doubt.
static enum shape shape_of(struct reading *r, struct record *row) {
    bool sure = true;
    if (r->path && !strcmp(r->path, row->path)) return r->shape;
    enum shape shape = shape_tell(row, DATA_PROMPT, &r->map, &sure);
    if (shape == SHAPE_AUTO || !sure) return shape;
    r->path = row->path;
    return r->shape = shape;
}

static bool add_row(struct list *l, struct reading *r, struct record *row) {
    enum shape shape = shape_of(r, row);
    if (shape == SHAPE_AUTO || !shape_read(row, shape, DATA_PROMPT, &r->map, &r->example) ||
        !encode(r->e, row, &r->example, &r->tokens))
        return false;
    grow(&l->first, &l->capacity, l->rows + 2, sizeof *l->first);
    l->first[0] = 0;
    encoded_add(&l->ids, r->tokens.ids.id, r->tokens.ids.n);
    l->first[++l->rows] = l->ids.n;
    return true;
}

static void finish(struct tokens *t, struct list *l, const struct model_file *m) {
    *t = (struct tokens){.kind = TOKENS_PROMPT,
                         .rows = l->rows,
                         .vocab = m->model.config.vocab_used,
                         .first = l->first,
                         .ids = l->ids.id,
                         .tokenizer = m->tokenizer,
                         .parts = 1};
    t->mask = xcalloc(l->ids.n, 1);
    for (size_t i = 0; i < l->ids.n; i++)
        if ((size_t)l->ids.id[i] >= t->top) t->top = (size_t)l->ids.id[i] + 1;
    t->prompt_length = xmalloc((l->rows + 1) * sizeof *t->prompt_length);
    t->part_rows = xmalloc(sizeof *t->part_rows);
    t->part_rows[0] = l->rows;
    for (size_t i = 0; i < l->rows; i++) {
        size_t n = l->first[i + 1] - l->first[i];
        t->prompt_length[i] = (int32_t)n;
        if (n > t->longest) t->longest = n;
    }
    // The prompts have no file of their own: their ids stand for it.
    struct hash128 ids = hash_bytes(l->ids.id, l->ids.n * sizeof *l->ids.id);
    struct hash128 rows = hash_bytes(l->first, (l->rows + 1) * sizeof *l->first);
    parents_add(&t->parents, "prompts", (struct hash128){ids.high ^ rows.low, ids.low ^ rows.high});
}

bool prompts_read(struct tokens *t, size_t n, const char *const *paths, const struct encoder *e,
                  const struct model_file *m, struct fail *f) {
    struct list l = {0};
    struct record row = {0};
    struct reading reading = {.e = e};
    struct records *r = records_open(n, paths, SYNTAX_AUTO, f);
    while (!f->code && records_next(r, &row)) {
        if (!record_parse(&row) || !add_row(&l, &reading, &row)) fail_pass(f, &row.bad);
    }
    record_release(&row);
    example_release(&reading.example);
    encoded_release(&reading.tokens);
    if (r) records_close(r);
    if (!f->code && !l.rows) fail_set(f, EXIT_BADDATA, "no rows in '%s'; nothing to do", paths[0]);
    if (f->code) {
        ids_release(&l.ids);
        free(l.first);
        return false;
    }
    finish(t, &l, m);
    return true;
}

#include "formats/records/prompts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
    struct ids ids;
    size_t rows, capacity;
    size_t *first;
};

struct reading {
    const struct encoder *e;
    bool skip_bad;
    struct ledger *ledger;
    struct field_map map; // empty
    struct text_rules rules;
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

static bool encode_row(struct reading *r, struct record *row) {
    enum shape shape = record_parse(row) ? shape_of(r, row) : SHAPE_AUTO;
    return shape != SHAPE_AUTO && shape_read(row, shape, DATA_PROMPT, &r->map, &r->example) &&
           texts_check(row, DATA_PROMPT, &r->rules, &r->example) &&
           encode(r->e, row, &r->example, &r->tokens);
}

static void drop_long(struct reading *r, const struct record *row) {
    char limit[60], name[200];
    snprintf(limit, sizeof limit, "the %zu that leave room for a response", r->e->max_length);
    snprintf(name, sizeof name, "'%.150s' line %zu", row->path, row->line);
    ledger_long(r->ledger, r->e->on_long != LONG_ERROR, name, r->tokens.longest, r->e->max_length,
                limit);
}

static void add_row(struct list *l, struct reading *r, struct record *row) {
    r->ledger->rows_in++;
    if (!encode_row(r, row)) {
        ledger_bad(r->ledger, r->skip_bad, row->bad.text);
        return;
    }
    if (r->tokens.dropped) {
        drop_long(r, row);
        return;
    }
    r->ledger->rows_used++;
    r->ledger->truncated += r->tokens.truncated;
    ledger_unused_fields(r->ledger, row, &r->example);
    grow(&l->first, &l->capacity, l->rows + 2, sizeof *l->first);
    l->first[0] = 0;
    encoded_add(&l->ids, r->tokens.ids.id, r->tokens.ids.n);
    l->first[++l->rows] = l->ids.n;
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
                  bool skip_bad, const struct model_file *m, struct ledger *ledger,
                  struct fail *f) {
    struct list l = {0};
    struct record row = {0};
    struct reading reading = {
        .e = e, .skip_bad = skip_bad, .ledger = ledger, .rules = encoder_text_rules(e)};
    struct records *r = records_open(n, paths, SYNTAX_AUTO, f);
    while (!f->code && records_next(r, &row)) add_row(&l, &reading, &row);
    record_release(&row);
    example_release(&reading.example);
    encoded_release(&reading.tokens);
    if (r) records_close(r);
    if (!f->code) ledger_check(ledger, skip_bad, e->on_long != LONG_ERROR, f);
    if (!f->code && !l.rows)
        fail_set(f, EXIT_BADDATA, "no prompts in '%s' (%llu rows read%s%s); nothing to do",
                 paths[0], (unsigned long long)ledger->rows_in, ledger->bad ? ", first " : "",
                 ledger->first_bad);
    if (f->code) {
        ids_release(&l.ids);
        free(l.first);
        return false;
    }
    finish(t, &l, m);
    return true;
}

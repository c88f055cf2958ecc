#include "formats/records/dataset.h"
#include "common/base/clock.h"
#include "common/base/parallel.h"
#include "common/base/stop.h"
#include "formats/records/pair_set.h"
#include "formats/records/records.h"
#include "formats/tokens/tokens.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_ROWS = 512, BATCH_BYTES = 8 << 20 };

struct slot { // a row on its way
    struct record row;
    struct example example;
    struct encoded tokens;
    enum shape shape; // AUTO: bad
    int part;
    uint64_t index, key; // key: of a pair
};

struct run {
    struct dataset *d;
    struct records *records;
    struct slot *slots;
    size_t n;
    uint64_t read;               // rows taken from the reader
    uint64_t done[LEDGER_PARTS]; // rows each writer has seen
    const char *path;            // of the shape
    enum shape shape;
    struct text_rules rules;
    struct pair_set pairs; // all that were read
    struct fail *f;
};

struct state { // what a checkpoint keeps
    uint64_t rows;
    struct ledger ledger;
};

// ---- reading ------------------------------------------------------------------------------------

static const char *shown_name(const struct dataset *d, const char *path) {
    for (size_t i = 0; d->names && i < d->n_paths; i++)
        if (!strcmp(d->paths[i], path)) return d->names[i];
    return path;
}

// A file's shape, from its first row that has one without a doubt; a CSV's first row decides.
static bool tell_shape(struct run *r, struct slot *s) {
    bool sure = true;
    s->shape = r->shape;
    if (r->path && !strcmp(r->path, s->row.path)) return true;
    s->shape = r->d->shape;
    if (s->shape == SHAPE_AUTO && record_parse(&s->row))
        s->shape = shape_tell(&s->row, r->d->encoder.kind, &r->d->map, &sure);
    bool named = s->shape == SHAPE_AUTO && s->row.header && s->row.used_n; // not a broken row
    if (named) return fail_pass(r->f, &s->row.bad);
    if (s->shape == SHAPE_AUTO || !sure) return true;
    r->shape = s->shape;
    r->path = s->row.path;
    log_note(r->d->log, "'%s': %s, shape %s", r->path, records_syntax(r->records),
             shape_name(r->shape));
    return true;
}

static bool read_batch(struct run *r) {
    size_t bytes = 0;
    for (r->n = 0; r->n < BATCH_ROWS && bytes < BATCH_BYTES; r->n++) {
        struct slot *s = &r->slots[r->n];
        if (!records_next(r->records, &s->row)) break;
        s->row.path = shown_name(r->d, s->row.path);
        if (!tell_shape(r, s)) return false;
        s->index = r->read++;
        bytes += s->row.cells.text.length;
    }
    return !r->f->code;
}

static bool read_row(struct run *r, struct slot *s) {
    s->key = 0;
    if (!record_parse(&s->row) ||
        !shape_read(&s->row, s->shape, r->d->encoder.kind, &r->d->map, &s->example))
        return false;
    if (r->d->lf) example_lf(&s->example);
    if (r->d->encoder.kind == DATA_PREF) s->key = pair_key(&s->example);
    return true;
}

static bool twice(const struct ids *ids, int32_t id, bool end) {
    size_t at = end ? ids->n - 2 : 0;
    return id >= 0 && ids->n > 1 && ids->id[at] == id && ids->id[at + 1] == id;
}

static bool check_ends(struct slot *s, const struct encoder *e) {
    const struct encoded *x = &s->tokens;
    if (twice(&x->ids, e->bos, false)) return row_bad(&s->row, "it begins with BOS twice");
    if (twice(&x->ids, e->eos, true) || twice(&x->chosen, e->eos, true) ||
        twice(&x->rejected, e->eos, true))
        return row_bad(&s->row, "it ends with EOS twice");
    return true;
}

static void work(void *self, size_t i) {
    struct run *r = self;
    struct slot *s = &r->slots[i];
    const struct encoder *e = &r->d->encoder;
    s->part = 0;
    if (!read_row(r, s)) return;
    if (!texts_check(&s->row, e->kind, &r->rules, &s->example)) return;
    if (r->d->valid > 0) s->part = example_key(&s->example) < r->d->valid;
    if (encode(e, &s->row, &s->example, &s->tokens)) check_ends(s, e);
}

static void work_again(void *self, size_t i) { // of rows that were taken before the last stop
    struct run *r = self;
    read_row(r, &r->slots[i]);
}

// ---- writing ------------------------------------------------------------------------------------

static bool ends_with_eos(const struct encoder *e, const struct ids *ids) {
    return ids->n && ids->id[ids->n - 1] == e->eos;
}

static void count(struct run *r, const struct slot *s, size_t pieces) {
    struct ledger *l = &r->d->ledger;
    const struct encoder *e = &r->d->encoder;
    const struct encoded *x = &s->tokens;
    l->rows_used++;
    if (x->longest > l->longest) l->longest = x->longest;
    l->truncated += x->truncated;
    l->split += pieces > 1;
    l->rows_out[s->part] += pieces;
    l->tokens[s->part] += x->ids.n + x->chosen.n + x->rejected.n;
    l->trained[s->part] += x->chosen.n + x->rejected.n;
    for (size_t i = 0; i < x->mask.length; i++) l->trained[s->part] += x->mask.text[i] == 1;
    l->with_bos += e->bos >= 0 && x->ids.n && x->ids.id[0] == e->bos;
    l->bos_added += x->bos_added;
    l->with_eos += e->kind == DATA_PREF
                       ? ends_with_eos(e, &x->chosen) && ends_with_eos(e, &x->rejected)
                       : ends_with_eos(e, &x->ids);
    const struct ids *all[] = {&x->ids, &x->chosen, &x->rejected};
    for (size_t i = 0; i < 3; i++)
        tokenizer_count_unknown(e->tokenizer, all[i]->id, all[i]->n, &l->unknown, &l->bytes);
    ledger_unused_fields(l, &s->row, &s->example);
}

static bool write_pieces(struct columns_writer *w, const struct encoder *e,
                         const struct encoded *x) {
    bool ok = true;
    for (size_t i = 0; ok && i < encoded_pieces(e, x); i++) {
        size_t first, n;
        encoded_piece(e, x, i, &first, &n);
        char kept = x->mask.text[first];
        if (e->kind == DATA_TEXT) x->mask.text[first] = 0;
        ok = tokens_write(w, x->ids.id + first, (const uint8_t *)x->mask.text + first, n,
                          x->prompt_length);
        x->mask.text[first] = kept;
    }
    return ok;
}

static bool write_row(struct columns_writer *w, const struct encoder *e, const struct encoded *x) {
    if (e->kind != DATA_PREF) return write_pieces(w, e, x);
    return pairs_write(w, x->ids.id, x->ids.n, x->chosen.id, x->chosen.n, x->rejected.id,
                       x->rejected.n);
}

static bool same_tokens(const struct encoded *x) {
    return x->chosen.n && x->chosen.n == x->rejected.n &&
           !memcmp(x->chosen.id, x->rejected.id, x->chosen.n * sizeof *x->chosen.id);
}

// Whether a pair stays; what is odd about it is counted. example: what names it.
static bool keep_pair(struct run *r, const struct slot *s, const char *name) {
    const struct dataset *d = r->d;
    struct ledger *l = &r->d->ledger;
    const struct example *x = &s->example;
    double margin = x->score_chosen - x->score_rejected;
    enum pair_seen seen = pair_set_add(&r->pairs, s->key);
    if (same_tokens(&s->tokens)) {
        bool cut = d->encoder.max_length && s->tokens.longest > d->encoder.max_length;
        ledger_count(l, d->keep_equal ? "kept" : "dropped",
                     cut ? "chosen and rejected are the same where they are cut"
                         : "chosen and rejected are the same",
                     name);
        return d->keep_equal;
    }
    if (x->scored && margin < d->min_margin) {
        ledger_count(l, "dropped", "scores closer than --min-margin", name);
        return false;
    }
    if (x->scored && margin <= 0)
        ledger_count(l, "kept", "rejected is scored as high as chosen, or higher (--min-margin)",
                     name);
    if (seen == PAIR_CONTRADICTED)
        ledger_count(l, "kept", "an earlier row prefers the other response", name);
    if (seen == PAIR_AGAIN) ledger_count(l, "kept", "an earlier row is the same pair", name);
    return true;
}

static bool scores_missing(const struct run *r, struct slot *s) {
    if (s->row.bad.code || s->example.scored || !(r->d->min_margin > -INFINITY)) return false;
    return !row_bad(&s->row, "no score_chosen and score_rejected for --min-margin");
}

static void drop_long(struct dataset *d, const char *name, size_t tokens) {
    char limit[60];
    snprintf(limit, sizeof limit, "the --max-length of %zu", d->encoder.max_length);
    ledger_long(&d->ledger, d->encoder.on_long != LONG_ERROR, name, tokens, d->encoder.max_length,
                limit);
}

static bool add_row(struct run *r, struct slot *s) {
    struct dataset *d = r->d;
    struct ledger *l = &d->ledger;
    const struct encoded *x = &s->tokens;
    char name[200];
    snprintf(name, sizeof name, "'%.150s' line %zu", s->row.path, s->row.line);
    l->rows_in++;
    if (s->row.bad.code || scores_missing(r, s)) {
        ledger_bad(l, d->skip_bad, s->row.bad.text);
        return true;
    }
    if (x->dropped && x->no_room)
        ledger_count(l, "dropped", "no room for a response after the prompt", name);
    else if (x->dropped)
        drop_long(d, name, x->longest);
    if (x->dropped || (s->key && !keep_pair(r, s, name))) return true;
    if (x->special_text)
        ledger_count(l, "kept", "special tokens written out in it are text (--parse-special)",
                     name);
    if (x->joined)
        ledger_count(l, "kept", "an answer that would join its prompt's last token stands apart",
                     name);
    if (s->index < d->show) dataset_show(d, &s->row, x);
    count(r, s, encoded_pieces(&d->encoder, x));
    struct columns_writer *w = d->writer[s->part];
    bool fails = (l->bad && !d->skip_bad) || (l->too_long && d->encoder.on_long == LONG_ERROR);
    if (!w || fails || s->index < r->done[s->part]) return true;
    return write_row(w, &d->encoder, x) || fail_pass(r->f, columns_fail(w));
}

// ---- stopping and continuing --------------------------------------------------------------------

static bool save(struct run *r) {
    struct state s = {.rows = r->read, .ledger = r->d->ledger}; // 20 KiB
    for (int i = 0; i < LEDGER_PARTS; i++) {
        struct columns_writer *w = r->d->writer[i];
        if (r->read < r->done[i] || !w) continue; // it is ahead since before the last stop
        if (!columns_checkpoint(w, &s, sizeof s)) return fail_pass(r->f, columns_fail(w));
    }
    return true;
}

// Rows that were taken before the last stop: their shapes and pairs are known again.
static void read_again(struct run *r, uint64_t rows) {
    while (!r->f->code && r->read < rows) {
        for (r->n = 0; r->n < BATCH_ROWS && r->read < rows; r->n++, r->read++) {
            struct slot *s = &r->slots[r->n];
            if (!records_next(r->records, &s->row)) return;
            s->row.path = shown_name(r->d, s->row.path);
            if (!tell_shape(r, s)) return;
        }
        if (r->d->encoder.kind != DATA_PREF) continue;
        parallel_for(r->n, work_again, r);
        for (size_t i = 0; i < r->n; i++)
            if (r->slots[i].key) pair_set_add(&r->pairs, r->slots[i].key);
    }
}

// The writer that has fewer rows says where to continue; rows that the other one has are skipped.
static void restore(struct run *r) {
    struct state *first = xcalloc(2, sizeof *first), *s = first + 1;
    first->rows = UINT64_MAX;
    for (int i = 0; i < LEDGER_PARTS; i++) {
        size_t n = 0;
        const void *bytes = r->d->writer[i] ? columns_state(r->d->writer[i], &n) : NULL;
        *s = (struct state){0};
        if (bytes && n == sizeof *s) memcpy(s, bytes, n);
        if (bytes && (n != sizeof *s || !ledger_is_sound(&s->ledger)))
            fail_set(r->f, EXIT_FAILED,
                     "what the stopped run has left is damaged; give --force to start again");
        r->done[i] = s->rows;
        if (r->d->writer[i] && s->rows < first->rows) *first = *s;
    }
    if (!r->f->code && first->rows && first->rows != UINT64_MAX) {
        r->d->ledger = first->ledger;
        log_note(r->d->log, "continuing after row %llu", (unsigned long long)first->rows);
        read_again(r, first->rows);
    }
    free(first);
}

static int run(struct run *r) {
    double saved = clock_seconds();
    bool written = r->d->writer[0] != NULL;
    for (restore(r); !r->f->code && read_batch(r) && r->n;) {
        parallel_for(r->n, work, r);
        for (size_t i = 0; i < r->n && !r->f->code; i++) add_row(r, &r->slots[i]);
        if (r->f->code) break;
        log_progress(r->d->log, "row", r->d->ledger.rows_in, 0, NULL);
        bool stop = stop_requested(), due = clock_seconds() - saved >= r->d->checkpoint_seconds;
        if (written && (stop || due) && !save(r)) break;
        if (stop) return EXIT_STOPPED;
        if (due) saved = clock_seconds();
    }
    ledger_check(&r->d->ledger, r->d->skip_bad, r->d->encoder.on_long != LONG_ERROR, r->f);
    return r->f->code;
}

int dataset_run(struct dataset *d, struct fail *f) {
    struct run r = {.d = d, .f = f, .slots = xcalloc(BATCH_ROWS, sizeof *r.slots)};
    r.rules = encoder_text_rules(&d->encoder);
    r.records = records_open(d->n_paths, d->paths, d->syntax, f);
    int code = run(&r);
    log_end_progress(d->log);
    for (size_t i = 0; i < BATCH_ROWS; i++) {
        record_release(&r.slots[i].row);
        example_release(&r.slots[i].example);
        encoded_release(&r.slots[i].tokens);
    }
    free(r.slots);
    pair_set_release(&r.pairs);
    records_close(r.records);
    return code;
}

#include "formats/records/dataset.h"
#include "common/base/clock.h"
#include "common/base/parallel.h"
#include "common/base/stop.h"
#include "formats/records/records.h"
#include "formats/tokens/tokens.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_ROWS = 512, BATCH_BYTES = 8 << 20, WARNINGS = 10 };

struct slot { // a row on its way
    struct record row;
    struct example example;
    struct encoded tokens;
    enum shape shape;
    int part;
    uint64_t index;
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

// A file's shape, from its first row that can be read at all.
static bool tell_shape(struct run *r, struct record *row) {
    if (r->path && !strcmp(r->path, row->path)) return true;
    if (r->d->shape != SHAPE_AUTO)
        r->shape = r->d->shape;
    else if (!record_parse(row))
        return true;
    else
        r->shape = shape_tell(row, r->d->encoder.kind, &r->d->map);
    if (r->shape == SHAPE_AUTO) return fail_pass(r->f, &row->bad);
    r->path = row->path;
    log_note(r->d->log, "'%s': %s, shape %s", row->path, records_syntax(r->records),
             shape_name(r->shape));
    return true;
}

static bool read_batch(struct run *r) {
    size_t bytes = 0;
    for (r->n = 0; r->n < BATCH_ROWS && bytes < BATCH_BYTES; r->n++) {
        struct slot *s = &r->slots[r->n];
        if (!records_next(r->records, &s->row)) break;
        s->row.path = shown_name(r->d, s->row.path);
        if (!tell_shape(r, &s->row)) return false;
        s->shape = r->shape;
        s->index = r->read++;
        bytes += s->row.cells.text.length;
    }
    return !r->f->code;
}

static void work(void *self, size_t i) {
    struct run *r = self;
    struct slot *s = &r->slots[i];
    s->part = 0;
    if (!record_parse(&s->row) ||
        !shape_read(&s->row, s->shape, r->d->encoder.kind, &r->d->map, &s->example))
        return;
    const char *beyond = example_beyond_text(&s->example);
    if (beyond && !row_bad(&s->row, "it holds %s, which the template cannot show", beyond)) return;
    if (r->d->valid > 0) s->part = example_key(&s->example) < r->d->valid;
    encode(&r->d->encoder, &s->row, &s->example, &s->tokens);
}

// ---- writing ------------------------------------------------------------------------------------

static bool ends_with_eos(const struct encoder *e, const struct ids *ids) {
    return ids->n && ids->id[ids->n - 1] == e->eos;
}

static void count(struct run *r, const struct slot *s, size_t pieces) {
    struct ledger *l = &r->d->ledger;
    const struct encoder *e = &r->d->encoder;
    const struct encoded *x = &s->tokens;
    l->truncated += x->truncated;
    l->split += pieces > 1;
    l->rows_out[s->part] += pieces;
    l->tokens[s->part] += x->ids.n + x->chosen.n + x->rejected.n;
    l->trained[s->part] += x->chosen.n + x->rejected.n;
    for (size_t i = 0; i < x->mask.length; i++) l->trained[s->part] += x->mask.text[i] == 1;
    l->with_bos += e->bos >= 0 && x->ids.n && x->ids.id[0] == e->bos;
    l->with_eos += e->kind == DATA_PREF
                       ? ends_with_eos(e, &x->chosen) && ends_with_eos(e, &x->rejected)
                       : ends_with_eos(e, &x->ids);
    l->same += x->chosen.n && x->chosen.n == x->rejected.n &&
               !memcmp(x->chosen.id, x->rejected.id, x->chosen.n * sizeof *x->chosen.id);
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

// A row that cannot be used: counted and said, or the end.
static bool take_bad(struct run *r, const struct slot *s) {
    struct ledger *l = &r->d->ledger;
    if (!r->d->skip_bad) {
        fail_set(r->f, s->row.bad.code, "%s; mend it or pass --on-bad skip", s->row.bad.text);
        return false;
    }
    if (l->bad < WARNINGS) log_note(r->d->log, "skipped: %s", s->row.bad.text);
    if (l->bad == WARNINGS) log_note(r->d->log, "further skipped rows are only counted");
    ledger_bad(l, s->row.bad.text);
    return true;
}

static bool take(struct run *r, const struct slot *s) {
    struct ledger *l = &r->d->ledger;
    const struct encoded *x = &s->tokens;
    l->rows_in++;
    if (s->row.bad.code) return take_bad(r, s);
    if (x->longest > l->longest) l->longest = x->longest;
    if (x->dropped) {
        l->no_room += x->no_room;
        l->long_dropped += !x->no_room;
        return true;
    }
    if (s->index < r->d->show) dataset_show(r->d, &s->row, x);
    count(r, s, encoded_pieces(&r->d->encoder, x));
    struct columns_writer *w = r->d->writer[s->part];
    if (!w || s->index < r->done[s->part]) return true;
    return write_row(w, &r->d->encoder, x) || fail_pass(r->f, columns_fail(w));
}

// ---- stopping and going on ----------------------------------------------------------------------

static bool save(struct run *r) {
    struct state s = {.rows = r->read, .ledger = r->d->ledger};
    for (int i = 0; i < LEDGER_PARTS; i++) {
        struct columns_writer *w = r->d->writer[i];
        if (r->read < r->done[i] || !w) continue; // it is ahead since before the last stop
        if (!columns_checkpoint(w, &s, sizeof s)) return fail_pass(r->f, columns_fail(w));
    }
    return true;
}

// The writer that is behind says where to go on; the other one's rows are passed over.
static void restore(struct run *r) {
    struct state first = {.rows = UINT64_MAX};
    for (int i = 0; i < LEDGER_PARTS; i++) {
        size_t n = 0;
        const void *bytes = r->d->writer[i] ? columns_state(r->d->writer[i], &n) : NULL;
        struct state s = {0};
        if (bytes && n == sizeof s) memcpy(&s, bytes, n);
        r->done[i] = s.rows;
        if (r->d->writer[i] && s.rows < first.rows) first = s;
    }
    if (!first.rows || first.rows == UINT64_MAX) return;
    r->d->ledger = first.ledger;
    log_note(r->d->log, "going on after row %llu", (unsigned long long)first.rows);
    while (r->read < first.rows && records_next(r->records, &r->slots->row)) {
        r->slots->row.path = shown_name(r->d, r->slots->row.path);
        if (!tell_shape(r, &r->slots->row)) return;
        r->read++;
    }
}

static int run(struct run *r) {
    double saved = clock_seconds();
    bool written = r->d->writer[0] != NULL;
    for (restore(r); !r->f->code && read_batch(r) && r->n;) {
        parallel_for(r->n, work, r);
        for (size_t i = 0; i < r->n && !r->f->code; i++) take(r, &r->slots[i]);
        if (r->f->code) break;
        log_progress(r->d->log, "row", r->d->ledger.rows_in, 0, NAN);
        bool stop = stop_requested(), due = clock_seconds() - saved >= r->d->checkpoint_seconds;
        if (written && (stop || due) && !save(r)) break;
        if (stop) return EXIT_STOPPED;
        if (due) saved = clock_seconds();
    }
    return r->f->code;
}

int dataset_run(struct dataset *d, struct fail *f) {
    struct run r = {.d = d, .f = f, .slots = xcalloc(BATCH_ROWS, sizeof *r.slots)};
    r.records = records_open(d->n_paths, d->paths, d->syntax, f);
    int code = run(&r);
    log_end_progress(d->log);
    for (size_t i = 0; i < BATCH_ROWS; i++) {
        record_release(&r.slots[i].row);
        example_release(&r.slots[i].example);
        encoded_release(&r.slots[i].tokens);
    }
    free(r.slots);
    records_close(r.records);
    return code;
}

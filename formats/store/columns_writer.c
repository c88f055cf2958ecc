#include "formats/store/columns_private.h"
#include "formats/store/h5.h"
#include "formats/store/spool.h"
#include "formats/store/zfilter.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pending { // the unfinished chunk of a column
    unsigned char *bytes;
    size_t n;       // elements in it
    uint64_t index; // of this chunk in the part
};

struct columns_writer {
    char *path, *spool_path, *kind, *stage, *options;
    struct lineage lineage; // of the copies above
    size_t n, n_attrs, n_blobs;
    struct column *columns;
    struct columns_attr *attrs;
    struct columns_blob *blobs;
    struct columns_plan plan;
    struct columns_parts parts;
    size_t first, share; // rows of this run: first .. first+share-1, share 0: not known
    size_t rows;         // of it, so far
    struct pending *pending;
    struct spool *spool;
    struct str state;
    unsigned char *encoded;
    struct hash128 content;
    struct fail *fail;
};

static bool alive(const struct columns_writer *w) {
    return w && !w->fail->code;
}

// ---- copies of what the caller gave, sorted by name

static int attr_by_name(const void *a, const void *b) {
    return strcmp(((const struct columns_attr *)a)->name, ((const struct columns_attr *)b)->name);
}

static int blob_by_name(const void *a, const void *b) {
    return strcmp(((const struct columns_blob *)a)->name, ((const struct columns_blob *)b)->name);
}

static void copy_lineage(struct columns_writer *w, const struct lineage *l) {
    w->kind = xstrdup(l->kind);
    w->stage = xstrdup(l->stage);
    w->options = xstrdup(l->options ? l->options : "{}");
    w->lineage = (struct lineage){.kind = w->kind, .stage = w->stage, .options = w->options};
    w->lineage.version = l->version ? l->version : artefact_version(l->kind);
    parents_add_all(&w->lineage.parents, &l->parents);
}

static void copy_extras(struct columns_writer *w, const struct columns_attr *attrs,
                        const struct columns_blob *blobs) {
    for (size_t i = 0; i < w->n_attrs; i++) {
        w->attrs[i] = attrs[i];
        w->attrs[i].name = xstrdup(attrs[i].name);
        if (attrs[i].text) w->attrs[i].text = xstrdup(attrs[i].text);
    }
    for (size_t i = 0; i < w->n_blobs; i++) {
        void *bytes = xmalloc(blobs[i].n);
        if (blobs[i].n) memcpy(bytes, blobs[i].bytes, blobs[i].n);
        w->blobs[i] = (struct columns_blob){xstrdup(blobs[i].name), bytes, blobs[i].n};
    }
    if (w->n_attrs) qsort(w->attrs, w->n_attrs, sizeof *w->attrs, attr_by_name);
    if (w->n_blobs) qsort(w->blobs, w->n_blobs, sizeof *w->blobs, blob_by_name);
}

static void copy_columns(struct columns_writer *w, const struct column *columns) {
    size_t largest = COLUMN_BLOB_CHUNK;
    for (size_t i = 0; i < w->n; i++) {
        size_t bytes = COLUMN_CHUNK * column_size(columns[i].type);
        w->columns[i] = (struct column){xstrdup(columns[i].name), columns[i].type};
        w->pending[i].bytes = xmalloc(bytes);
        if (bytes > largest) largest = bytes;
    }
    w->encoded = xmalloc(zfilter_bound(largest));
}

static void writer_free(struct columns_writer *w) {
    for (size_t i = 0; i < w->n; i++) {
        free((char *)w->columns[i].name);
        free(w->pending[i].bytes);
    }
    for (size_t i = 0; i < w->n_attrs; i++) {
        free((char *)w->attrs[i].name);
        free((char *)w->attrs[i].text);
    }
    for (size_t i = 0; i < w->n_blobs; i++) {
        free((char *)w->blobs[i].name);
        free((void *)w->blobs[i].bytes);
    }
    void *owned[] = {w->columns, w->pending,    w->attrs, w->blobs, w->encoded,
                     w->path,    w->spool_path, w->kind,  w->stage, w->options};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    parents_release(&w->lineage.parents);
    str_release(&w->state);
    free(w);
}

// ---- chunks to the spool

static uint64_t part_of(const struct columns_writer *w, size_t row) {
    return (w->first + row) / w->parts.per;
}

// Into w->encoded; its length, 0 with the failure set.
static size_t encode(struct columns_writer *w, const void *raw, size_t n, size_t size) {
    size_t made = zfilter_encode(raw, n, size, w->plan.zstd_level, w->encoded);
    if (!made) fail_set(w->fail, EXIT_FAILED, "out of memory: %zu bytes cannot be compressed", n);
    return made;
}

// The pending chunk of a column: a short one is padded with zeros, unless it is the part's only
// one. It is compressed here and now: zstd took 0.9 % of the dump of a model of 0.7 million
// parameters (V 2048, level 3; all of coding and writing 4.5 %), and less of every larger one, so
// that threads for it would gain nothing.
static bool flush_chunk(struct columns_writer *w, size_t c, uint64_t part) {
    struct pending *p = &w->pending[c];
    size_t size = column_size(w->columns[c].type), n = p->n;
    struct spool_entry e = {.part = part,
                            .index = p->index,
                            .elements = n,
                            .column = (uint32_t)c,
                            .raw = hash_bytes(p->bytes, n * size)};
    if (p->index) {
        memset(p->bytes + n * size, 0, (COLUMN_CHUNK - n) * size);
        n = COLUMN_CHUNK;
    }
    if (!(e.length = encode(w, p->bytes, n * size, size))) return false;
    p->n = 0;
    p->index++;
    if (w->plan.counted) w->plan.counted->columns += e.length;
    return w->plan.counted || spool_add(w->spool, &e, w->encoded);
}

bool columns_append(struct columns_writer *w, size_t column, const void *elements, size_t n) {
    if (!alive(w)) return false;
    assert(column < w->n);
    struct pending *p = &w->pending[column];
    size_t size = column_size(w->columns[column].type);
    const unsigned char *from = elements;
    while (n) {
        size_t take = COLUMN_CHUNK - p->n < n ? COLUMN_CHUNK - p->n : n;
        memcpy(p->bytes + p->n * size, from, take * size);
        p->n += take;
        from += take * size;
        n -= take;
        if (p->n == COLUMN_CHUNK && !flush_chunk(w, column, part_of(w, w->rows))) return false;
    }
    return true;
}

static bool end_part(struct columns_writer *w, uint64_t part) {
    bool ok = true;
    for (size_t c = 0; ok && c < w->n; c++) {
        if (w->pending[c].n) ok = flush_chunk(w, c, part);
        w->pending[c].index = 0;
    }
    return ok;
}

// ---- a part's file from the spool

static void add_word(struct str *to, const char *word) {
    str_printf(to, "%s%s", to->length ? " " : "", word);
}

static void put_list(struct h5 *h, const char *name, struct str *words) {
    h5_put_text(h, name, words->text ? words->text : "");
    str_release(words);
}

static void write_attrs(struct columns_writer *w, struct h5 *h, const struct part *part) {
    struct str columns = {0}, attributes = {0}, blobs = {0};
    for (size_t i = 0; i < w->n; i++) add_word(&columns, w->columns[i].name);
    for (size_t i = 0; i < w->n_attrs; i++) add_word(&attributes, w->attrs[i].name);
    for (size_t i = 0; i < w->n_blobs; i++) add_word(&blobs, w->blobs[i].name);
    put_list(h, "columns", &columns);
    put_list(h, "attributes", &attributes);
    put_list(h, "blobs", &blobs);
    h5_put_int(h, "part", (int64_t)part->part);
    h5_put_int(h, "parts", (int64_t)part->parts);
    h5_put_int(h, "rows", (int64_t)part->rows);
    h5_put_int(h, "rows_total", (int64_t)part->rows_total);
    h5_put_int(h, "first_row", (int64_t)part->first_row);
    for (size_t i = 0; i < w->n_attrs; i++)
        if (w->attrs[i].text)
            h5_put_text(h, w->attrs[i].name, w->attrs[i].text);
        else
            h5_put_int(h, w->attrs[i].name, w->attrs[i].number);
}

static struct h5_shape shape_of(const struct columns_writer *w, enum column_type type,
                                size_t elements, size_t chunk) {
    struct h5_shape s = {(enum h5_type)type, 1, {elements, 1}, elements, chunk,
                         w->plan.zstd_level, 0};
    if (elements < chunk) s.chunk = elements;
    return s;
}

static void write_blob(struct columns_writer *w, struct h5 *h, const struct columns_blob *b,
                       struct columns_digest *d) {
    struct h5_shape s = shape_of(w, COLUMN_U8, b->n, COLUMN_BLOB_CHUNK);
    columns_digest_dataset(d, b->name, COLUMN_U8, b->n);
    if (!b->n) {
        h5_write(h, b->name, &s, b->bytes);
        return;
    }
    h5_begin(h, b->name, &s);
    unsigned char *padded = xcalloc(s.chunk, 1);
    for (size_t i = 0; i * s.chunk < b->n; i++) {
        size_t n = b->n - i * s.chunk < s.chunk ? b->n - i * s.chunk : s.chunk;
        memset(padded, 0, s.chunk);
        memcpy(padded, (const char *)b->bytes + i * s.chunk, n);
        columns_digest_chunk(d, hash_bytes(padded, n));
        size_t made = encode(w, padded, s.chunk, 1);
        if (!made) break;
        h5_chunks_write(h, i, w->encoded, made);
    }
    free(padded);
    h5_end(h);
}

static void write_column(struct columns_writer *w, struct h5 *h, size_t c, uint64_t part,
                         struct columns_digest *d) {
    size_t elements = 0;
    for (size_t i = 0; i < spool_count(w->spool); i++) {
        struct spool_entry e = spool_get(w->spool, i);
        if (e.part == part && e.column == c) elements += e.elements;
    }
    const struct column *column = &w->columns[c];
    struct h5_shape s = shape_of(w, column->type, elements, COLUMN_CHUNK);
    columns_digest_dataset(d, column->name, column->type, elements);
    if (!elements) {
        h5_write(h, column->name, &s, NULL);
        return;
    }
    h5_begin(h, column->name, &s);
    for (size_t i = 0; i < spool_count(w->spool); i++) {
        struct spool_entry e = spool_get(w->spool, i);
        if (e.part != part || e.column != c) continue;
        columns_digest_chunk(d, e.raw);
        if (!spool_read(w->spool, i, w->encoded) ||
            !h5_chunks_write(h, e.index, w->encoded, e.length))
            break;
    }
    h5_end(h);
}

static void count_blobs(struct columns_writer *w) {
    w->plan.counted->blobs = 0;
    for (size_t i = 0; i < w->n_blobs; i++)
        for (size_t at = 0, n; at < w->blobs[i].n; at += n) {
            n = w->blobs[i].n - at < COLUMN_BLOB_CHUNK ? w->blobs[i].n - at : COLUMN_BLOB_CHUNK;
            w->plan.counted->blobs += encode(w, (const char *)w->blobs[i].bytes + at, n, 1);
        }
}

static bool write_part(struct columns_writer *w, uint64_t part, struct columns_parts cut,
                       size_t rows_total) {
    if (w->plan.counted) {
        count_blobs(w);
        return true;
    }
    struct part p = columns_part_of(cut, part, rows_total);
    char *path = part_path(w->path, part, cut.parts), *temp = whole_file_temp(path);
    whole_file_prepare_state(path, w->fail); // sweeps what a killed run left of this part
    struct columns_digest d = {0};
    columns_digest_begin(&d, w->kind, w->lineage.version, p.rows);
    for (size_t i = 0; i < w->n_attrs; i++) columns_digest_attr(&d, &w->attrs[i]);
    struct h5 *h = h5_create(temp, w->fail);
    for (size_t i = 0; i < w->n_blobs; i++) write_blob(w, h, &w->blobs[i], &d);
    for (size_t c = 0; c < w->n; c++) write_column(w, h, c, part, &d);
    w->content = columns_digest_end(&d);
    artefact_put(h, w->kind, &w->lineage, w->content);
    write_attrs(w, h, &p);
    h5_close(h);
    bool ok = whole_file_commit(temp, path, w->fail);
    if (ok && w->plan.finished) w->plan.finished(w->plan.self, path);
    free(path);
    free(temp);
    return ok;
}

bool columns_end_row(struct columns_writer *w) {
    if (!alive(w)) return false;
    assert(!w->share || w->rows < w->share);
    uint64_t part = part_of(w, w->rows++);
    size_t next = w->first + w->rows;
    bool last = w->share && w->rows == w->share;
    if (next % w->parts.per && !last) return true;
    if (!end_part(w, part)) return false;
    return !w->share || write_part(w, part, w->parts, w->plan.rows_total);
}

// ---- checkpoints: rows, the pending chunks, the caller's state

static void add_number(struct str *to, uint64_t x) {
    str_add(to, &x, sizeof x);
}

bool columns_checkpoint(struct columns_writer *w, const void *state, size_t n) {
    if (!alive(w)) return false;
    if (w->plan.counted) return true;
    struct str bytes = {0};
    add_number(&bytes, w->rows);
    for (size_t c = 0; c < w->n; c++) {
        struct pending *p = &w->pending[c];
        add_number(&bytes, p->index);
        add_number(&bytes, p->n);
        str_add(&bytes, p->bytes, p->n * column_size(w->columns[c].type));
    }
    str_add(&bytes, state, n);
    uint64_t part = part_of(w, w->rows);
    bool stale = w->share && spool_count(w->spool) && spool_get(w->spool, 0).part < part;
    bool ok = stale ? spool_compact(w->spool, part, bytes.text, bytes.length)
                    : spool_checkpoint(w->spool, bytes.text, bytes.length);
    str_release(&bytes);
    return ok;
}

static bool take_bytes(const char **from, size_t *left, void *to, size_t n) {
    if (*left < n) return false;
    memcpy(to, *from, n);
    *from += n;
    *left -= n;
    return true;
}

static bool take_pending(struct columns_writer *w, const char **from, size_t *left) {
    uint64_t n = 0;
    bool ok = true;
    for (size_t c = 0; ok && c < w->n; c++) {
        struct pending *p = &w->pending[c];
        ok = take_bytes(from, left, &p->index, sizeof p->index) &&
             take_bytes(from, left, &n, sizeof n) && n < COLUMN_CHUNK &&
             take_bytes(from, left, p->bytes, n * column_size(w->columns[c].type));
        p->n = n;
    }
    return ok;
}

// The rows and chunks are such as this writer leaves.
static bool is_sound(const struct columns_writer *w) {
    bool ended = w->share && w->rows == w->share;
    uint64_t part = part_of(w, w->rows - ended), *index = xcalloc(w->n, sizeof *index);
    for (size_t c = 0; c < w->n; c++) index[c] = w->pending[c].index;
    bool ok = (!w->share || w->rows <= w->share) && part < COLUMNS_PARTS &&
              columns_spool_is_sound(w->spool, w->n, w->columns, index, part, !ended);
    free(index);
    return ok;
}

// From the spool's last checkpoint, whose XXH3 was right.
static bool restore(struct columns_writer *w) {
    size_t left;
    const char *from = spool_state(w->spool, &left);
    if (!from) return true;
    uint64_t rows = 0;
    bool ok = take_bytes(&from, &left, &rows, sizeof rows) && take_pending(w, &from, &left);
    w->rows = rows;
    if (!ok || !is_sound(w))
        return fail_set(w->fail, EXIT_FAILED, "'%s' is damaged; remove it", w->spool_path);
    str_add(&w->state, from, left);
    return true;
}

// Parts that were finished before the stop must still be there.
static bool announce_finished(struct columns_writer *w) {
    if (!w->share || !w->rows) return true;
    size_t from = w->first / w->parts.per, to = part_of(w, w->rows);
    if (w->rows == w->share) to = part_of(w, w->rows - 1) + 1;
    for (size_t part = from; part < to; part++) {
        char *path = part_path(w->path, part, w->parts.parts);
        struct part want = columns_part_of(w->parts, part, w->plan.rows_total);
        if (!columns_part_is_current(path, &w->lineage, want, false, w->fail))
            fail_set(w->fail, EXIT_FAILED,
                     "'%s', finished before the stop, is gone or another; remove '%s' to start "
                     "again",
                     path, w->spool_path);
        else if (w->plan.finished)
            w->plan.finished(w->plan.self, path);
        free(path);
    }
    return !w->fail->code;
}

// ---- opening and closing

// What a spool must agree in: the lineage, the cut into files, and all else that is stored.
static char *spool_header(const struct columns_writer *w) {
    struct str text = {0};
    char *lineage = lineage_text(w->kind, &w->lineage);
    struct columns_digest d = {0};
    for (size_t i = 0; i < w->n_attrs; i++) columns_digest_attr(&d, &w->attrs[i]);
    for (size_t i = 0; i < w->n_blobs; i++) {
        columns_digest_dataset(&d, w->blobs[i].name, COLUMN_U8, w->blobs[i].n);
        columns_digest_chunk(&d, hash_bytes(w->blobs[i].bytes, w->blobs[i].n));
    }
    for (size_t i = 0; i < w->n; i++)
        columns_digest_dataset(&d, w->columns[i].name, w->columns[i].type, COLUMN_CHUNK);
    char hash[33];
    hash_text(columns_digest_end(&d), hash);
    str_puts(&text, lineage);
    str_printf(&text, "rows per shard: %zu\nrows: %zu\nshard: %zu of %zu\nzstd level: %d\n",
               w->plan.rows_per_shard, w->plan.rows_total, w->plan.shard,
               w->plan.shards ? w->plan.shards : 1, w->plan.zstd_level);
    str_printf(&text, "attributes: %s\n", hash);
    free(lineage);
    return text.text;
}

static bool is_over(void *self, const char *header) {
    const struct columns_writer *w = self;
    return columns_are_made(w->path, header);
}

static bool open_spool(struct columns_writer *w) {
    char *header = spool_header(w);
    w->spool = spool_open(w->spool_path, header, w->plan.resume, is_over, w, w->fail);
    free(header);
    return w->spool && restore(w) && announce_finished(w);
}

struct columns_writer *columns_create(const char *path, const struct lineage *l, size_t n,
                                      const struct column *columns, size_t n_attrs,
                                      const struct columns_attr *attrs, size_t n_blobs,
                                      const struct columns_blob *blobs,
                                      const struct columns_plan *plan, struct fail *f) {
    if (plan->counted ? f->code : !whole_file_prepare_state(path, f)) return NULL;
    struct columns_writer *w = xcalloc(1, sizeof *w);
    *w = (struct columns_writer){.path = xstrdup(path),
                                 .n = n,
                                 .n_attrs = n_attrs,
                                 .n_blobs = n_blobs,
                                 .plan = *plan,
                                 .fail = f};
    if (!w->plan.zstd_level) w->plan.zstd_level = ZFILTER_LEVEL;
    w->spool_path = columns_spool_name(path, plan);
    w->columns = xcalloc(n, sizeof *w->columns);
    w->pending = xcalloc(n, sizeof *w->pending);
    w->attrs = xcalloc(n_attrs, sizeof *w->attrs);
    w->blobs = xcalloc(n_blobs, sizeof *w->blobs);
    copy_lineage(w, l);
    copy_extras(w, attrs, blobs);
    copy_columns(w, columns);
    assert(plan->rows_total || !plan->shards);
    w->parts = columns_cut(plan->rows_total, plan->rows_per_shard, plan->shards);
    columns_share(plan->rows_total, plan->rows_per_shard, plan->shard, plan->shards, &w->first,
                  &w->share);
    if (plan->counted || (columns_may_write(path, l, plan, f) && open_spool(w))) return w;
    columns_abandon(w, true);
    return NULL;
}

size_t columns_rows(const struct columns_writer *w) {
    return w ? w->rows : 0;
}

const void *columns_state(const struct columns_writer *w, size_t *n) {
    *n = w ? w->state.length : 0;
    return w ? w->state.text : NULL;
}

struct fail *columns_fail(struct columns_writer *w) {
    return w->fail;
}

// The rows were not counted beforehand: all files are made now.
static bool write_all(struct columns_writer *w) {
    struct columns_parts p = columns_cut(w->rows, w->plan.rows_per_shard, 0);
    w->plan.rows_total = w->rows;
    bool ok =
        columns_may_write(w->path, &w->lineage, &w->plan, w->fail) && end_part(w, p.parts - 1);
    for (size_t part = 0; ok && part < p.parts; part++) ok = write_part(w, part, p, w->rows);
    return ok;
}

bool columns_commit(struct columns_writer *w, struct hash128 *content) {
    if (!w) return false;
    bool empty_share = w->plan.shards && !w->share;
    if (w->share) assert(w->fail->code || w->rows == w->share);
    bool ok = alive(w) && (w->share || empty_share || write_all(w));
    if (content) *content = w->content;
    if (w->spool) spool_close(w->spool, !ok && w->fail->code != EXIT_USAGE);
    writer_free(w);
    return ok;
}

void columns_abandon(struct columns_writer *w, bool keep_spool) {
    if (!w) return;
    if (w->spool) spool_close(w->spool, keep_spool);
    writer_free(w);
}

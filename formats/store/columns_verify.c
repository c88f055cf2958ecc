// content_hash of what is read: the hash runs along with the reading, chunk by chunk, so that
// columns_verify reads only what nobody has read yet.
#include "formats/store/columns_private.h"
#include <stdlib.h>
#include <string.h>

static size_t chunks(const struct columns_reader *r, size_t c) {
    return (r->counts[c] + COLUMN_CHUNK - 1) / COLUMN_CHUNK;
}

static size_t chunk_end(const struct columns_reader *r, size_t c, size_t chunk) {
    size_t end = (chunk + 1) * COLUMN_CHUNK;
    return end < r->counts[c] ? end : r->counts[c];
}

void columns_note(struct columns_reader *r, size_t c, size_t first, size_t n, const void *bytes) {
    size_t size = column_size(r->columns[c].type), end = first + n;
    size_t chunk = (first + COLUMN_CHUNK - 1) / COLUMN_CHUNK;
    for (; chunk < chunks(r, c) && chunk_end(r, c, chunk) <= end; chunk++) {
        size_t at = chunk * COLUMN_CHUNK, elements = chunk_end(r, c, chunk) - at;
        if (!r->hashes[c]) r->hashes[c] = xcalloc(chunks(r, c), sizeof **r->hashes);
        if (r->hashes[c][chunk].known) continue;
        const unsigned char *from = (const unsigned char *)bytes + (at - first) * size;
        r->hashes[c][chunk] = (struct chunk_hash){true, hash_bytes(from, elements * size)};
    }
}

static bool digest_column(struct columns_reader *r, size_t c, struct columns_digest *d) {
    const struct column *column = &r->columns[c];
    void *bytes = NULL;
    bool ok = true;
    columns_digest_dataset(d, column->name, column->type, r->counts[c]);
    for (size_t chunk = 0; ok && chunk < chunks(r, c); chunk++) {
        size_t at = chunk * COLUMN_CHUNK, n = chunk_end(r, c, chunk) - at;
        bool known = r->hashes[c] && r->hashes[c][chunk].known;
        if (!known && !bytes) bytes = xmalloc(COLUMN_CHUNK * column_size(column->type));
        ok = known || columns_read(r, column->name, at, n, bytes);
        if (ok) columns_digest_chunk(d, r->hashes[c][chunk].hash);
    }
    free(bytes);
    return ok;
}

static void digest_blob(const struct columns_blob *b, struct columns_digest *d) {
    columns_digest_dataset(d, b->name, COLUMN_U8, b->n);
    for (size_t at = 0; at < b->n; at += COLUMN_BLOB_CHUNK) {
        size_t n = b->n - at < COLUMN_BLOB_CHUNK ? b->n - at : COLUMN_BLOB_CHUNK;
        columns_digest_chunk(d, hash_bytes((const char *)b->bytes + at, n));
    }
}

// The tokenizer that is carried along is the one that the rows were made with, where that is known.
static bool tokenizer_fits(struct columns_reader *r, const struct columns_extras *e) {
    const char *named = NULL;
    struct hash128 want = {0, 0};
    for (size_t i = 0; i < e->n_attrs; i++)
        if (!strcmp(e->attrs[i].name, "tokenizer")) named = e->attrs[i].text;
    if (named && !hash_parse(named, &want)) return columns_unfit(r, "attribute", "tokenizer");
    for (size_t i = 0; i < e->n_blobs && !hash_is_zero(want); i++) {
        const struct columns_blob *b = &e->blobs[i];
        if (!strcmp(b->name, "tokenizer.json") && !hash_equal(hash_bytes(b->bytes, b->n), want))
            return columns_unfit(r, "dataset", b->name);
    }
    return true;
}

bool columns_verify(struct columns_reader *r) {
    struct columns_extras e;
    struct columns_digest d = {0};
    if (!columns_awake(r)) return false;
    if (r->holes && r->holes->n) return true;
    columns_digest_begin(&d, r->artefact.kind, r->artefact.version, r->part.rows);
    bool ok = columns_extras(r, &e);
    for (size_t i = 0; i < e.n_attrs; i++) columns_digest_attr(&d, &e.attrs[i]);
    for (size_t i = 0; i < e.n_blobs; i++) digest_blob(&e.blobs[i], &d);
    for (size_t c = 0; ok && c < r->n; c++) ok = digest_column(r, c, &d);
    ok = ok && tokenizer_fits(r, &e);
    columns_free_extras(&e);
    struct hash128 content = columns_digest_end(&d);
    if (!ok || hash_equal(content, r->artefact.content)) return ok;
    return fail_set(r->fail, EXIT_BADDATA,
                    "'%s' is damaged: its bytes do not have its content_hash; make it again",
                    r->path);
}

// A table of flat, typed, chunked, compressed columns: the body of the kinds tokens, pairs,
// reference and teacher. Rows are appended; each row adds any number of elements to each column.
//
// While writing, finished chunks go to a plain spool OUT.spool in order; the HDF5 file is made from
// it in one pass at the end, so that a stopped and resumed run, or a merge of shards, gives the
// same bytes as one undisturbed run. Chunks hold a fixed number of elements, are shuffled,
// compressed by zstd (filter 32015) and carry Fletcher32. content_hash is XXH3-128 over lines that
// name every attribute and column with the XXH3-128 of each uncompressed chunk: see FORMATS.md.
#pragma once
#include "formats/store/artefact.h"

enum column_type { COLUMN_I32, COLUMN_U8, COLUMN_U16, COLUMN_F32, COLUMN_F64 };
enum { COLUMN_CHUNK = 1 << 16, COLUMN_BLOB_CHUNK = 1 << 20 }; // elements
enum { COLUMNS_PARTS = 1 << 20 };                             // most parts of a set

struct column {
    const char *name; // dataset under the root; no blanks
    enum column_type type;
};
size_t column_size(enum column_type type); // bytes an element

struct columns_attr {        // further root attributes: an integer or a text
    const char *name, *text; // text NULL: the integer
    int64_t number;
};
struct columns_blob { // further datasets, written whole (tokenizer.json ...)
    const char *name;
    const void *bytes;
    size_t n;
};

struct columns_counted {   // bytes of chunks; the tables and attributes around them come to little
    size_t columns, blobs; // blobs: of each file
};

struct columns_plan {
    size_t rows_per_shard; // 0: one file
    size_t rows_total;     // 0: not known before the end (then all files are made at the end)
    size_t shard, shards;  // write only shard I of N of the rows (--shard); shards 0 or 1: all.
                           // Needs rows_total; see columns_share. Its spool is
                           // OUT.shard-I-of-N.spool
    int zstd_level;        // 0: the default
    bool resume;           // take up OUT.spool if it was made by the same lineage; else discard it
    // called with each finished shard's path, at once (print it); may be NULL. After a resume also
    // with those that were finished before.
    void (*finished)(void *self, const char *path);
    void *self;
    struct columns_counted *counted; // not NULL: nothing is written or taken up, only counted
};

// Which rows shard I of N (0 <= I < N) is to write: whole parts, so that the files of all N runs
// together are those of the single run, byte for byte. rows_per_shard 0: N equal parts, as near as
// can be. *count may be 0: then there is nothing to do.
void columns_share(size_t rows_total, size_t rows_per_shard, size_t shard, size_t shards,
                   size_t *first, size_t *count);
// The "up to date" rule over all files of the plan; each is given to plan->finished if all are
// there. Where rows_total is not known: of the file `path` itself. See artefact_is_current.
char *columns_spool_name(const char *path, const struct columns_plan *plan); // free() it
// Whether all files of the plan's share may be written (common/base/outputs.h); rows_total 0: the
// one file `path`, or, of several, true, as their names are not known yet. What a stopped run of
// the same lineage made may be made again.
bool columns_may_write(const char *path, const struct lineage *l, const struct columns_plan *plan,
                       struct fail *f);
bool columns_is_current(const char *path, const struct lineage *l, const struct columns_plan *plan,
                        bool no_clobber, struct fail *f);

// Includes whole_file_prepare. All arguments are copied. NULL: f says why. A NULL writer and one
// that has failed do nothing.
struct columns_writer;
struct columns_writer *columns_create(const char *path, const struct lineage *l, size_t n,
                                      const struct column *columns, size_t n_attrs,
                                      const struct columns_attr *attrs, size_t n_blobs,
                                      const struct columns_blob *blobs,
                                      const struct columns_plan *plan, struct fail *f);
// Rows already in the spool (after a resume): the caller continues with this row (of its share).
// `state` bytes given to the last columns_checkpoint come back through columns_state (NULL: none).
size_t columns_rows(const struct columns_writer *w);
const void *columns_state(const struct columns_writer *w, size_t *n);
bool columns_append(struct columns_writer *w, size_t column, const void *elements, size_t n);
// Ends a row; the last of a shard (rows_total known) also makes the shard's file.
bool columns_end_row(struct columns_writer *w);
// Everything so far is safe on disk (fsync) together with the caller's own state.
bool columns_checkpoint(struct columns_writer *w, const void *state, size_t n);
// Makes the final file(s), removes the spool, frees the writer. False (f of columns_create says
// why): nothing new under the final name, spool kept. *content: of the only or last file; may be
// NULL. Checkpoint first where much was written since the last.
bool columns_commit(struct columns_writer *w, struct hash128 *content);
void columns_abandon(struct columns_writer *w, bool keep_spool); // frees the writer
struct fail *columns_fail(struct columns_writer *w);

struct columns_reader;
struct columns_reader *columns_open(const char *path, const char *kind, struct fail *f);
const struct artefact *columns_artefact(const struct columns_reader *r);
struct part columns_part(const struct columns_reader *r);
// Whether part p, of the file `path`, begins where the part before it ends; else f says it. What a
// part says for itself (the first begins at row 0, the last ends at rows_total, none is empty) is
// checked by columns_open.
bool columns_follows(struct part p, struct part before, const char *path, struct fail *f);
const char *columns_path(const struct columns_reader *r);
// What sticks to the reader, for those who look at what it gave with a `struct fail` of their own.
const struct fail *columns_why(const struct columns_reader *r);
// The columns in order. `*n` of them; the array is the reader's.
const struct column *columns_list(const struct columns_reader *r, size_t *n);
// Elements of a column; none of that name or of another type than expected is a failure.
size_t columns_count(struct columns_reader *r, const char *column);
size_t columns_stored(struct columns_reader *r, const char *column); // its bytes in the file
int columns_level(struct columns_reader *r); // the zstd level it was written with, 0: no chunks
bool columns_expect(struct columns_reader *r, size_t n, const struct column *columns);
// Reads elements first .. first+n-1; checks Fletcher32. False: sticky failure in `f` of open.
bool columns_read(struct columns_reader *r, const char *column, size_t first, size_t n, void *to);
// A whole column; free() it. NULL: failure.
void *columns_read_all(struct columns_reader *r, const char *column, size_t *n);
// From now on columns_read_all goes around chunks that cannot be read: their elements are zero, and
// holes (zeroed; free() the items) lists them; the names are the reader's.
struct columns_hole {
    const char *column;
    size_t first, n; // elements
};
struct columns_holes {
    size_t n;
    struct columns_hole *items;
};
void columns_tolerate(struct columns_reader *r, struct columns_holes *holes);
const struct columns_holes *columns_holes(const struct columns_reader *r);    // NULL: not tolerated
bool columns_int(struct columns_reader *r, const char *attr, int64_t *value); // root attribute
char *columns_text(struct columns_reader *r, const char *attr);               // NULL: none
char *columns_blob(struct columns_reader *r, const char *name, size_t *n);    // NULL: none
// The further attributes and blobs that columns_create was given, by name; columns_free_extras
// them, also after a failure.
struct columns_extras {
    size_t n_attrs, n_blobs;
    struct columns_attr *attrs;
    struct columns_blob *blobs;
};
bool columns_extras(struct columns_reader *r, struct columns_extras *e);
void columns_free_extras(struct columns_extras *e);
// Compares content_hash: what was read in whole chunks was hashed as it was read, all else is read
// now. Whoever uses the data calls it once it is read, so that altered bytes pass nobody. With
// holes (columns_tolerate) there is nothing to compare with, and it is true.
bool columns_verify(struct columns_reader *r);
// Closes the file until it is needed next (a process may have some thousand open, a set may have
// more); a failure if it is then another one.
void columns_rest(struct columns_reader *r);
void columns_close(struct columns_reader *r);

// The same set: kind, version, stage, options, parents, parts, rows_total and the kind's own
// attributes. If not, f names both files and the difference.
bool columns_same_set(const struct columns_reader *a, const struct columns_reader *b,
                      struct fail *f);

// ---- for columns_*.c

struct columns_parts {
    size_t per;   // rows a part (the last may have fewer); SIZE_MAX: all in one
    size_t parts; // at least 1; 1 as well where rows_total is 0 (unknown)
};
struct columns_parts columns_cut(size_t rows_total, size_t rows_per_shard, size_t shards);
struct part columns_part_of(struct columns_parts cut, size_t part, size_t rows_total);
bool columns_part_is_current(const char *path, const struct lineage *l, struct part want,
                             bool no_clobber, struct fail *f);

// The text whose hash is content_hash, in this order.

struct columns_digest {
    struct str text;
};
void columns_digest_begin(struct columns_digest *d, const char *kind, int version, size_t rows);
void columns_digest_attr(struct columns_digest *d, const struct columns_attr *attr);
void columns_digest_dataset(struct columns_digest *d, const char *name, enum column_type type,
                            size_t elements);
void columns_digest_chunk(struct columns_digest *d, struct hash128 raw);
struct hash128 columns_digest_end(struct columns_digest *d);
